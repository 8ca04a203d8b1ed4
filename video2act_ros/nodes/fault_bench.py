"""The running stack that faults are made in, and what a fault's action is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from rclpy.duration import Duration
from rclpy.node import Node

from video2act_ros.nodes.demo_node import DemoNode
from video2act_ros.nodes.fault_watch import FaultWatch
from video2act_ros.ros import qos
from video2act_ros.ros.runner import StackRunner

ANSWER_S = 10.0
RESTART_S = 60.0  # a command node on a loaded machine
JUDGE_PRIORITY = 20  # SCHED_FIFO, below the command process: what measures must not itself be late


@dataclass(frozen=True, slots=True)
class Bench:
    """A running stack with the simulated robot, and what listens to it."""

    stack: StackRunner
    node: DemoNode
    watch: FaultWatch

    @property
    def commanding(self) -> bool:
        """Whether the command node runs: it has neither ended nor been stopped."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended and was waited for
            stat = Path(f"/proc/{self.stack.pid('command_node')}/stat").read_text()
            return stat.rpartition(")")[2].split()[0] not in ("T", "Z")
        return False


Begin = Callable[[], Union[float, None]]
"""Begins a fault; returns since when it is in force [s] where that was not at once."""

Action = Callable[[Bench], contextlib.AbstractContextManager[Begin]]
"""Prepares a fault: entering yields the function that begins it, leaving undoes it."""


def quiet_node(name: str, beside: DemoNode) -> Node:
    """Return a node of another name in the place of somebody else: it has what a fault gives it, and is not spun."""
    return Node(
        name,
        context=beside.context,
        namespace=beside.get_namespace(),
        enable_rosout=False,
        start_parameter_services=False,
    )


def wait_for_listener(node: DemoNode, publisher: Any, topic: str, count: int) -> None:
    """Wait until the command node, and `count` listeners in all, would hear what is published."""
    node.wait_for(
        lambda: publisher.get_subscription_count() >= count,
        ANSWER_S,
        f"the command node to listen to {topic}",
    )


def tell(topic: str, message: Any, undo: Any) -> Action:
    """Publish `message` on `topic`, to whoever of the stack listens; undone by `undo`, a message of the same type."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        publisher = bench.node.create_publisher(type(message), topic, qos.DATA)
        try:
            wait_for_listener(bench.node, publisher, topic, 1)
            yield lambda: publisher.publish(message)
            publisher.publish(undo)
            publisher.wait_for_all_acked(Duration(seconds=ANSWER_S))
        finally:
            bench.node.destroy_publisher(publisher)

    return action
