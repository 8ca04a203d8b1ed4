"""When an arm stood, and whether its measured joints stayed in bounds."""

import numpy as np
import pytest

from video2act_ros.control.limiter import JointLimits
from video2act_ros.control.stop_check import StopCheck, braking_time_s

PERIOD_S = 0.01
NO_TORQUE = np.zeros(3)


@pytest.fixture
def check(robot_profile):
    arm = ~np.array([joint.gripper for joint in robot_profile.joints])
    return StopCheck(JointLimits.of(robot_profile), arm)


def feed(check, positions, start_s=0.0):
    """Feed one joint's positions at 100 Hz; the others rest."""
    velocities = np.gradient(positions, PERIOD_S)
    for index, (position, velocity) in enumerate(zip(positions, velocities, strict=True)):
        check.add(
            start_s + index * PERIOD_S,
            np.array([0.0, position, 0.5]),
            np.array([0.0, velocity, 0.0]),
            NO_TORQUE,
        )


def test_the_stand_begins_where_the_motion_ends(check):
    """stopped_within_s counts to the start of the still window, not to its end."""
    moving = np.arange(100) * PERIOD_S * 0.5
    feed(check, np.concatenate([moving, np.full(100, moving[-1])]))
    assert check.stood_at_s(0.0) == pytest.approx(1.0, abs=0.02)
    assert check.stood_at_s(1.5) == pytest.approx(1.5, abs=0.011)
    assert check.stood_at_s(2.5) is None


def test_the_turning_point_of_a_motion_is_no_stand(check):
    """A joint that reverses passes through zero speed and goes on."""
    time_s = np.arange(300) * PERIOD_S
    feed(check, 0.2 * np.sin(2.0 * np.pi * time_s))
    assert check.stood_at_s(0.0) is None


def test_small_chatter_and_moving_fingers_do_not_hide_a_stand(check):
    """Servo noise of a milliradian, and a gripper at work."""
    random = np.random.default_rng(0)
    for index in range(50):
        positions = np.array([0.0, 0.3 + random.uniform(-1e-3, 1e-3), 0.5 + 0.01 * index])
        check.add(index * PERIOD_S, positions, np.zeros(3), NO_TORQUE)
    assert check.stood_at_s(0.0) == pytest.approx(0.0)


def test_measured_joints_may_pass_their_limits_by_a_tenth(check):
    """Positions by a tenth of the range, speeds by a tenth of the limit; not more."""
    check.add(0.0, np.array([2.3, 0.0, 0.5]), np.array([0.0, 1.05, 0.0]), NO_TORQUE)
    assert check.outside == 0
    check.add(0.01, np.array([2.5, 0.0, 0.5]), np.zeros(3), NO_TORQUE)
    check.add(0.02, np.zeros(3), np.array([0.0, -1.2, 0.0]), NO_TORQUE)
    assert check.outside == 2


def test_what_an_obstacle_does_to_the_speed_is_not_judged(check):
    """A blow on the arm and its end; positions are judged all the same, and a gripper's grasp is no blow."""
    fast, blow = np.array([0.0, -3.0, 0.0]), np.array([0.0, 5.0, 0.0])
    check.add(0.0, np.zeros(3), fast, blow)
    check.add(0.09, np.zeros(3), fast, NO_TORQUE)
    assert check.outside == 0
    assert check.pushed == 2
    assert check.largest_speed == 0.0
    check.add(0.2, np.array([2.5, 0.0, 0.5]), np.zeros(3), blow)
    assert check.outside == 1
    check.add(0.4, np.zeros(3), fast, np.array([0.0, 0.5, 50.0]))
    assert check.outside == 2
    assert check.pushed == 3


def test_braking_time_is_that_of_a_jerk_limited_stop(robot_profile):
    """1 rad/s at 4 rad/s² and 100 rad/s³: the deceleration is built up, kept and taken back."""
    arm_s = 1.0 / 4.0 + 4.0 / 100.0
    assert braking_time_s(robot_profile) == pytest.approx(arm_s)


def test_an_arm_without_power_may_fall_but_not_leap_when_it_has_returned(check):
    """What a limp arm does is no command's doing. Then every speed counts, whatever the arm lies on."""
    fast, lying = np.array([0.0, 5.0, 0.0]), np.array([0.0, 30.0, 0.0])
    check.add(0.0, np.zeros(3), fast, NO_TORQUE, powered=False)
    assert check.outside == 0
    check.add(0.01, np.zeros(3), np.zeros(3), lying)
    check.add(0.02, np.zeros(3), fast, lying)
    assert check.outside == 1
    check.add(0.52, np.zeros(3), np.zeros(3), lying)
    check.add(0.53, np.zeros(3), fast, lying)
    assert check.outside == 1


def test_the_travel_is_the_farthest_of_an_arm_joint_from_where_it_was_first(check):
    """Also when it comes back; fingers do not count."""
    for position in (0.1, 0.1, 0.4, -0.1, 0.1):
        check.add(0.0, np.array([0.0, position, position * 9.0]), np.zeros(3), NO_TORQUE)
    assert check.travel == pytest.approx(0.3)
