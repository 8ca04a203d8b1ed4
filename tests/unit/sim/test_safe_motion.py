"""The safe source's motion: at rest at the start pose, small, slow and inside the limits, on any robot."""

from pathlib import Path

import numpy as np
import pytest

from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.sim.safe_motion import LARGEST, PERIOD_S, SHARE_OF_LIMITS, SafeMotion

PROFILES = sorted((Path(__file__).parents[3] / "config" / "robots").glob("*.yaml"))
STEP_S = 1e-3


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_it_is_small_and_slow_on_every_shipped_robot(path):
    """Around the start pose, never outside the range, with a quarter of every limit at most."""
    profile = load_robot_profile(path)
    start = profile.limits("start")
    positions = SafeMotion(profile).positions(np.arange(0.0, 2 * PERIOD_S, STEP_S))
    assert np.array_equal(positions[0], start)
    assert np.all(np.abs(positions - start) <= LARGEST + 1e-12)
    assert np.all(profile.limits("position_min") <= positions)
    assert np.all(positions <= profile.limits("position_max"))
    rates = positions
    for limit in ("velocity_max", "acceleration_max", "jerk_max"):
        rates = np.diff(rates, axis=0) / STEP_S
        assert np.all(np.abs(rates) <= 1.01 * SHARE_OF_LIMITS * profile.limits(limit) + 1e-3)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_joint_moves_so_that_it_is_seen(path):
    """A joint that stands at an end of its range, too; it returns to its start."""
    profile = load_robot_profile(path)
    positions = SafeMotion(profile).positions(np.array([0.0, PERIOD_S / 2, PERIOD_S]))
    assert np.all(np.abs(positions[1] - positions[0]) > 0.01)
    assert np.allclose(positions[2], positions[0])


def test_chunks_of_one_motion_agree(robot_profile):
    """It is a function of time alone: what one chunk says of a moment, the next one says, too."""
    motion = SafeMotion(robot_profile)
    first, second = motion.positions(np.arange(0.0, 2.0, 0.05)), motion.positions(np.arange(0.5, 2.5, 0.05))
    assert np.allclose(first[10:], second[:30])


def test_a_slow_joint_swings_less(robot_profile):
    """The amplitude gives way, not the limits."""
    joints = [robot_profile.joints[0].model_copy(update={"velocity_max": 0.01}), *robot_profile.joints[1:]]
    slow = robot_profile.model_copy(update={"joints": tuple(joints)})
    at = np.array([PERIOD_S / 2])
    usual, less = SafeMotion(robot_profile).positions(at)[0], SafeMotion(slow).positions(at)[0]
    assert 0 < less[0] < usual[0]
    assert np.array_equal(less[1:], usual[1:])
