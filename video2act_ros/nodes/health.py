"""Whether the nodes of a stack live: what a container's health check asks, every half a minute."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from video2act_ros.core.errors import ConfigurationError, Video2ActError, unknown_choice
from video2act_ros.ros.stack import MOCK, REAL_ROBOT, RECORDER, REPLAY_NODE, SIM_ROBOT
from video2act_ros.ros.start import refusals_in_one_line, start_ros

ACTIVE = "active"
NO_ANSWER = "no answer"
KNOWN_NODES = tuple(spec.name for spec in (*MOCK, SIM_ROBOT, RECORDER, REPLAY_NODE))
DEFAULT_NODES = tuple(spec.name for spec in REAL_ROBOT)

_ASK_AGAIN_S = 1.0  # answers are lost while nodes get to know each other
_SPIN_S = 0.05


class NotHealthy(Video2ActError):
    """A node does not answer, or is not active."""


def check_nodes(nodes: Sequence[str], namespace: str, timeout_s: float) -> None:
    """Return when every node answers within `timeout_s` that it is active.

    Raises:
        ConfigurationError: a name that no node of ours has; lists the known ones.
        NotHealthy: names each node that is not, its lifecycle state and what to look at.
    """
    for name in nodes:
        if name not in KNOWN_NODES:
            raise ConfigurationError(unknown_choice("node", name, KNOWN_NODES))
    states = lifecycle_states(nodes, namespace, timeout_s)
    ill = {name: state for name, state in states.items() if state != ACTIVE}
    if ill:
        told = ", ".join(f"{name}: {state}" for name, state in ill.items())
        raise NotHealthy(
            f"not active: {told}; see the node's log and /diagnostics. No answer also comes from another namespace, "
            "ROS_DOMAIN_ID or middleware than the stack's"
        )


def lifecycle_states(nodes: Iterable[str], namespace: str, timeout_s: float) -> dict[str, str]:
    """Return each node's lifecycle state, `NO_ANSWER` for one that gives none within `timeout_s`."""
    context = rclpy.Context()
    start_ros(context)
    with refusals_in_one_line():
        node = Node(
            "health",
            context=context,
            namespace=namespace,
            enable_rosout=False,
            start_parameter_services=False,
        )
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        clients = {name: node.create_client(GetState, f"{name}/get_state") for name in nodes}
        return _ask(clients, executor, time.monotonic() + timeout_s)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


def _ask(clients: dict[str, Client], executor: SingleThreadedExecutor, end_s: float) -> dict[str, str]:
    """Ask every node until it answers or the monotonic clock shows `end_s`."""
    states = dict.fromkeys(clients, NO_ANSWER)
    asked_s = dict.fromkeys(clients, 0.0)

    def answered(name: str, label: str) -> None:
        states[name] = label

    while NO_ANSWER in states.values() and (now_s := time.monotonic()) < end_s:
        for name, client in clients.items():
            if (
                states[name] is NO_ANSWER
                and now_s - asked_s[name] > _ASK_AGAIN_S
                and client.service_is_ready()
            ):
                asked_s[name] = now_s
                client.call_async(GetState.Request()).add_done_callback(
                    lambda future, name=name: answered(name, future.result().current_state.label)
                )
        executor.spin_once(timeout_sec=_SPIN_S)
    return states
