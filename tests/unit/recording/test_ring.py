"""The ring buffer: the last seconds, within a size, and everything that a late joiner must know."""

from hypothesis import given
from hypothesis import strategies as st

from video2act_ros.recording.writing.ring import RingBuffer

from .bags import LATCHED, PARAMETERS, SECOND, number, text


@given(st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=60), st.integers(1, 40))
def test_it_keeps_the_last_seconds_and_no_more(steps, kept):
    """For any arrival times: a suffix of what came, no older than asked and within the bytes."""
    size = len(text(1).data)
    ring = RingBuffer(2.0, kept * size)
    now = SECOND
    times = []
    for index, step in enumerate(steps):
        now += step
        times.append(now)
        ring.add(text(index, at_ns=now))
        numbers = [number(message.data) for message in ring.snapshot()]
        expected = [i for i, at in enumerate(times) if at >= now - 2 * SECOND][-kept:]
        assert numbers == expected
        assert ring.bytes == size * len(expected)


def test_states_and_parameters_outlive_the_window():
    """The newest of each publisher, then changes in order, stamped with the window's begin."""
    ring = RingBuffer(1.0, 1 << 20)
    ring.add(text(1, topic=LATCHED, at_ns=1 * SECOND, state_of=b"a"))
    ring.add(text(2, topic=LATCHED, at_ns=2 * SECOND, state_of=b"b"))
    ring.add(text(3, topic=LATCHED, at_ns=3 * SECOND, state_of=b"a"))
    ring.add(text(4, topic=PARAMETERS, at_ns=4 * SECOND, state_of=b"/node"))
    ring.add(text(5, topic=PARAMETERS, at_ns=5 * SECOND))
    ring.add(text(6, at_ns=6 * SECOND))
    ring.add(text(7, at_ns=20 * SECOND))
    snapshot = ring.snapshot()
    assert [number(message.data) for message in snapshot] == [2, 3, 4, 5, 7]
    assert {message.log_ns for message in snapshot} == {20 * SECOND}
    assert [message.publish_ns for message in snapshot][:2] == [2 * SECOND - 1, 3 * SECOND - 1]


def test_one_message_larger_than_the_ring_is_not_kept():
    """The bound holds whatever comes."""
    ring = RingBuffer(10.0, 100)
    ring.add(text(1, size=1000))
    assert ring.snapshot() == []
    assert ring.bytes == 0
