"""What an operator asks of a running stack: one service call from a plain shell."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.exceptions import InvalidNamespaceException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from video2act_msgs.msg import RunState
from video2act_msgs.srv import ResetSimulation, SetInstruction
from video2act_ros.core.errors import ConfigurationError, Video2ActError
from video2act_ros.ros import qos
from video2act_ros.ros.start import refusals_in_one_line, start_ros

TIMEOUT_S = 5.0
ATTEMPTS = 3  # of what may be repeated: answers are lost while nodes get to know each other
TOPIC_S = 1.0  # without an answer, until an emergency stop also goes out on its topic

_SPIN_S = 0.02
_RELEASE_S = 1.0  # for the topic's last message to arrive


class CallFailed(Video2ActError):
    """The service does not exist, did not answer, or refused."""


def engage(namespace: str) -> str:
    """Let the policy drive; return the node's answer."""
    return _call(Trigger, "engage", Trigger.Request(), namespace, ATTEMPTS)


def disengage(namespace: str) -> str:
    """Brake to a hold and stop sending commands; return the node's answer."""
    return _call(Trigger, "disengage", Trigger.Request(), namespace, ATTEMPTS)


def move_to_start(namespace: str) -> str:
    """Begin the slow way to the start pose, from shadow; return the node's answer."""
    return _call(Trigger, "move_to_start", Trigger.Request(), namespace)


def emergency_stop(namespace: str) -> str:
    """Brake at once and stay until disengaged; return the node's answer.

    Where the service does not answer soon, the stop goes out on its topic as well, and the run state counts as an
    answer. The topic is released again, unless somebody held it already: it forbids to engage while it is pressed.
    """
    with _operator(namespace) as (node, executor):
        stop = _Stop(node)
        call = _ServiceCall(node, Trigger, "emergency_stop", Trigger.Request(), ATTEMPTS)
        start_s, asked_s = time.monotonic(), math.inf
        while not call.over and not (stop.in_force and time.monotonic() - asked_s > TOPIC_S):
            executor.spin_once(timeout_sec=_SPIN_S)
            call.follow()
            if time.monotonic() - start_s > TOPIC_S:
                stop.press()
            if call.sent or stop.pressed:
                asked_s = min(asked_s, time.monotonic())
        stop.release()
        if call.answer is None and stop.in_force:
            return "emergency stop, as the run state says; disengage, then engage to go on"
        return call.result()


def instruct(instruction: str, namespace: str) -> str:
    """Change the instruction; return the node's answer."""
    request = SetInstruction.Request(instruction=instruction)
    return _call(SetInstruction, "set_instruction", request, namespace, ATTEMPTS)


def reset_simulation(seed: int | None, namespace: str) -> str:
    """Reset the simulated robot, to the next seed when `seed` is None; return the node's answer."""
    request = ResetSimulation.Request(use_seed=seed is not None, seed=seed or 0)
    return _call(ResetSimulation, "sim_robot/reset", request, namespace)


def _call(service: type[Any], name: str, request: Any, namespace: str, attempts: int = 1) -> str:
    """Call `name` in `namespace`, up to `attempts` times until it answers; return the answer's message.

    Raises:
        CallFailed: with the remedy, or the node's own reason.
    """
    with _operator(namespace) as (node, executor):
        call = _ServiceCall(node, service, name, request, attempts)
        while not call.over:
            executor.spin_once(timeout_sec=_SPIN_S)
            call.follow()
        return call.result()


@contextmanager
def _operator(namespace: str) -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    """Yield a node in a ROS context of its own, and what spins it."""
    context = rclpy.Context()
    start_ros(context)
    try:
        node = _make_node(context, namespace)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        try:
            yield node, executor
        finally:
            executor.shutdown()
            node.destroy_node()
    finally:
        rclpy.shutdown(context=context)


def _make_node(context: rclpy.Context, namespace: str) -> Node:
    try:
        with refusals_in_one_line():
            return Node(
                "operator",
                context=context,
                namespace=namespace,
                enable_rosout=False,
                start_parameter_services=False,
            )
    except InvalidNamespaceException as error:
        raise ConfigurationError(
            f"--namespace '{namespace}' is none: {' '.join(str(error).split())}"
        ) from error


class _ServiceCall:
    """One call: sent once the service is there, repeated where that is harmless, given up in the end."""

    def __init__(self, node: Node, service: type[Any], name: str, request: Any, attempts: int) -> None:
        self._client = node.create_client(service, name)
        self._request = request
        self._attempts = attempts
        self.sent = 0
        self._end_s = time.monotonic() + TIMEOUT_S
        self._again_s = 0.0
        self.answer: Any = None

    @property
    def over(self) -> bool:
        """Whether an answer came or none is waited for any more."""
        return self.answer is not None or time.monotonic() > self._end_s

    def follow(self) -> None:
        """Send the request where it is due."""
        now_s = time.monotonic()
        if self.sent == self._attempts or now_s < self._again_s or not self._client.service_is_ready():
            return
        if self.sent == 0:
            self._end_s = now_s + TIMEOUT_S
        self.sent += 1
        self._again_s = now_s + TIMEOUT_S / self._attempts
        self._client.call_async(self._request).add_done_callback(self._answered)

    def _answered(self, future: Any) -> None:
        self.answer = future.result()

    def result(self) -> str:
        """Return the answer's message; raise CallFailed without one, or where it is a refusal."""
        name = self._client.service_name
        if self.answer is not None:
            if not self.answer.success:
                raise CallFailed(self.answer.message or f"{name} refused, without a reason")
            return str(self.answer.message)
        if self.sent:
            raise CallFailed(f"{name} did not answer within {TIMEOUT_S:g} s; see the node's log")
        raise CallFailed(
            f"no service {name}; start the stack (`video2act run`), and give --namespace and ROS_DOMAIN_ID as it was "
            "started with; if it runs, `video2act doctor` tells what keeps its processes apart"
        )


class _Stop:
    """The emergency stop's topic, and what the run state says of it."""

    def __init__(self, node: Node) -> None:
        self._publisher = node.create_publisher(Bool, "emergency_stop", qos.LATCHED)
        self._before: bool | None = None  # whether a stop was in force at first
        self.pressed = False
        self.in_force = False  # by the newest run state
        node.create_subscription(RunState, "run_state", self._on_state, qos.LATCHED)

    def press(self) -> None:
        """Publish the stop, once somebody listens; only once."""
        if not self.pressed and self._publisher.get_subscription_count():
            self.pressed = True
            self._publisher.publish(Bool(data=True))

    def release(self) -> None:
        """Let the topic go, if this one pressed it and nobody else had; wait until all has arrived."""
        if self.pressed:
            if self._before is False:
                self._publisher.publish(Bool(data=False))
            self._publisher.wait_for_all_acked(Duration(seconds=_RELEASE_S))

    def _on_state(self, message: RunState) -> None:
        if self._before is None:
            self._before = message.emergency_stop
        self.in_force = message.emergency_stop
