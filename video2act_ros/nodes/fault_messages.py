"""Faults by messages that others send, and how each is undone."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from video2act_msgs.msg import ActionChunk
from video2act_ros.core.config import System1Config
from video2act_ros.core.priority import raise_scheduling_class
from video2act_ros.nodes.command_watch import INTRUDER
from video2act_ros.nodes.demo_node import DemoNode
from video2act_ros.nodes.fault_bench import (
    JUDGE_PRIORITY,
    Action,
    Begin,
    Bench,
    quiet_node,
    tell,
    wait_for_listener,
)
from video2act_ros.nodes.fault_processes import continued_at_end
from video2act_ros.ros import qos

LIE_PERIOD_S = 0.01


def chunks(spoil: Callable[[ActionChunk], None]) -> Action:
    """Pause System 1 and publish its newest chunk in its place and at its rate, current but spoilt."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        node, pid = bench.node, bench.stack.pid("system1_node")
        stand_in = quiet_node(System1Config.NODE_NAME, node)  # another name's chunks would be a stranger's
        publisher = stand_in.create_publisher(ActionChunk, "action_chunk", qos.DATA)
        wait_for_listener(node, publisher, "action_chunk", 2)  # the command node and ourselves
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

        with continued_at_end(pid):
            try:
                yield begin
            finally:
                for timer in timers:
                    node.destroy_timer(timer)
                stand_in.destroy_node()

    return action


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
    return tell("emergency_stop", Bool(data=True), Bool(data=False))


def lying_joint_states() -> Action:
    """Publish zeros for the same joints from a second node, as a forgotten driver or a replayed bag does.

    It begins with the first sample that everybody who listens gets: until then nobody has been lied to.
    """

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        node, stopping = bench.node, threading.Event()
        source = node.profile.joint_states[0]
        liar = quiet_node("leftover_driver", node)
        names = [source.names.get(name, name) for name in node.profile.joint_names]
        message = JointState(name=names, position=[0.0] * len(names), velocity=[0.0] * len(names))

        def lie(publisher: Publisher) -> None:
            raise_scheduling_class(JUDGE_PRIORITY)
            while not stopping.wait(LIE_PERIOD_S):
                message.header.stamp = node.get_clock().now().to_msg()
                publisher.publish(message)

        threads: list[threading.Thread] = []

        def begin() -> float:
            listeners = node.count_subscribers(source.topic)
            publisher = liar.create_publisher(JointState, source.topic, qos.SOURCE)
            wait_for_listener(node, publisher, source.topic, listeners)
            threads.append(threading.Thread(target=lie, args=(publisher,), name="liar"))
            started_s = time.time()
            threads[0].start()
            return started_s

        try:
            yield begin
        finally:
            stopping.set()
            for thread in threads:
                thread.join()
            liar.destroy_node()

    return action


def _renewed(template: ActionChunk, node: DemoNode) -> ActionChunk:
    """Return a copy of a chunk as if observed now, in the current epoch."""
    message, now = copy.deepcopy(template), node.get_clock().now().to_msg()
    message.header.stamp = message.joint_stamp = message.latent_stamp = now
    message.image_stamps = [now] * len(message.image_stamps)
    message.sequence = (node.newest_chunk or template).sequence + 1
    message.epoch = node.state.epoch if node.state else template.epoch
    return message
