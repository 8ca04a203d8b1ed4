"""Who of the listeners to a command topic is the arm's driver: what listens *and acts*.

Plain data in, words out: what the graph and the controllers tell is collected in `ros/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from video2act_ros.core.controller_reports import Controllers, ControllerState
from video2act_ros.core.onlookers import UNKNOWN_NAME, bare_name, is_onlooker, is_stand_in
from video2act_ros.core.robot_profile import CommandOutput
from video2act_ros.core.topic_list import COMMAND_TYPES

_PACKAGES = "ros-$ROS_DISTRO-control-msgs and ros-$ROS_DISTRO-controller-manager-msgs"


class Proof(Enum):
    """What is known of an output's driver."""

    PROVEN = "proven"
    """The profile names it, or its controller manager says that it is active, or it stands in for a robot."""
    UNPROVEN = "unproven"
    """Somebody takes the commands of whom nobody knows whether he moves the arm."""
    ABSENT = "absent"
    """Nobody does who could move the arm."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One subscription to a command topic."""

    node: str
    """Full name, with the namespace."""
    topic_type: str
    latched: bool = False
    """Whether it asks for durability transient local, which set-points do not have."""


@dataclass(frozen=True, slots=True)
class DriverFinding:
    """What is known of the driver of one command output."""

    output: int
    """Its place in the profile's `commands`."""
    proof: Proof
    text: str = ""
    """Why it is not proven, and the remedy; the same words as long as nothing changes."""


def find_driver(
    index: int, output: CommandOutput, topic: str, subscribers: Iterable[Subscriber], controllers: Controllers
) -> DriverFinding:
    """Judge the subscribers of one output.

    Args:
        index: the output's place in the profile's `commands`.
        output: it.
        topic: its full name in the graph.
        subscribers: everybody who listens on it.
        controllers: what is known of those who are controllers of ros2_control.
    """
    return _Judgement(index, output, topic, controllers).of(
        sorted(set(subscribers), key=lambda item: item.node)
    )


def may_drive(output: CommandOutput, node: str) -> bool:
    """Return whether a listener may be an output's driver, judged by its name."""
    if is_stand_in(node):
        return True
    if output.driver:
        return _is_named(node, output.driver)
    return not is_onlooker(node)


@dataclass(frozen=True, slots=True)
class _Judgement:
    index: int
    output: CommandOutput
    topic: str
    controllers: Controllers

    def of(self, subscribers: Sequence[Subscriber]) -> DriverFinding:
        takers = [item for item in subscribers if may_drive(self.output, item.node)]
        fitting = [item for item in takers if item.topic_type == self._type and not item.latched]
        resting = [item.node for item in fitting if self._state(item) in _AT_REST]
        acting = [item for item in fitting if item.node not in resting]
        if any(self._is_proven(item) for item in acting):
            return DriverFinding(self.index, Proof.PROVEN)
        idle = [self._resting(node) for node in dict.fromkeys(resting)]
        if acting:
            texts = [self._unproven(item.node) for item in acting] + idle
            return DriverFinding(self.index, Proof.UNPROVEN, "; ".join(dict.fromkeys(texts)))
        others = [item.node for item in subscribers if item not in takers]
        text = "; ".join(idle) or self._misfit(takers) or self._nobody(list(dict.fromkeys(others)))
        return DriverFinding(self.index, Proof.ABSENT, text)

    @property
    def _key(self) -> str:
        return f"commands[{self.index}]"

    @property
    def _type(self) -> str:
        return COMMAND_TYPES[self.output.type]

    def _state(self, item: Subscriber) -> ControllerState | None:
        return self.controllers.states.get(item.node)

    def _is_proven(self, item: Subscriber) -> bool:
        if self._state(item) is ControllerState.ACTIVE or is_stand_in(item.node):
            return True
        # The profile knows who a controller is, not whether it is active.
        return bool(self.output.driver) and self.controllers.manager_of(item.node, self.topic) is None

    def _unproven(self, node: str) -> str:
        manager = self.controllers.manager_of(node, self.topic)
        if manager is not None:
            return (
                f"{node} is a controller of {manager}, and nothing tells whether it is active; install "
                f"{_PACKAGES} where this node runs"
            )
        if bare_name(node) == UNKNOWN_NAME:
            return (
                f"somebody without a ROS node name listens on {self.topic}, and nothing tells whether it moves the "
                "arm; look with ros2 topic info -v"
            )
        return (
            f"{node} listens on {self.topic}, and nothing tells whether it moves the arm; if it is the arm's "
            f"driver, add driver: {node} to {self._key} in the robot profile"
        )

    def _resting(self, node: str) -> str:
        if is_stand_in(node):
            return f"{node} listens on {self.topic}, but is inactive; activate it"
        if self.controllers.states.get(node) is ControllerState.SILENT:
            return (
                f"no {node}/controller_state arrives, so the controller is inactive ({self._activate(node)}), or "
                "its state_publish_rate is 0"
            )
        return f"controller {node} is loaded, but inactive; activate it: {self._activate(node)}"

    def _activate(self, node: str) -> str:
        manager = self.controllers.manager_of(node, self.topic) or "/controller_manager"
        option = "" if manager == "/controller_manager" else f"-c {manager} "
        return f"ros2 control switch_controllers {option}--activate {bare_name(node)}"

    def _misfit(self, takers: Sequence[Subscriber]) -> str:
        for item in takers:
            if item.topic_type == self._type:
                return (
                    f"{item.node} listens on {self.topic} with durability transient local, which set-points do "
                    "not have; let the driver subscribe with volatile"
                )
        for item in takers:
            return (
                f"{item.node} listens on {self.topic} for {item.topic_type}, but the robot profile sends "
                f"{self._type}; {self._other_type(item.topic_type)}"
            )
        return ""

    def _other_type(self, taken: str) -> str:
        known = {ros_type: name for name, ros_type in COMMAND_TYPES.items()}
        if taken in known:
            return f"set {self._key}.type: {known[taken]}"
        return f"let {self._key}.topic name a topic of a controller that takes it"

    def _nobody(self, others: Sequence[str]) -> str:
        driver, place = self.output.driver, f"{self.topic} ({self._type})"
        if driver and others:
            return (
                f"the driver {driver} does not listen on {place}, only {_listed(others)}; start it and activate its "
                f"controller, or correct {self._key}.driver in the robot profile"
            )
        if driver:
            return (
                f"nobody listens on {place}; start the driver {driver} and activate its controller, or correct "
                f"{self._key}.topic and .driver in the robot profile"
            )
        if others:
            return (
                f"no driver listens on {place}, only who records or shows: {_listed(others)}; start the arm's driver "
                f"and activate its controller, or correct {self._key}.topic in the robot profile; if one of these "
                f"moves the arm, name it in {self._key}.driver"
            )
        return (
            f"nobody listens on {place}; start the arm's driver and activate its controller, or correct "
            f"{self._key}.topic in the robot profile"
        )


_AT_REST = (ControllerState.INACTIVE, ControllerState.SILENT)


def _is_named(node: str, wanted: str) -> bool:
    """Return whether a node has the wanted full name, or ends with it where no namespace is given."""
    return node == wanted if wanted.startswith("/") else f"/{node.lstrip('/')}".endswith(f"/{wanted}")


def _listed(nodes: Sequence[str]) -> str:
    return ", ".join(nodes)
