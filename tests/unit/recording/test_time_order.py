"""Messages come out in the order of their times, whatever the order in which they came."""

from hypothesis import given
from hypothesis import strategies as st

from video2act_ros.recording.writing.time_order import TimeOrder

from .bags import text


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@given(st.lists(st.lists(st.integers(-9, 9), max_size=5), max_size=40))
def test_what_is_late_by_less_than_the_hold_is_sorted_in(batches):
    """For any lateness within the hold: nothing lost, nothing twice, in order."""
    clock = Clock()
    order = TimeOrder(hold_s=2.0, clock=clock)
    given_ns, taken_ns = [], []
    for number, lateness in enumerate(batches):
        clock.now = float(number)
        times_ns = [1000 + 10 * number + late for late in lateness]  # ten a second; late by a second at most
        given_ns += times_ns
        order.add(text(0, at_ns=time_ns) for time_ns in times_ns)
        taken_ns += [message.log_ns for message in order.take()]
    taken_ns += [message.log_ns for message in order.take(everything=True)]
    assert taken_ns == sorted(given_ns)


def test_nothing_waits_longer_than_the_hold_even_if_nothing_more_comes():
    """A quiet topic's message reaches the disk; a clock that steps back holds nothing."""
    clock = Clock()
    order = TimeOrder(hold_s=1.0, clock=clock)
    order.add([text(1, at_ns=5000)])
    order.add([text(2, at_ns=10)])
    assert order.take() == []
    clock.now = 1.0
    assert [message.log_ns for message in order.take()] == [10, 5000]
    assert order.take(everything=True) == []
