"""Stamps of ticks are one period apart, however the clock is read."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from video2act_ros.control.tick_clock import TickClock
from video2act_ros.core.types import NS_PER_S

PERIOD_S = 0.02
START_S = 5000.0
MS = 1_000_000


def stamps(readings_ms, late_ms):
    """Tick with the other clock `readings_ms` off its true course and the thread `late_ms` behind."""
    clock = TickClock()
    due_s = START_S + PERIOD_S * np.arange(len(readings_ms))
    return np.array(
        [
            clock.stamp_ns(due, due + late * 1e-3, round((due + late * 1e-3 - 4000.0) * NS_PER_S + off * MS))
            for due, off, late in zip(due_s, readings_ms, late_ms, strict=True)
        ]
    )


@given(late_ms=st.lists(st.floats(0.0, 8.0), min_size=2, max_size=100))
def test_a_late_tick_is_stamped_by_its_deadline(late_ms):
    """The jitter of the thread does not show."""
    steps = np.diff(stamps(np.zeros(len(late_ms)), late_ms))
    assert np.all(np.abs(steps - 20 * MS) <= 1000)


@given(readings_ms=st.lists(st.floats(-10.0, 0.0), min_size=2, max_size=200))
def test_a_clock_that_moves_in_steps_gives_regular_stamps(readings_ms):
    """A simulated clock is read up to a step late; stamps follow its mean."""
    steps = np.diff(stamps(readings_ms, np.zeros(len(readings_ms))))
    assert np.all(np.abs(steps - 20 * MS) <= 0.5 * MS + 1)


def test_a_set_clock_is_followed_at_once():
    """A step is none of the jitter."""
    readings_ms = [0.0] * 5 + [10_000.0] * 5 + [-200.0] * 5
    steps = np.diff(stamps(readings_ms, np.zeros(15)))
    assert abs(steps[4] - 10_020 * MS) < 1000
    assert abs(steps[9] - (20 - 10_200) * MS) < 1000


def test_a_standing_clock_does_not_run_backwards():
    """While a simulation is paused stamps stand with it."""
    clock = TickClock()
    seen = [
        clock.stamp_ns(START_S + PERIOD_S * tick, START_S + PERIOD_S * tick, min(tick, 5) * 20 * MS)
        for tick in range(40)
    ]
    assert np.all(np.diff(seen) >= 0)
    assert abs(seen[-1] - 5 * 20 * MS) <= 15 * MS


def test_a_reading_that_took_long_moves_no_stamp():
    """A thread that is put off between two looks at two clocks learns nothing of the distance between them."""
    clock = TickClock()
    seen = []
    for tick in range(50):
        due_s = START_S + PERIOD_S * tick
        slow_s = 0.018 if tick % 7 == 3 else 0.0
        reading_ns = round((due_s + slow_s - 4000.0) * NS_PER_S)
        seen.append(clock.stamp_ns(due_s, due_s, reading_ns, due_s + slow_s))
    assert np.all(np.abs(np.diff(seen) - 20 * MS) <= 1000)


def test_a_clock_that_drifts_is_followed_without_a_jump():
    """100 ppm, as a clock that is being synchronised: stamps keep within a few microseconds of one period."""
    clock, drift = TickClock(), 1.0 + 1e-4
    seen = [
        clock.stamp_ns(due_s, due_s, round(due_s * drift * NS_PER_S), due_s)
        for due_s in PERIOD_S * np.arange(2000)
    ]
    assert np.all(np.abs(np.diff(seen) - 20 * MS) <= 3000)
    assert abs(seen[-1] - 1999 * PERIOD_S * drift * NS_PER_S) <= 0.1 * MS
