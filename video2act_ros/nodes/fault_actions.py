"""The ways in which a running stack is broken, and how each is undone."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from rcl_interfaces.srv import SetParameters
from rclpy.duration import Duration
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from video2act_msgs.msg import ActionChunk
from video2act_ros.control.realtime import raise_scheduling_class
from video2act_ros.core.config import System1Config
from video2act_ros.nodes.command_watch import INTRUDER
from video2act_ros.nodes.demo_node import DemoNode, StackFailure
from video2act_ros.nodes.fault_watch import FaultWatch
from video2act_ros.ros import qos
from video2act_ros.ros.runner import StackRunner

ANSWER_S = 10.0
SLOW_PERIOD_S = 0.1
SLOW_FACTOR = 10
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


def sim_fault(fault: str) -> Action:
    """Set the simulated robot's `fault` parameter."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        node = bench.node
        client = node.create_client(SetParameters, "sim_robot/set_parameters")

        def put(value: str) -> None:
            request = SetParameters.Request(parameters=[Parameter("fault", value=value).to_parameter_msg()])
            result = node.call(client, request, ANSWER_S).results[0]
            if not result.successful:
                raise StackFailure(f"the simulated robot refused the fault {value}: {result.reason}")

        def begin() -> float | None:
            put(fault)
            node.wait_for(
                lambda: bench.watch.begun_s(fault) is not None, ANSWER_S, f"the fault {fault} to be in force"
            )
            return bench.watch.begun_s(fault)

        try:
            yield begin
            put("none")
        finally:
            node.destroy_client(client)

    return action


def kill(executable: str) -> Action:
    """SIGKILL a process; undone by starting it again."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        yield lambda: os.kill(bench.stack.pid(executable), signal.SIGKILL)
        bench.stack.restart(executable)

    return action


def pause(executable: str) -> Action:
    """SIGSTOP a process; undone by letting it run on."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        pid = bench.stack.pid(executable)
        with _continued_at_end(pid):
            yield lambda: os.kill(pid, signal.SIGSTOP)

    return action


@contextlib.contextmanager
def _continued_at_end(pid: int) -> Iterator[None]:
    """Let a process run again at the end, however that is reached."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def slow(executable: str) -> Action:
    """Let a process run a tenth of the time."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        pid, stopping = bench.stack.pid(executable), threading.Event()

        def run() -> None:
            raise_scheduling_class(JUDGE_PRIORITY)
            with contextlib.suppress(ProcessLookupError):
                while not stopping.is_set():
                    os.kill(pid, signal.SIGCONT)
                    stopping.wait(SLOW_PERIOD_S / SLOW_FACTOR)
                    os.kill(pid, signal.SIGSTOP)
                    stopping.wait(SLOW_PERIOD_S * (1.0 - 1.0 / SLOW_FACTOR))

        thread = threading.Thread(target=run, name="slow_down")
        with _continued_at_end(pid):
            try:
                yield thread.start
            finally:
                stopping.set()
                if thread.ident is not None:
                    thread.join()

    return action


def chunks(spoil: Callable[[ActionChunk], None]) -> Action:
    """Pause System 1 and publish its newest chunk in its place and at its rate, current but spoilt."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        node, pid = bench.node, bench.stack.pid("system1_node")
        stand_in = _system1_node(node)
        publisher = stand_in.create_publisher(ActionChunk, "action_chunk", qos.DATA)
        _wait_for_listener(node, publisher, "action_chunk", 2)  # the command node and ourselves
        timers: list[Any] = []

        def begin() -> None:
            os.kill(pid, signal.SIGSTOP)
            template = copy.deepcopy(node.newest_chunk)

            def publish() -> None:
                message = _renewed(template, node)
                spoil(message)
                with contextlib.suppress(InvalidHandle):  # the executor may still be in here at the end
                    publisher.publish(message)

            publish()
            timers.append(node.create_timer(1.0 / System1Config().rate_hz, publish))

        with _continued_at_end(pid):
            try:
                yield begin
            finally:
                for timer in timers:
                    node.destroy_timer(timer)
                stand_in.destroy_node()

    return action


def _system1_node(node: DemoNode) -> Node:
    """Return a node of System 1's name: under another one its chunks would be refused as a stranger's."""
    return Node(
        System1Config.NODE_NAME,
        context=node.context,
        namespace=node.get_namespace(),
        enable_rosout=False,
        start_parameter_services=False,
    )


def second_publisher() -> Action:
    """Repeat every joint command on its own topic, as a forgotten relay or a replayed bag does."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        node = bench.node
        topic = node.profile.commands[0].topic
        made: list[Any] = []

        def begin() -> None:
            publisher = node.create_publisher(JointTrajectory, topic, qos.COMMAND)

            def repeat(message: JointTrajectory) -> None:
                if message.header.frame_id != INTRUDER:
                    message.header.frame_id = INTRUDER
                    with contextlib.suppress(InvalidHandle):  # the executor may still be in here at the end
                        publisher.publish(message)

            made.append(publisher)
            made.append(node.create_subscription(JointTrajectory, topic, repeat, qos.COMMAND))

        try:
            yield begin
        finally:
            for publisher, subscription in zip(made[::2], made[1::2], strict=True):
                node.destroy_subscription(subscription)
                node.destroy_publisher(publisher)

    return action


def emergency_stop() -> Action:
    """Publish true on `emergency_stop`, as a wired switch does; undone by false."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        publisher = bench.node.create_publisher(Bool, "emergency_stop", qos.DATA)
        try:
            _wait_for_listener(bench.node, publisher, "emergency_stop", 1)
            yield lambda: publisher.publish(Bool(data=True))
            publisher.publish(Bool(data=False))
            publisher.wait_for_all_acked(Duration(seconds=ANSWER_S))
        finally:
            bench.node.destroy_publisher(publisher)

    return action


def _wait_for_listener(node: DemoNode, publisher: Any, topic: str, count: int) -> None:
    node.wait_for(
        lambda: publisher.get_subscription_count() >= count,
        ANSWER_S,
        f"the command node to listen to {topic}",
    )


def _renewed(template: ActionChunk, node: DemoNode) -> ActionChunk:
    """Return a copy of a chunk as if observed now, in the current epoch."""
    message, now = copy.deepcopy(template), node.get_clock().now().to_msg()
    message.header.stamp = message.joint_stamp = message.latent_stamp = now
    message.image_stamps = [now] * len(message.image_stamps)
    message.sequence = (node.newest_chunk or template).sequence + 1
    message.epoch = node.state.epoch if node.state else template.epoch
    return message
