"""Whether a driver takes what a command output sends: a robot that does not listen cannot follow."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

from video2act_ros.core.config import RecorderConfig
from video2act_ros.core.topic_list import COMMAND_TYPES
from video2act_ros.ros.publisher import GuardedPublisher


class CommandListeners:
    """Looks at who listens to one command output. Who only records or looks on does not count."""

    def __init__(self, node: Node, publisher: GuardedPublisher, key: str, output_type: str) -> None:
        """Prepare; `key` is where the output stands in the robot profile."""
        self._node, self._publisher, self._key = node, publisher, key
        self._type = COMMAND_TYPES[output_type]

    def absent(self) -> str | None:
        """Return why no driver takes the commands, and what to do; None where one does."""
        topic = self._publisher.topic_name
        seen = [info for info in self._node.get_subscriptions_info_by_topic(topic) if not _looks_on(info)]
        fitting = [info for info in seen if info.topic_type == self._type]
        if any(info.qos_profile.durability is not DurabilityPolicy.TRANSIENT_LOCAL for info in fitting):
            return None
        if fitting:
            return (
                f"{_name(fitting[0])} listens on {topic} with durability transient local, which set-points do "
                "not have; let the driver subscribe with volatile"
            )
        if seen:
            return (
                f"{_name(seen[0])} listens on {topic} for {seen[0].topic_type}, but the robot profile sends "
                f"{self._type}; {self._remedy(seen[0].topic_type)}"
            )
        return (
            f"nobody listens on {topic} ({self._type}); start the arm's driver and activate its controller, "
            f"or correct {self._key}.topic in the robot profile"
        )

    def _remedy(self, taken: str) -> str:
        known = {ros_type: name for name, ros_type in COMMAND_TYPES.items()}
        if taken in known:
            return f"set {self._key}.type: {known[taken]}"
        return f"let {self._key}.topic name a topic of a controller that takes it"


def _looks_on(info: TopicEndpointInfo) -> bool:
    """Return whether a subscriber is our recorder or a command line tool, whose names begin with `_`."""
    return info.node_name == RecorderConfig.NODE_NAME or info.node_name.startswith("_")


def _name(info: TopicEndpointInfo) -> str:
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"
