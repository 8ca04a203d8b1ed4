"""Which actions are frozen, which are guided, and when a chunk begins freely."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from video2act_ros.core.errors import InputError
from video2act_ros.core.types import ActionChunk, seconds_to_ns
from video2act_ros.system1.realtime_chunking import (
    DelayForecast,
    NoPrefix,
    Prefix,
    make_prefix,
    soft_weights,
)

NAMES = ("shoulder", "elbow")


def chunk(stamp_s, values, *, step_s=0.05, epoch=1, names=NAMES, committed=0):
    positions = np.repeat(np.asarray(values, dtype=np.float64)[:, None], len(names), axis=1)
    return ActionChunk(seconds_to_ns(stamp_s), 0, epoch, step_s, names, positions, committed=committed)


def plan(**changes):
    """Return rows from 9.5 s to 11.5 s along 2 t, sent until 10.1 s."""
    times = 9.5 + 0.05 * np.arange(41)
    return chunk(**({"stamp_s": 9.5, "values": 2.0 * times, "committed": 13} | changes))


COMING = chunk(10.02, np.zeros(40))
NOW_NS = seconds_to_ns(10.1)


def test_actions_due_before_the_takeover_are_frozen():
    """Now, the forecast and two ticks later: all earlier rows are as planned, interpolated at their times."""
    prefix = make_prefix(plan(), COMING, NOW_NS, 0.12)
    assert prefix.frozen == 5  # due at 10.02 … 10.22, before 10.26
    np.testing.assert_allclose(
        prefix.positions[:, 1], 2.0 * (10.02 + 0.05 * np.arange(len(prefix.positions)))
    )
    assert len(prefix.positions) == 30  # up to 11.47, where the plan ends
    assert np.all(prefix.weights[:5] == 1.0)
    np.testing.assert_array_equal(prefix.frozen_positions, prefix.positions[:5])
    assert make_prefix(plan(), COMING, NOW_NS, 0.3).frozen == 9  # a slower model freezes more


@given(rows=st.integers(1, 64), frozen=st.integers(0, 64))
def test_the_weights_fall_from_one_towards_zero(rows, frozen):
    """Frozen rows weigh 1, every later one less than the one before, none nothing."""
    frozen = min(frozen, rows)
    weights = soft_weights(frozen, rows)
    assert np.all(weights[:frozen] == 1.0)
    assert np.all(weights[frozen:] < 1.0)
    assert np.all(weights > 0.0)
    assert np.all(np.diff(weights[max(frozen - 1, 0) :]) < 0.0)


@pytest.mark.parametrize(
    ("given_plan", "delay_s", "words"),
    [
        (None, 0.1, "no plan of the command node yet"),
        (plan(), None, "no inference was measured"),
        (plan(epoch=2), 0.1, "the plan is of epoch 2, now is 1"),
        (plan(names=("elbow", "shoulder")), 0.1, "other joints"),
        (plan(committed=5), 0.1, "the plan is 0.40 s old"),
        (plan(stamp_s=10.05, committed=2), 0.1, "begins after the observation"),
        (plan(values=np.zeros(14)), 0.1, "ends before the next chunk can take over"),
        (plan(), 1.5, "ends before the next chunk can take over"),
    ],
)
def test_what_cannot_be_continued_is_not(given_plan, delay_s, words):
    """Plans of other epochs or joints, old ones, and those that do not cover the inference are not used."""
    result = make_prefix(given_plan, COMING, NOW_NS, delay_s)
    assert isinstance(result, NoPrefix)
    assert words in result.reason


def test_a_chunk_too_short_for_its_inference_begins_freely():
    """A chunk of frozen actions alone would say nothing new."""
    assert isinstance(make_prefix(plan(), chunk(10.02, np.zeros(4)), NOW_NS, 0.12), NoPrefix)


def test_the_forecast_is_the_longest_of_the_last_measured_delays():
    """Ten count; the first of an epoch or bundle does not, and another bundle begins anew."""
    forecast = DelayForecast()
    assert forecast.delay_s is None
    forecast.add(9.0, 1, "a")
    assert forecast.delay_s is None
    for delay_s in (0.3, 0.1, 0.2):
        forecast.add(delay_s, 1, "a")
    assert forecast.delay_s == 0.3
    forecast.add(9.0, 2, "a")
    assert forecast.delay_s == 0.3
    for _ in range(10):
        forecast.add(0.15, 2, "a")
    assert forecast.delay_s == 0.15
    forecast.add(9.0, 2, "b")
    assert forecast.delay_s is None


def test_a_prefix_checks_its_sizes():
    """Weights and frozen rows belong to the positions."""
    with pytest.raises(InputError, match="needs as many weights"):
        Prefix(np.zeros((3, 2)), np.ones(2), 1)
    with pytest.raises(InputError, match="at most as many frozen rows"):
        Prefix(np.zeros((3, 2)), np.ones(3), 4)
