"""What is settled ahead: consecutive commands agree about all that a driver may have done by the older one."""

from itertools import pairwise

import numpy as np
import pytest

from video2act_ros.control.arm_motion import ArmMotion
from video2act_ros.core.motion import MotionState

PERIOD_S = 0.02
BRIDGE_S = 0.04


def motion(profile, bridge_s=BRIDGE_S):
    return ArmMotion(profile, PERIOD_S, 0.15, 0.5, bridge_s)


def points(command):
    """Return what a command tells: times [s] (N,) since the epoch, and positions (N, J)."""
    way = [
        (0.0, command.start),
        (PERIOD_S, command.state),
        *((PERIOD_S + after_s, state) for after_s, state in command.braking),
    ]
    return np.array([command.stamp_ns / 1e9 + after_s for after_s, _ in way]), [state for _, state in way]


def told(command, time_s):
    """Return what a driver has been told for `time_s`, a multiple of the period; at the end it stands."""
    times, states = points(command)
    index = int(np.argmin(np.abs(times - min(time_s, times[-1]))))
    return states[index].positions


def random_target(rng, position):
    """Return a target nearby that moves anyhow."""
    return MotionState(
        position + rng.uniform(-0.2, 0.2, 3), rng.uniform(-1.5, 1.5, 3), rng.uniform(-5.0, 5.0, 3)
    )


def drive(arm, ticks, seed=0, missing=()):
    """Return the commands of a wild drive with holds; ticks in `missing` are not made."""
    rng = np.random.default_rng(seed)
    commands, missed, target = [], 0, None
    for tick in range(ticks):
        if tick in missing:
            missed += 1
            continue
        if tick % 17 == 0:
            target = random_target(rng, arm.positions) if rng.random() < 0.7 else None
        elif target is not None:
            target = target.advanced(PERIOD_S)
        commands.append(arm.step(round(tick * PERIOD_S * 1e9), target, missed))
        missed = 0
    return commands


@pytest.mark.parametrize("seed", range(5))
def test_a_late_message_agrees_with_the_one_before_it(profile, seed):
    """Up to the bridge after it was sent, and one period before that, a newer command changes nothing."""
    arm = motion(profile)
    arm.take(np.zeros(3))
    commands = drive(arm, 300, seed)
    for older, newer in pairwise(commands):
        for time_s in newer.stamp_ns / 1e9 + np.arange(0.0, BRIDGE_S + 1e-9, PERIOD_S):
            np.testing.assert_allclose(told(newer, time_s), told(older, time_s), atol=1e-12)


@pytest.mark.parametrize("missed", range(1, 9))
def test_after_missed_ticks_a_command_begins_where_the_driver_is(profile, missed):
    """It has gone what was settled, then the period as it went on, then the way to rest; nothing leaps."""
    for start in range(20, 60, 3):
        arm = motion(profile)
        arm.take(np.zeros(3))
        *_, before, after = drive(arm, start + missed + 1, start, range(start, start + missed))
        stamp_s = after.stamp_ns / 1e9
        assert stamp_s - before.stamp_ns / 1e9 == pytest.approx((missed + 1) * PERIOD_S)
        times, _ = points(before)
        on_the_grid = stamp_s <= times[-1] - PERIOD_S or stamp_s >= times[-1]
        if on_the_grid:
            np.testing.assert_allclose(after.start.positions, told(before, stamp_s), atol=1e-9)


def test_the_times_of_a_command_rise_and_its_end_rests(profile):
    """However the way to rest ends between the points: no two are due at the same nanosecond."""
    arm = motion(profile)
    arm.take(np.zeros(3))
    for command in drive(arm, 2000, 7):
        times, states = points(command)
        assert np.all(np.diff(np.round(times * 1e9).astype(np.int64)) > 0)
        assert not np.any(states[-1].velocities)


def test_an_arm_is_taken_where_it_stands(profile):
    """All that is settled is the measured pose itself."""
    arm = motion(profile)
    arm.take(np.array([0.3, -0.2, 0.5]))
    command = arm.step(0, None)
    assert command.braking == ()
    for state in (command.start, command.state):
        np.testing.assert_array_equal(state.positions, [0.3, -0.2, 0.5])


def test_it_stands_only_once_everything_that_was_told_is_at_rest(profile):
    """Whoever lets go of the arm then leaves nothing unfinished with any driver."""
    arm = motion(profile)
    arm.take(np.zeros(3))
    drive(arm, 30, 3)
    commands = []
    while not arm.stopped:
        commands.append(arm.step(round((31 + len(commands)) * PERIOD_S * 1e9), None))
    assert not np.any(commands[-1].start.velocities)
    assert commands[-1].braking == ()
    assert not np.any(commands[-1].state.velocities)


def test_without_trajectories_nothing_is_settled_ahead(profile):
    """A plain set-point is overwritten by the next: only one period lies between a decision and its effect."""
    output = profile.commands[0].model_copy(update={"type": "forward_position"})
    arm = motion(profile.model_copy(update={"commands": (output,)}))
    assert arm.lead_ns == 20_000_000
    assert motion(profile).lead_ns == 60_000_000
    assert motion(profile, 0.05).lead_ns == 80_000_000


def test_an_arm_that_lies_against_its_stop_is_taken_at_the_limit(profile):
    """Measured a hair outside; no command leaves the range. Farther out it is taken where it is, and moves inwards."""
    arm = motion(profile)
    arm.take(np.array([-2.004, 2.004, 0.5]))
    np.testing.assert_array_equal(arm.step(0, None).state.positions, [-2.0, 2.0, 0.5])
    arm.take(np.array([-2.3, 2.3, 0.5]))
    np.testing.assert_array_equal(arm.step(0, None).state.positions, [-2.3, 2.3, 0.5])
