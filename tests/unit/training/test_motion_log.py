"""How smoothness and reaction are judged."""

import numpy as np
import pytest

from video2act_ros.core.types import seconds_to_ns
from video2act_ros.training.motion_log import MotionLog

PERIOD_S = 0.02
ARM = np.array([True, False])


def log_of(path, observed_s=lambda time_s: 0.0):
    log = MotionLog(ARM, PERIOD_S)
    for tick in range(100):
        time_s = tick * PERIOD_S
        positions = np.array([path(time_s), 99.0 * (tick % 2)])  # the gripper jumps and does not count
        log.add(seconds_to_ns(time_s), positions, positions, seconds_to_ns(observed_s(time_s)))
    return log.quality()


def test_the_jerk_of_a_cubic_is_its_third_derivative():
    """Jerks are third differences over the period, of the arm joints only."""
    quality = log_of(lambda time_s: 2.0 * time_s**3)
    assert quality.peak_jerk == pytest.approx(12.0)
    assert quality.rms_jerk == pytest.approx(12.0)
    assert quality.measured_peak_jerk == pytest.approx(12.0)


def test_a_step_is_seen_in_the_peak():
    """One jump of a command by 0.1 rad is two times 0.1 / period³ in the third difference."""
    assert log_of(lambda time_s: 0.1 * (time_s > 1.0)).peak_jerk == pytest.approx(0.2 / PERIOD_S**3)


def test_reaction_counts_from_the_event_to_the_first_command_that_could_know_it():
    """With an observation every 0.2 s that takes 0.1 s, an event waits 0.1 to 0.28 s."""

    def observed_s(time_s):
        return max(round((time_s - 0.1) / 0.2 - 0.499), 0) * 0.2

    quality = log_of(lambda time_s: 0.0, observed_s)
    assert quality.reaction_longest_s == pytest.approx(0.28)
    assert quality.reaction_median_s == pytest.approx(0.2, abs=0.021)


def test_ticks_before_the_first_chunk_do_not_count():
    """While nothing is executed the arm only settles after its reset."""
    log = MotionLog(ARM, PERIOD_S)
    for tick in range(10):
        log.add(seconds_to_ns(tick * PERIOD_S), np.full(2, float(tick % 2)), np.zeros(2), None)
    for tick in range(10, 20):
        log.add(seconds_to_ns(tick * PERIOD_S), np.zeros(2), np.zeros(2), 0)
    assert log.quality().peak_jerk == 0.0
