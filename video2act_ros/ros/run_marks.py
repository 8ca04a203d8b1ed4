"""What a recorder understands of a run: episodes, faults, success, bundles. Everything else it keeps unread."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.node import Node
from rclpy.serialization import deserialize_message
from std_msgs.msg import Bool, String

from video2act_msgs.msg import RunState
from video2act_ros.recording.writing.bag_records import RecordedMessage
from video2act_ros.ros.bundle_switch import bundle_status_topic
from video2act_ros.ros.convert import stamp_to_ns

EPISODE = "video2act.episode"
SUCCESS = "video2act.task_success"
BUNDLE = "video2act.bundle"


class RunMarks:
    """Reads a few topics and marks what changed; `see` is called with every message, in one thread."""

    def __init__(
        self,
        node: Node,
        mark: Callable[[str, Mapping[str, str]], None],
        on_fault: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            node: whose namespace the topics are in.
            mark: gets each mark's name and fields; times are in nanoseconds.
            on_fault: called with the reason when the run state becomes `fault`.
        """
        self._mark = mark
        self._on_fault = on_fault
        self._episode: int | None = None
        self._state: str | None = None
        self._success = False
        self._bundles: dict[str, str] = {}
        self._readers: dict[str, tuple[type[Any], Callable[[Any, RecordedMessage], None]]] = {
            node.resolve_topic_name("run_state"): (RunState, self._run_state),
            node.resolve_topic_name("task_success"): (Bool, self._task_success),
            node.resolve_topic_name(bundle_status_topic("system1")): (String, self._bundle_status),
            node.resolve_topic_name(bundle_status_topic("system2")): (String, self._bundle_status),
        }

    @property
    def bundles(self) -> dict[str, str]:
        """The newest `bundle_status` of each system, as JSON."""
        return dict(self._bundles)

    def see(self, message: RecordedMessage) -> None:
        """Look at one message."""
        reader = self._readers.get(message.topic.name)
        if reader is not None:
            message_type, act = reader
            act(deserialize_message(message.data, message_type), message)

    def _run_state(self, state: RunState, message: RecordedMessage) -> None:
        if state.episode != self._episode:
            self._episode = int(state.episode)
            start_ns = stamp_to_ns(state.episode_stamp)
            fields = {"episode": self._episode, "start_ns": start_ns, "log_ns": message.log_ns}
            instruction = {"instruction": state.instruction}
            self._mark(EPISODE, {key: str(value) for key, value in (fields | instruction).items()})
        previous, self._state = self._state, state.state
        if state.state == RunState.FAULT and previous not in (None, RunState.FAULT):
            self._on_fault(state.reason)

    def _task_success(self, success: Bool, message: RecordedMessage) -> None:
        before, self._success = self._success, bool(success.data)
        if self._success and not before:
            self._mark(SUCCESS, {"episode": str(self._episode or 0), "log_ns": str(message.log_ns)})

    def _bundle_status(self, status: String, message: RecordedMessage) -> None:
        system = message.topic.name.rsplit("/", 2)[-2]
        if self._bundles.get(system) == status.data:
            return
        self._bundles[system] = status.data
        known = json.loads(status.data)
        fields = {key: value for key, value in known.items() if isinstance(value, (str, int, float))}
        told = {"system": system, **{key: str(value) for key, value in fields.items()}}
        self._mark(f"{BUNDLE}.{system}", told | {"log_ns": str(message.log_ns)})
