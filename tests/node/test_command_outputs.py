"""Command messages, in the robot's own units."""

import numpy as np
import pytest

from video2act_ros.control.command import Command
from video2act_ros.control.limiter import JointLimits, Limiter
from video2act_ros.core.motion import MotionState
from video2act_ros.core.robot_profile import CommandOutput, load_robot_profile
from video2act_ros.ros import environment
from video2act_ros.ros.command_inputs import CommandReader
from video2act_ros.ros.command_outputs import CommandConverter
from video2act_ros.ros.convert import duration_to_s

PERIOD_S = 0.02


@pytest.fixture
def aloha():
    return load_robot_profile(environment.resolve_profile("aloha_sim"))


def test_the_braking_tail_obeys_every_limit_in_the_robots_units(aloha):
    """Points in rising order, last at rest; speeds, and their changes between points, within the joints' limits."""
    limits = JointLimits.of(aloha)
    limiter = Limiter(limits, PERIOD_S)
    limiter.reset(np.clip(aloha.limits("start"), limits.position_min, limits.position_max))
    converter = CommandConverter(aloha, aloha.commands[0], PERIOD_S)
    rng = np.random.default_rng(0)
    longest = 0
    for tick in range(300):
        if tick % 25 == 0:
            goal = MotionState.at_rest(rng.uniform(limits.position_min, limits.position_max))
        message = converter.message(Command(0, limiter.step(goal), limiter.braking(PERIOD_S)))
        times = np.array([duration_to_s(point.time_from_start) for point in message.points])
        positions = np.array([point.positions for point in message.points])  # (N, J)
        velocities = np.array([point.velocities for point in message.points])
        longest = max(longest, len(times))
        assert times[0] == pytest.approx(PERIOD_S)
        assert np.all(np.diff(times) > 0.0)
        np.testing.assert_allclose(velocities[-1], 0.0, atol=1e-9)
        assert np.all(positions >= aloha.array("position_min") - 1e-9)
        assert np.all(positions <= aloha.array("position_max") + 1e-9)
        assert np.all(np.abs(velocities) <= aloha.array("velocity_max") * (1 + 1e-6))
        spans = np.diff(times)[:, None]
        assert np.all(np.abs(np.diff(positions, axis=0)) <= spans * aloha.array("velocity_max") + 1e-7)
        assert np.all(np.abs(np.diff(velocities, axis=0)) <= spans * aloha.array("acceleration_max") + 1e-6)
    assert longest > 4


def test_grippers_are_sent_in_the_robots_range(aloha):
    """0 is the closed end and 1 the open one; rates scale without offset."""
    state = MotionState(np.zeros(14), np.ones(14), np.zeros(14))
    (point,) = CommandConverter(aloha, aloha.commands[0], PERIOD_S).message(Command(0, state)).points
    assert point.positions[6] == pytest.approx(0.01844)
    assert point.velocities[6] == pytest.approx(0.058 - 0.01844)
    assert (point.positions[0], point.velocities[0]) == (0.0, 1.0)


@pytest.mark.parametrize("velocities", [False, True])
def test_a_joint_state_carries_positions_only_unless_the_profile_asks_for_velocities(
    robot_profile, velocities
):
    """A driver may take them for something else: the Piper's reads the seventh as its speed in per cent."""
    output = CommandOutput(
        topic="commands", type="joint_state", joints=robot_profile.joint_names, velocities=velocities
    )
    state = MotionState(np.array([0.1, 0.2, 0.5]), np.array([0.3, 0.4, 0.5]), np.zeros(3))
    message = CommandConverter(robot_profile, output, PERIOD_S).message(Command(7, state))
    assert list(message.position[:2]) == [0.1, 0.2]
    assert list(message.velocity[:2]) == ([0.3, 0.4] if velocities else [])
    assert list(message.effort) == []
    _, (point,) = CommandReader(output).read(message, 1.0, 0)
    assert list(point.positions) == list(message.position)


def test_a_short_way_to_rest_keeps_its_time_and_the_message_lasts(aloha):
    """The last moving message of a motion: at rest after one period, and over only long after its stamp.

    Were the point of rest itself due later, a controller would stretch the motion that other messages settled.
    """
    moving = MotionState(np.zeros(14), np.full(14, 0.05), np.full(14, -2.5))
    rest = MotionState.at_rest(np.full(14, 0.0005))
    converter = CommandConverter(aloha, aloha.commands[0], PERIOD_S)
    ends = {
        "after one period": Command(0, rest, (), moving),
        "after two": Command(0, moving, ((PERIOD_S, rest),), moving),
        "standing": Command(0, rest, (), rest),
    }
    for name, command in ends.items():
        points = converter.message(command).points
        times = [duration_to_s(point.time_from_start) for point in points]
        at_rest = times[1] if name != "after two" else times[2]
        assert at_rest == pytest.approx(PERIOD_S if name != "after two" else 2 * PERIOD_S), name
        assert times[-1] == pytest.approx(0.2), name
        assert list(points[-1].positions) == list(points[-2].positions), name
        assert not any(points[-1].velocities), name
