"""The stack with the simulated robot and a client of it, for programs that drive and measure it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import rclpy

from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.nodes.demo_node import DemoNode, StackFailure
from video2act_ros.ros import environment
from video2act_ros.ros.runner import StackRunner
from video2act_ros.ros.spinning import spinning
from video2act_ros.ros.stack import SIM, NodeSpec
from video2act_ros.ros.start import start_ros
from video2act_ros.sim.tasks import get_task

STARTUP_LIMIT_S = 120.0  # cold imports on a loaded two-core machine


class StackAddress(Protocol):
    """Where a client finds a stack, and what its robot is."""

    @property
    def robot(self) -> str:
        """Robot profile: a name or a file."""

    @property
    def namespace(self) -> str:
        """Namespace of the stack."""


class SimStack(StackAddress, Protocol):
    """What a simulated stack is asked for."""

    @property
    def bundle(self) -> str:
        """Bundle of both systems: a name or a folder."""

    @property
    def task(self) -> str:
        """The task whose scene is set up and whose first instruction is given."""


@contextmanager
def spinning_node(address: StackAddress) -> Iterator[DemoNode]:
    """Yield a DemoNode whose executor spins in another thread, in a ROS context of its own."""
    context = rclpy.Context()
    start_ros(context)
    try:
        profile = load_robot_profile(environment.resolve_profile(address.robot))
        with spinning(DemoNode(profile, context=context, namespace=address.namespace)) as node:
            yield node
    finally:
        rclpy.shutdown(context=context)


@contextmanager
def simulated_stack(
    wanted: SimStack, logs: Path, specs: tuple[NodeSpec, ...] = SIM, **arguments: str
) -> Iterator[tuple[StackRunner, DemoNode]]:
    """Start the stack and a client of it; yield both once System 1 has sent a chunk. Stop both at the end.

    Args:
        wanted: what is simulated, and with which bundle.
        logs: folder of the nodes' logs.
        specs: the nodes.
        arguments: further launch arguments.

    Raises:
        StackFailure: a process ended, or no chunk came in time.
    """
    given = {
        "namespace": wanted.namespace,
        "robot": wanted.robot,
        "system1_bundle": wanted.bundle,
        "system2_bundle": wanted.bundle,
        "instruction": get_task(wanted.task).instruction,
        "task": wanted.task,
    }
    with StackRunner(specs, given | arguments, logs) as stack, spinning_node(wanted) as node:
        stack.watch(node.changed)
        node.wait_for(
            lambda: bool(stack.failed()) or node.chunks > 0, STARTUP_LIMIT_S, "System 1's first chunk"
        )
        if failure := stack.failed():
            raise StackFailure(failure)
        yield stack, node
