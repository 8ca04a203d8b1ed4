"""The mock robot follows commands within the profile's limits, whatever the profile; its cameras show the joints."""

from pathlib import Path

import numpy as np
import pytest

from video2act_ros.core.errors import InputError
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.sim.driver import TrajectoryPoint
from video2act_ros.sim.mock_cameras import MockCamera
from video2act_ros.sim.mock_robot import MockRobot

PROFILES = sorted((Path(__file__).parents[3] / "config" / "robots").glob("*.yaml"))
PERIOD_S = 0.01


def profiles():
    return pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)


@profiles()
def test_commands_far_away_are_followed_within_position_and_velocity_limits(path):
    """No command can make a joint faster than it is, or leave its range."""
    profile = load_robot_profile(path)
    robot = MockRobot(profile, 0.2)
    before = robot.step(0.0)[0]
    low, high = profile.array("position_min"), profile.array("position_max")
    for step in range(1, 100):
        now_s = step * PERIOD_S
        for index, output in enumerate(profile.commands):
            far = np.full(len(output.joints), 100.0)
            point = TrajectoryPoint(now_s + 0.02, far, np.zeros_like(far))
            robot.command(index, output.joints, [point], now_s)
        positions, velocities = robot.step(now_s)
        assert np.all(np.abs(positions - before) <= profile.array("velocity_max") * PERIOD_S + 1e-9)
        assert np.all((low <= positions) & (positions <= high))
        assert np.allclose(velocities, (positions - before) / PERIOD_S)
        before = positions
    assert np.any(before != profile.array("start"))


@profiles()
def test_without_commands_the_robot_brakes_and_stands(path):
    """Every output's driver has a time-out of its own, as a real driver should."""
    profile = load_robot_profile(path)
    robot = MockRobot(profile, 0.05)
    for index, output in enumerate(profile.commands):
        target = robot.step(0.0)[0][[profile.joint_names.index(name) for name in output.joints]]
        moving = np.full(len(target), 0.01)
        robot.command(index, output.joints, [TrajectoryPoint(10.0, target, moving)], 0.0)
    assert robot.abandoned_s(0.04) is None
    for step in range(1, 200):
        robot.step(step * PERIOD_S)
    assert np.all(robot.step(2.01)[1] == 0.0)
    assert robot.abandoned_s(2.01) == pytest.approx(2.01)


@profiles()
def test_every_joint_is_on_a_joint_state_topic(path):
    """Together the topics carry every joint, each with the name that its driver uses."""
    profile = load_robot_profile(path)
    assert {joint for joints in profile.carried_joints for joint in joints} == set(profile.joint_names)


def test_topics_without_names_carry_what_no_other_lists(robot_profile):
    """Two topics without a list of names cannot be told apart: both carry everything."""
    assert robot_profile.carried_joints == (robot_profile.joint_names, robot_profile.joint_names)


def test_it_is_idle_once_every_driver_is(robot_profile):
    """Until then the process of the mock driver stays, as a real arm would."""
    robot = MockRobot(robot_profile, 0.2)
    names = robot_profile.joint_names
    assert robot.is_idle(0.0)
    robot.command(0, names, [TrajectoryPoint(0.5, np.array([0.1, 0.0, 0.0]), np.zeros(3))], 0.1)
    robot.step(0.2)
    assert not robot.is_idle(0.2)
    for now_s in np.arange(0.21, 1.5, 0.01):
        robot.step(now_s)
    assert robot.is_idle(1.5)


def test_a_command_for_unknown_joints_is_refused(robot_profile):
    """The driver's own check stays: nothing is followed half."""
    robot = MockRobot(robot_profile, 0.2)
    point = TrajectoryPoint(1.0, np.zeros(1), np.zeros(1))
    with pytest.raises(InputError, match="must name each of the 3 joints once"):
        robot.command(0, ["wing"], [point], 0.0)


def test_images_follow_every_joint_and_are_never_dark_or_frozen():
    """Each joint changes the image by itself; two images of one pose differ by the sensor's noise."""
    camera = MockCamera(1, 7, 160, 120, 0.0)
    still = camera.render(np.full(7, 0.5))
    assert still.shape == (120, 160, 3)
    assert still.std() > 20.0
    for joint in range(7):
        fractions = np.full(7, 0.5)
        fractions[joint] += 0.02
        assert np.any(camera.render(fractions) != still)
    noisy = MockCamera(0, 7, 160, 120, 2.0)
    assert np.any(noisy.render(np.zeros(7)) != noisy.render(np.zeros(7)))
    assert np.any(MockCamera(0, 7, 160, 120, 0.0).render(np.full(7, 0.5)) != still)
