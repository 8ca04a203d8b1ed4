"""Whether a driver takes what the command outputs send: a robot that does not listen and act cannot follow."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy

from video2act_ros.core.drivers import DriverFinding, Subscriber, find_driver, may_drive
from video2act_ros.core.robot_profile import CommandOutput
from video2act_ros.ros.controller_watch import ControllerWatch
from video2act_ros.ros.publisher import GuardedPublisher


class CommandListeners:
    """Looks at who listens to the command outputs. Executor's thread only."""

    def __init__(self, node: Node, outputs: Sequence[tuple[CommandOutput, GuardedPublisher]]) -> None:
        """Prepare to look at the outputs, in the profile's order."""
        self._node = node
        self._outputs = tuple((output, publisher.topic_name) for output, publisher in outputs)
        self._controllers = ControllerWatch(node)

    def look(self) -> tuple[DriverFinding, ...]:
        """Return what is known now of each output's driver."""
        seen = [self._subscribers(topic) for _, topic in self._outputs]
        drivers = {
            item.node
            for (output, _), subscribers in zip(self._outputs, seen, strict=True)
            for item in subscribers
            if may_drive(output, item.node)
        }
        known = self._controllers.look(drivers)
        return tuple(
            find_driver(index, output, topic, subscribers, known)
            for index, ((output, topic), subscribers) in enumerate(zip(self._outputs, seen, strict=True))
        )

    def close(self) -> None:
        """Give up what was subscribed for it."""
        self._controllers.close()

    def _subscribers(self, topic: str) -> list[Subscriber]:
        return [
            Subscriber(
                f"{info.node_namespace.rstrip('/')}/{info.node_name}",
                info.topic_type,
                info.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL,
            )
            for info in self._node.get_subscriptions_info_by_topic(topic)
        ]
