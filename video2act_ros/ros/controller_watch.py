"""Listens to what controller managers, controllers and stand-ins tell: who of them acts on commands."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.exceptions import NoTypeSupportImportedException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String

from video2act_ros.core.controller_reports import ControllerReports, Controllers
from video2act_ros.core.onlookers import is_stand_in
from video2act_ros.ros import qos
from video2act_ros.ros.driver_activity import ACTIVE, activity_topic

MANAGER_NAME = "controller_manager"
ACTIVITY_TYPE = "controller_manager_msgs/msg/ControllerManagerActivity"
STATE_TYPE = "control_msgs/msg/JointTrajectoryControllerState"
DIAGNOSTICS_TASK = "Controllers Activity"
GRAPH_PERIOD_S = 1.0
"""Between two looks for controller managers: a look through the whole graph costs up to milliseconds [s]."""


class ControllerWatch:
    """Subscribes to whatever tells most of the nodes that listen to commands. Executor's thread only.

    Best first: the manager's `activity` (ros2_control 4.28 and later), the `controller_state` of a trajectory
    controller, the manager's diagnostics, which need no message package that is not on PyPI but come once a second.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._reports = ControllerReports()
        self._subscriptions: dict[str, Any] = {}  # by topic
        self._looked_s = float("-inf")

    def look(self, listeners: Iterable[str]) -> Controllers:
        """Return what is known now of the nodes `listeners`, full names, that may drive the arm."""
        nodes, now_s = sorted(set(listeners)), time.monotonic()
        for node in nodes:
            if is_stand_in(node):
                self._subscribe(activity_topic(node), String, qos.LATCHED, partial(self._on_stand_in, node))
        others = [node for node in nodes if not is_stand_in(node)]
        if others and now_s - self._looked_s >= GRAPH_PERIOD_S:
            self._looked_s = now_s
            self._find_reports(others, now_s)
        return self._reports.at(nodes, now_s)

    def close(self) -> None:
        """Give up every subscription; the next look makes those again that it needs."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        self._reports, self._looked_s = ControllerReports(), float("-inf")

    def _find_reports(self, nodes: list[str], now_s: float) -> None:
        types = dict(self._node.get_topic_names_and_types())
        managers = {space: path for path, space in self._named_managers()}
        told = set()  # namespaces whose manager tells
        for topic in (topic for topic, names in types.items() if ACTIVITY_TYPE in names):
            for info in self._node.get_publishers_info_by_topic(topic):
                space = info.node_namespace
                managers[space] = _full(info.node_name, space)
                if self._subscribe(
                    topic, message_type(ACTIVITY_TYPE), qos.LATCHED, partial(self._on_activity, space)
                ):
                    told.add(space)
        self._reports.on_managers(managers)
        untold = [node for node in nodes if (node.rpartition("/")[0] or "/") not in told]
        for node in nodes:
            topic = f"{node}/controller_state"
            if (
                node in untold
                and STATE_TYPE in types.get(topic, ())
                and self._subscribe(
                    topic, message_type(STATE_TYPE), qos.JOINT_STATES, partial(self._on_state, node), raw=True
                )
            ):
                self._reports.watch(node, now_s)
            else:
                self._reports.unwatch(node)
        if untold and managers:
            self._subscribe("/diagnostics", DiagnosticArray, qos.DATA, self._on_diagnostics)

    def _named_managers(self) -> list[tuple[str, str]]:
        """Return (full name, namespace) of the nodes that are called as managers usually are."""
        return [
            (_full(name, space), space)
            for name, space in self._node.get_node_names_and_namespaces()
            if name == MANAGER_NAME
        ]

    def _subscribe(
        self,
        topic: str,
        message: type[Any] | None,
        profile: QoSProfile,
        callback: Callable[[Any], None],
        *,
        raw: bool = False,
    ) -> bool:
        """Subscribe once; return whether there is a subscription: none without the message's package."""
        if message is not None and topic not in self._subscriptions:
            try:
                self._subscriptions[topic] = self._node.create_subscription(
                    message, topic, callback, profile, raw=raw
                )
            except (ImportError, NoTypeSupportImportedException):
                return False  # the package is there, but not for this distribution of ROS
        return topic in self._subscriptions

    def _on_stand_in(self, node: str, message: String) -> None:
        self._reports.on_stand_in(node, message.data == ACTIVE)

    def _on_activity(self, namespace: str, message: Any) -> None:
        self._reports.on_activity(namespace, {item.name: item.state.label for item in message.controllers})

    def _on_state(self, node: str, _message: bytes) -> None:
        self._reports.on_controller_state(node, time.monotonic())

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith(DIAGNOSTICS_TASK):
                values = [(item.key, item.value) for item in status.values]
                self._reports.on_diagnostics(values, time.monotonic())


def message_type(name: str) -> type[Any] | None:
    """Return the class of a message such as `package/msg/Name`; None where its package is not installed or has none."""
    package, _, message = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), message, None)
    except ImportError:
        return None


def _full(name: str, namespace: str) -> str:
    return f"{namespace.rstrip('/')}/{name}"
