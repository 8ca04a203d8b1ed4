"""What an operator asks of a running stack: one service call from a plain shell."""

from __future__ import annotations

from typing import Any

import rclpy
from rclpy.node import Node
from std_srvs.srv import Trigger

from video2act_msgs.srv import ResetSimulation, SetInstruction
from video2act_ros.core.errors import Video2ActError

TIMEOUT_S = 5.0
ATTEMPTS = 3  # of what may be repeated: answers are lost while nodes get to know each other


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
    """Brake at once and stay until disengaged; return the node's answer."""
    return _call(Trigger, "emergency_stop", Trigger.Request(), namespace, ATTEMPTS)


def instruct(instruction: str, namespace: str) -> str:
    """Change the instruction; return the node's answer."""
    return _call(
        SetInstruction,
        "set_instruction",
        SetInstruction.Request(instruction=instruction),
        namespace,
        ATTEMPTS,
    )


def reset_simulation(seed: int | None, namespace: str) -> str:
    """Reset the simulated robot, to the next seed when `seed` is None; return the node's answer."""
    request = ResetSimulation.Request(use_seed=seed is not None, seed=seed or 0)
    return _call(ResetSimulation, "sim_robot/reset", request, namespace)


def _call(service: type[Any], name: str, request: Any, namespace: str, attempts: int = 1) -> str:
    """Call `name` in `namespace`, up to `attempts` times until it answers; return the answer's message.

    Raises:
        CallFailed: with the remedy, or the node's own reason.
    """
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node("operator", context=context, namespace=namespace)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        client = node.create_client(service, name)
        if not client.wait_for_service(timeout_sec=TIMEOUT_S):
            raise CallFailed(
                f"no service {client.service_name}; start the stack (`video2act run`), and give --namespace "
                "and ROS_DOMAIN_ID as it was started with"
            )
        answer = None
        for _ in range(attempts):
            future = client.call_async(request)
            executor.spin_until_future_complete(future, timeout_sec=TIMEOUT_S / attempts)
            answer = future.result() if future.done() else None
            if answer is not None:
                break
        if answer is None:
            raise CallFailed(
                f"{client.service_name} did not answer within {TIMEOUT_S:g} s; see the node's log"
            )
        if not answer.success:
            raise CallFailed(answer.message)
        return str(answer.message)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
