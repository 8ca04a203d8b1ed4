"""The judge of sent commands finds each kind of violation, and none in what the limiter makes."""

import numpy as np
import pytest

from video2act_ros.control.limit_check import LimitCheck
from video2act_ros.control.limiter import JointLimits, Limiter
from video2act_ros.core.motion import MotionState

PERIOD_S = 0.02
PERIOD_NS = 20_000_000
LIMITS = JointLimits(*(np.full(2, value) for value in (-1.0, 1.0, 2.0, 8.0, 300.0)))


@pytest.fixture
def check():
    return LimitCheck(LIMITS, PERIOD_S)


def feed(check, positions, ticks=None):
    for index, value in enumerate(positions):
        tick = index if ticks is None else ticks[index]
        check.add(tick * PERIOD_NS + 1_000_000 * (index % 3), np.array([value, 0.0]))


def test_the_limiters_output_is_inside(check):
    """Whatever the targets, and although the stamps jitter."""
    limiter = Limiter(LIMITS, PERIOD_S)
    limiter.reset(np.zeros(2))
    random = np.random.default_rng(0)
    for tick in range(500):
        target = MotionState.at_rest(random.uniform(-2.0, 2.0, 2)) if tick % 20 < 9 else None
        state = limiter.step(target)
        check.add(tick * PERIOD_NS + int(random.integers(0, 5_000_000)), state.positions)
    assert (check.commands, check.outside, check.gaps) == (500, 0, 0)
    assert 0.5 < check.largest_acceleration <= 1.0 + 1e-6
    assert 0.5 < check.largest_jerk <= 1.0 + 1e-6


@pytest.mark.parametrize(
    "positions",
    [
        [1.1, 1.1],  # out of range
        [0.0, 0.05],  # 2.5 per second
        [0.0, 0.0, 0.01],  # 0.5 per second within one period: 25 per s²
        [0.0, 0.0, 0.003, 0.003],  # from 7.5 to -7.5 per s² within one period: 750 per s³
    ],
)
def test_each_kind_of_violation_counts(check, positions):
    """Position, velocity, acceleration and jerk are judged one by one."""
    feed(check, positions)
    assert check.outside > 0


def test_a_missing_command_is_no_violation_but_too_fast_across_it_is(check):
    """The mean velocity over the gap counts."""
    feed(check, [0.0, 0.06], ticks=[0, 2])
    assert (check.outside, check.gaps) == (0, 1)
    feed(check, [0.2], ticks=[4])
    assert check.outside == 1


def test_a_skipped_tick_is_no_acceleration(check):
    """The commands of a steady motion come later by a period, no faster and no slower."""
    speeds = np.array([0.16, 0.32, 0.48, 0.48, 0.48, 0.48])
    positions = np.concatenate([[0.0], np.cumsum(speeds * PERIOD_S)])
    feed(check, positions, ticks=[0, 1, 2, 3, 5, 6, 7])
    assert (check.outside, check.gaps) == (0, 1)
