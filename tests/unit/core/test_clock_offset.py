"""Two clocks compared by asking for the other one's time."""

import pytest

from video2act_ros.core.clock_offset import ClockExchange, ClockOffset
from video2act_ros.core.types import seconds_to_ns


def exchange(ahead_s, way_there_s=0.01, way_back_s=0.01, begin_s=100.0):
    """Ask a machine whose clock is right; the own one is `ahead_s` ahead of it."""
    told_s, end_s = begin_s + way_there_s, begin_s + way_there_s + way_back_s
    own = [seconds_to_ns(time_s + ahead_s) for time_s in (begin_s, end_s)]
    return ClockExchange(own[0], seconds_to_ns(told_s), own[1], end_s - begin_s)


def ahead_and_behind(offset, now_s=0.0):
    return tuple(row.value_s for row in offset.values(now_s))


@pytest.mark.parametrize("ahead_s", [-3600.0, -0.2, 0.0, 0.2, 3600.0])
def test_equal_ways_give_the_offset_and_half_the_round_trip_its_uncertainty(ahead_s):
    """As NTP does."""
    made = exchange(ahead_s)
    assert made.offset_s == pytest.approx(ahead_s, abs=1e-6)
    assert made.uncertainty_s == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize(("there_s", "back_s"), [(0.0, 0.19), (0.19, 0.0), (0.05, 0.01)])
def test_unequal_ways_never_accuse_equal_clocks(there_s, back_s):
    """However slow the link is and whichever way: what is reported is certain."""
    offset = ClockOffset()
    offset.add(exchange(0.0, there_s, back_s), 0.0)
    assert ahead_and_behind(offset) == pytest.approx((0.0, 0.0), abs=1e-6)


@pytest.mark.parametrize("ahead_s", [0.35, 0.0])
def test_an_exchange_that_could_hide_an_offset_is_no_knowledge(ahead_s):
    """Slow answers alone leave the offset unknown, whatever it is; one quick answer ends that."""
    offset = ClockOffset()
    for count in range(4):
        offset.add(exchange(ahead_s, 0.4, 0.4), 0.5 * count)
        assert ahead_and_behind(offset, 0.5 * count) == (None, None)
    offset.add(exchange(ahead_s), 2.0)
    assert ahead_and_behind(offset, 2.0) == pytest.approx((max(0.0, ahead_s - 0.01), 0.0), abs=1e-6)


@pytest.mark.parametrize(("ahead_s", "told"), [(0.2, (0.19, 0.0)), (-0.2, (0.0, 0.19))])
def test_the_certain_part_is_told_with_its_direction(ahead_s, told):
    """The offset less its uncertainty; one of both is zero."""
    offset = ClockOffset()
    offset.add(exchange(ahead_s), 0.0)
    assert ahead_and_behind(offset) == pytest.approx(told, abs=1e-6)


def test_the_quickest_of_the_last_ten_exchanges_counts():
    """A busy moment does not blur what was known, a lasting one does."""
    offset = ClockOffset()
    offset.add(exchange(0.2), 0.0)
    for count in range(9):
        offset.add(exchange(0.2, 0.3, 0.3), 0.5)
        assert offset.best(0.5).uncertainty_s == pytest.approx(0.01, abs=1e-6), count
    offset.add(exchange(0.2, 0.3, 0.3), 0.5)
    assert offset.best(0.5).uncertainty_s == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize(("before_s", "after_s"), [(0.2, 0.0), (0.0, -0.3), (-0.3, 3600.0)])
def test_a_clock_that_was_set_is_noticed_by_the_next_exchange(before_s, after_s):
    """The newer one counts although it was slower: the older one contradicts it."""
    offset = ClockOffset()
    offset.add(exchange(before_s), 0.0)
    offset.add(exchange(after_s, 0.02, 0.02), 0.5)
    assert offset.best(0.5).offset_s == pytest.approx(after_s, abs=1e-6)


def test_a_clock_that_is_set_during_an_exchange_makes_it_uncertain():
    """The steady clock tells how long it took, the other one how far it jumped."""
    jumped = ClockExchange(seconds_to_ns(10.0), seconds_to_ns(10.0), seconds_to_ns(8.0), 0.02)
    assert jumped.uncertainty_s == pytest.approx(1.0)
    offset = ClockOffset()
    offset.add(jumped, 0.0)
    assert ahead_and_behind(offset) == (None, None)


def test_nothing_is_known_before_the_first_exchange_and_long_after_the_last():
    """Unknown is not zero."""
    offset = ClockOffset()
    assert ahead_and_behind(offset) == (None, None)
    offset.add(exchange(0.0), 0.0)
    assert ahead_and_behind(offset, 29.0) == (0.0, 0.0)
    assert ahead_and_behind(offset, 31.0) == (None, None)
