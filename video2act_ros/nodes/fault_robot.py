"""Faults of the simulated robot, and how each is undone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from trajectory_msgs.msg import JointTrajectory

from video2act_ros.core.config import SimRobotConfig
from video2act_ros.nodes.demo_node import StackFailure
from video2act_ros.nodes.fault_bench import ANSWER_S, Action, Begin, Bench, quiet_node
from video2act_ros.nodes.fault_watch import NO_FAULT, SERVOS_OFF
from video2act_ros.ros import qos

FALL_S = (
    2.0  # in which a limp arm has fallen onto the table, and set-points within limits can have followed it
)


@contextlib.contextmanager
def _sim_faults(bench: Bench) -> Iterator[Callable[[str], float]]:
    """Yield what sets the simulated robot's `fault` parameter and returns since when that is in force [s]."""
    node, watch = bench.node, bench.watch
    client = node.create_client(SetParameters, "sim_robot/set_parameters")

    def put(fault: str) -> float:
        request = SetParameters.Request(parameters=[Parameter("fault", value=fault).to_parameter_msg()])
        result = node.call(client, request, ANSWER_S).results[0]
        if not result.successful:
            raise StackFailure(f"the simulated robot refused the fault {fault}: {result.reason}")
        node.wait_for(lambda: watch.sim_fault == fault, ANSWER_S, f"the fault {fault} to be in force")
        return watch.sim_fault_s

    try:
        yield put
    finally:
        node.destroy_client(client)


def sim_fault(fault: str) -> Action:
    """Set the simulated robot's `fault` parameter."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        with _sim_faults(bench) as put:
            yield lambda: put(fault)
            put(NO_FAULT)

    return action


def servos_off() -> Action:
    """Take the servos' power, wait until that is noticed and the arm has fallen, and give it back: that begins it."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        node, watch = bench.node, bench.watch
        with _sim_faults(bench) as put:

            def begin() -> float:
                off_s = put(SERVOS_OFF)
                node.wait_for(
                    lambda: watch.stopped_s(off_s) is not None, ANSWER_S, "somebody to notice the limp arm"
                )
                fallen_s = (watch.stopped_s(off_s) or off_s) + FALL_S
                node.wait_for(lambda: watch.sampled_s >= fallen_s, ANSWER_S, "the limp arm to fall")
                return put(NO_FAULT)

            yield begin
            put(NO_FAULT)

    return action


def recorder_only() -> Action:
    """Let the arm's driver be deaf to commands while a bag recorder listens to them."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        node = bench.node
        topic = node.resolve_topic_name(node.profile.commands[0].topic)
        recorder = quiet_node("rosbag2_recorder", node)
        recorder.create_subscription(JointTrajectory, topic, lambda _message: None, qos.DATA)

        def driven() -> bool:
            names = {info.node_name for info in node.get_subscriptions_info_by_topic(topic)}
            return SimRobotConfig.NODE_NAME in names

        try:
            with _sim_faults(bench) as put:

                def begin() -> float:
                    since_s = put("deaf")
                    node.wait_for(lambda: not driven(), ANSWER_S, "the driver to be gone")
                    return since_s

                yield begin
                put(NO_FAULT)
                node.wait_for(driven, ANSWER_S, "the driver to be back")
        finally:
            recorder.destroy_node()

    return action
