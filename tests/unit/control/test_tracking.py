import numpy as np
import pytest

from video2act_ros.control.tracking import LASTING_S, TrackingWatch
from video2act_ros.core.thresholds import Outcome, Threshold
from video2act_ros.core.types import seconds_to_ns

PERIOD_S = 0.02


@pytest.fixture
def watch(profile):
    thresholds = profile.thresholds.model_copy(update={"tracking_error_rad": Threshold(hold=0.2, fault=0.5)})
    return TrackingWatch(profile.model_copy(update={"thresholds": thresholds}), PERIOD_S)


def run(watch, make_joints, command, measured, duration_s=2.0):
    """Return the first problem and when it came, of `command(t)` and `measured(t)` (J,)."""
    for tick in range(round(duration_s / PERIOD_S)):
        time_s = 10.0 + tick * PERIOD_S
        watch.record(seconds_to_ns(time_s), np.asarray(command(tick * PERIOD_S)))
        problem = watch.problem(make_joints(time_s, measured(tick * PERIOD_S)))
        if problem is not None:
            return problem, tick * PERIOD_S
    return None


@pytest.mark.parametrize("lag_s", [0.0, 0.1, 0.2, 0.28])
def test_a_servo_that_follows_late_has_no_error(watch, make_joints, lag_s):
    """Full speed with a lag of up to 0.3 s never triggers, though the raw difference is 0.5 rad."""

    def path(time_s):
        return np.full(3, np.sin(2.0 * max(time_s, 0.0)))

    assert run(watch, make_joints, path, lambda t: path(t - lag_s), 4.0) is None


def test_a_blocked_joint_is_named_first_hold_then_fault(watch, make_joints):
    """A joint that does not move while the command goes on: value, limit and joint are told."""
    problem, _ = run(watch, make_joints, lambda t: [0.0, t, 0.0], lambda t: [0.0] * 3)
    assert problem.outcome is Outcome.HOLD
    assert problem.text.startswith("tracking error of elbow (0.")
    assert "limit 0.2 rad" in problem.text
    for tick in range(100, 140):
        watch.record(seconds_to_ns(10.0 + tick * PERIOD_S), np.array([0.0, 2.0, 0.0]))
        problem = watch.problem(make_joints(10.0 + tick * PERIOD_S))
    assert problem.outcome is Outcome.FAULT


def test_a_joint_that_moves_on_its_own_is_noticed(watch, make_joints):
    """Also while the command stands."""
    problem, after_s = run(watch, make_joints, lambda t: [0.0] * 3, lambda t: [t, 0.0, 0.0])
    assert "shoulder" in problem.text
    assert after_s == pytest.approx(0.2 + LASTING_S, abs=0.05)


def test_grippers_are_exempt(watch, make_joints):
    """They close on objects."""
    assert run(watch, make_joints, lambda t: [0.0, 0.0, 1.0], lambda t: [0.0] * 3) is None


def test_one_broken_sample_is_no_error(watch, make_joints):
    """Only what lasts counts."""
    assert run(watch, make_joints, lambda t: [0.0] * 3, lambda t: [2.0 * (round(t, 2) == 0.5), 0, 0]) is None


def test_before_the_first_command_there_is_nothing_to_compare(watch, make_joints):
    """An arm that was just taken, or let go, has no error."""
    assert watch.error(make_joints(10.0)) is None
    watch.record(seconds_to_ns(10.1), np.ones(3))
    assert watch.error(make_joints(10.0)) is None
    np.testing.assert_array_equal(watch.error(make_joints(10.2)), [1.0, 1.0, 0.0])
    watch.clear()
    assert watch.error(make_joints(10.2)) is None
