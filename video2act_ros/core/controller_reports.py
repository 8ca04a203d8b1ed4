"""What is known of ros2_control's controllers: which act, and which listen without moving anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from video2act_ros.core.onlookers import bare_name

SILENT_S = 0.3
"""An active controller sends its state at 50 Hz or at its manager's rate: so long without any means inactive [s]."""
FIRST_S = 1.0
"""So long a new subscription may need until the first state arrives [s]."""
DIAGNOSTICS_S = 3.0
"""So long a manager's diagnostics, sent once a second, are believed [s]."""

_ACTIVE = "active"
_LABELS = {
    "unconfigured",
    "inactive",
    _ACTIVE,
    "finalized",
}  # of lifecycle_msgs/State, as managers write them


class ControllerState(Enum):
    """Whether a controller moves its arm."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    SILENT = "silent"
    """Its `controller_state` has not come for SILENT_S: inactive, or told not to publish."""


@dataclass(frozen=True, slots=True)
class Controllers:
    """What is known at one moment."""

    states: Mapping[str, ControllerState] = field(default_factory=dict)
    """By the full name of the controller's node; whatever nobody tells of is missing."""
    managers: Mapping[str, str] = field(default_factory=dict)
    """Namespace of each controller manager in the graph, and the manager's node."""

    def manager_of(self, node: str, topic: str) -> str | None:
        """Return the manager of a node that listens like a controller: on a topic under its own name."""
        if not topic.startswith(f"{node}/"):
            return None
        return self.managers.get(node[: -len(bare_name(node))].rstrip("/") or "/")


class ControllerReports:
    """Collects what controller managers and controllers tell of themselves. One thread; times are monotonic [s]."""

    def __init__(self) -> None:
        self._managers: dict[str, str] = {}
        self._activity: dict[str, dict[str, ControllerState]] = {}  # by manager's namespace
        self._stand_ins: dict[str, ControllerState] = {}
        self._watched_s: dict[str, float] = {}
        self._heard_s: dict[str, float] = {}
        self._diagnosed: dict[str, ControllerState] = {}  # by a controller's bare name
        self._diagnosed_s = float("-inf")

    def on_managers(self, managers: Mapping[str, str]) -> None:
        """Take which controller managers are there now: namespace and node; forget those that left."""
        self._managers = dict(managers)
        self._activity = {space: states for space, states in self._activity.items() if space in managers}

    def on_activity(self, namespace: str, labels: Mapping[str, str]) -> None:
        """Take the states of all controllers of the manager in `namespace`, by the controllers' names."""
        prefix = namespace.rstrip("/")
        self._activity[namespace] = {f"{prefix}/{name}": _state(label) for name, label in labels.items()}

    def on_stand_in(self, node: str, active: bool) -> None:
        """Take what a stand-in of ours says of itself."""
        self._stand_ins[node] = ControllerState.ACTIVE if active else ControllerState.INACTIVE

    def watch(self, node: str, now_s: float) -> None:
        """Expect states of a controller's own from now on."""
        self._watched_s.setdefault(node, now_s)

    def unwatch(self, node: str) -> None:
        """Expect none any more."""
        self._watched_s.pop(node, None)
        self._heard_s.pop(node, None)

    def on_controller_state(self, node: str, now_s: float) -> None:
        """Note that a controller's own state arrived: only an active one sends any."""
        self._heard_s[node] = now_s

    def on_diagnostics(self, values: Iterable[tuple[str, str]], now_s: float) -> None:
        """Take the values of a manager's diagnostics: `NAME.state` (before 4.21 `NAME`) and a lifecycle label."""
        self._diagnosed = {
            key.removesuffix(".state"): _state(label) for key, label in values if label in _LABELS
        }
        self._diagnosed_s = now_s

    def at(self, nodes: Iterable[str], now_s: float) -> Controllers:
        """Return what is known now of `nodes` that listen."""
        known = {node: state for node in nodes if (state := self._state(node, now_s)) is not None}
        return Controllers(known, self._managers)

    def _state(self, node: str, now_s: float) -> ControllerState | None:
        told = self._stand_ins.get(node)
        for states in self._activity.values():
            told = states.get(node, told)
        if told is not None:
            return told
        if node in self._watched_s:
            if now_s - self._heard_s.get(node, float("-inf")) <= SILENT_S:
                return ControllerState.ACTIVE
            return ControllerState.SILENT if now_s - self._watched_s[node] > FIRST_S else None
        # Diagnostics name no namespace: of several managers nobody knows whose controller is meant.
        if len(self._managers) == 1 and now_s - self._diagnosed_s <= DIAGNOSTICS_S:
            return self._diagnosed.get(bare_name(node))
        return None


def _state(label: str) -> ControllerState:
    return ControllerState.ACTIVE if label == _ACTIVE else ControllerState.INACTIVE
