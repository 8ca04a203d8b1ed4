"""What a source sent lately is kept by time and sorted by stamp."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from video2act_ros.core.stamped_history import SetBackWatch, StampedHistory, newest_until

KEEP_NS = 100


@dataclass(frozen=True)
class Sample:
    stamp_ns: int
    value: int = 0


def history(stamps):
    result = StampedHistory(KEEP_NS)
    for value, stamp_ns in enumerate(stamps):
        result.add(Sample(stamp_ns, value))
    return result


@given(st.data(), st.lists(st.integers(1000, 1000 + KEEP_NS), min_size=1, unique=True))
def test_the_order_of_arrival_does_not_matter(data, stamps):
    """Everything within the time kept is there, sorted."""
    shuffled = data.draw(st.permutations(stamps))
    assert [sample.stamp_ns for sample in history(shuffled).between(0)] == sorted(stamps)


def test_what_is_older_than_the_time_kept_is_forgotten():
    """By time, however many there are."""
    kept = history(range(1000)).between(0)
    assert [sample.stamp_ns for sample in kept] == list(range(999 - KEEP_NS, 1000))


def test_of_equal_stamps_the_first_and_the_newest_stay():
    """A driver that stamps nothing fills no memory."""
    kept = history([7] * 1000).between(0)
    assert [sample.value for sample in kept] == [0, 999]


def test_a_straggler_clears_nothing_and_a_clock_set_back_clears_all():
    """The second old stamp in a row tells them apart."""
    stamps = [1000, 1010, 500, 1020, 400, 1030]
    assert [sample.stamp_ns for sample in history(stamps).between(0)] == [1000, 1010, 1020, 1030]
    assert [sample.stamp_ns for sample in history([*stamps, 10, 20]).between(0)] == [20]
    watch = SetBackWatch(KEEP_NS)
    assert [watch.set_back(stamp) for stamp in (1000, 10, 5, 20, 30)] == [False, False, False, True, False]


def test_samples_are_found_by_time():
    """Both ends count."""
    samples = history([10, 20, 30])
    assert [sample.stamp_ns for sample in samples.between(10, 20)] == [10, 20]
    assert samples.newest == Sample(30, 2)
    assert newest_until(samples.between(0), 29) == Sample(20, 1)
    assert newest_until(samples.between(0), 9) is None
    samples.clear()
    assert samples.newest is None
