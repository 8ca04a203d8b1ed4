"""The 7-axis arm behind a joint trajectory controller, as real processes with the mock driver."""

import os
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest
import rclpy
from domains import new_domain
from mock_stack import Operator
from rclpy.context import Context

from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.core.safe_source import SAFE_SOURCE_WORDS
from video2act_ros.ros import environment
from video2act_ros.ros.runner import StackRunner
from video2act_ros.ros.spinning import spinning
from video2act_ros.ros.stack import MOCK

PROFILE = Path(__file__).parents[2] / "config" / "robots" / "franka_fr3.yaml"


@contextmanager
def running(tmp_path, monkeypatch, **arguments):
    """The mock stack in a domain of its own: (runner, operator)."""
    domain = new_domain()
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    environment.prepare()
    profile = load_robot_profile(PROFILE)
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    with (
        spinning(Operator(context, profile)) as operator,
        StackRunner(MOCK, {"robot": "franka_fr3"} | arguments, tmp_path / "logs") as runner,
    ):
        yield runner, operator
    rclpy.try_shutdown(context=context)


@pytest.fixture
def stack(tmp_path, monkeypatch, still_bundle_of):
    bundle = str(still_bundle_of(load_robot_profile(PROFILE)))
    with running(tmp_path, monkeypatch, system1_bundle=bundle, system2_bundle=bundle) as stack:
        yield stack


@pytest.mark.slow
def test_the_seven_axis_arm_is_engaged_and_holds_when_its_driver_dies(stack, tmp_path):
    """Shadow first, then commands inside the limits; a killed driver holds the arm; all end cleanly."""
    runner, operator = stack
    operator.wait_for_state("shadow")
    operator.wait_for(lambda: operator.state.chunk_age >= 0.0 or runner.failed(), "a chunk")
    assert runner.failed() is None
    assert operator.sent() == 0
    operator.engage()
    operator.wait_for_state("engaged")
    (commands,) = operator.commands.values()
    operator.wait_for(lambda: len(commands) >= 10, "commands")
    profile = load_robot_profile(PROFILE)
    for message in list(commands):
        assert message.joint_names == list(profile.joint_names)
        for joint, position in zip(profile.joints, message.points[0].positions, strict=True):
            assert joint.position_min <= position <= joint.position_max
    os.kill(runner.pid("mock_driver_node"), signal.SIGKILL)
    operator.wait_for_state("holding")
    runner.stop()
    statuses = runner.statuses()
    assert statuses.pop("mock_driver_node") == -signal.SIGKILL
    logs = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert set(statuses.values()) == {0}, (statuses, logs)


@pytest.mark.slow
def test_without_a_bundle_the_same_arm_is_engaged_and_moves(tmp_path, monkeypatch):
    """`run mock --robot franka_fr3` and `engage`: no model, a moving arm, every state says so, a clean end."""
    with running(tmp_path, monkeypatch) as (runner, operator):
        assert set(runner.running()) == {"safe_source_node", "command_node", "mock_driver_node"}
        operator.wait_for_state("shadow", SAFE_SOURCE_WORDS)
        operator.engage()
        operator.wait_for_state("engaged", SAFE_SOURCE_WORDS)
        (commands,) = operator.commands.values()
        profile = load_robot_profile(PROFILE)
        operator.wait_for(
            lambda: commands and moved(profile, commands[-1].points[0].positions) > 0.01, "motion"
        )
        os.kill(runner.pid("safe_source_node"), signal.SIGKILL)
        operator.wait_for_state("holding", "chunk of this epoch too old")
        runner.stop()
        statuses = runner.statuses()
        assert statuses.pop("safe_source_node") == -signal.SIGKILL
        assert set(statuses.values()) == {0}, statuses


def moved(profile, positions):
    """How far the joint that moved least is from its start [rad]."""
    return min(abs(position - joint.start) for joint, position in zip(profile.joints, positions, strict=True))
