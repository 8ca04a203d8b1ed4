"""Numbers of a URDF that nobody can mean are never taken; those that nobody may have looked up are marked."""

import math

import pytest

from video2act_ros.core.draft_limits import CAUTIOUS_SPEED, draft_limits
from video2act_ros.core.urdf import FULL_TURN, UrdfJoint


def joint(low=-1.5, high=1.2, speed=2.1, kind="revolute"):
    return UrdfJoint("j", kind, low, high, speed)


@pytest.mark.parametrize("speed", [10.0, 1000.0, 10000.0, 8.8, math.inf, -1.0, None])
def test_a_speed_that_no_arm_has_becomes_a_cautious_one(speed):
    """1000 rad/s would make 250 the limit of commands."""
    limits = draft_limits(joint(speed=speed))
    assert limits.speed == CAUTIOUS_SPEED[True]
    assert "velocity_max" in limits.remarks[0]


@pytest.mark.parametrize("speed", [5.0, 100.0])
def test_a_sliding_joint_has_a_bound_of_its_own(speed):
    """In m/s: jaws of 5 m/s are a placeholder, as 5 rad/s are not."""
    limits = draft_limits(joint(0.0, 0.04, speed, "prismatic"))
    assert limits.speed == CAUTIOUS_SPEED[False]
    assert limits.remarks


@pytest.mark.parametrize("speed", [0.1, 1.0])
def test_a_round_speed_is_taken_and_marked(speed):
    """It may be true."""
    limits = draft_limits(joint(speed=speed))
    assert limits.speed == speed
    assert "round" in limits.remarks[0]


@pytest.mark.parametrize("speed", [2.175, 2.61, 3.15, 5.26, 6.28])
def test_what_manufacturers_write_is_taken_without_a_mark(speed):
    """A mark on everything marks nothing."""
    limits = draft_limits(joint(speed=speed))
    assert (limits.low, limits.high, limits.speed, limits.remarks) == (-1.5, 1.2, speed, ())


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-1000.0, 1000.0, (-FULL_TURN, FULL_TURN)),
        (-180.0, 90.0, (-FULL_TURN, FULL_TURN)),  # degrees
        (-2.5, 9.25, (-2.5, FULL_TURN)),
        (-math.inf, math.inf, (-FULL_TURN, FULL_TURN)),
        (150.0, 190.0, (None, None)),
    ],
)
def test_a_range_that_no_joint_has_is_cut_or_asked(low, high, expected):
    """Never wider than the URDF, and never beyond a turn; where nothing is left somebody fills it in."""
    limits = draft_limits(joint(low, high))
    assert (limits.low, limits.high) == expected
    assert "position_min and position_max" in limits.remarks[0]


def test_a_sliding_joints_range_is_asked():
    """There is no turn to cut it to."""
    limits = draft_limits(joint(-1000.0, 1000.0, 0.2, "prismatic"))
    assert (limits.low, limits.high) == (None, None)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1.0), (-0.1, 0.1)])
def test_a_round_range_is_marked(low, high):
    """It may be true."""
    limits = draft_limits(joint(low, high))
    assert (limits.low, limits.high) == (low, high)
    assert "round" in limits.remarks[0]
