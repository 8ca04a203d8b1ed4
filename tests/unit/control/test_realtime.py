import threading
import time

import pytest

from video2act_ros.control.realtime import RealtimeThread
from video2act_ros.core.errors import ConfigurationError


def fail(error):
    raise AssertionError(error)


def test_it_ticks_and_stops():
    """The thread ticks until it is stopped, and no tick follows."""
    enough, count = threading.Event(), [0]

    def tick(_deadline_s):
        count[0] += 1
        if count[0] == 20:
            enough.set()

    thread = RealtimeThread(0.002, tick, fail)
    thread.start()
    assert enough.wait(20.0)
    assert thread.stop(5.0)
    counted = count[0]
    report = thread.report()
    assert report.ticks == counted
    assert report.period_error_s.count == counted - 1
    assert report.scheduling == "normal"


def test_passed_deadlines_are_skipped_and_counted():
    """A tick that takes whole periods makes the following deadlines missed, not a burst of late ticks."""
    slow, after = threading.Event(), threading.Event()
    starts = []

    def tick(_deadline_s):
        starts.append(time.monotonic())
        if len(starts) == 2:
            slow.wait(20.0)
        if len(starts) >= 8:
            after.set()

    thread = RealtimeThread(0.01, tick, fail)
    began = time.monotonic()
    thread.start()
    while len(starts) < 2:
        thread.report()
    blocked = starts[1]
    while time.monotonic() < blocked + 0.055:
        pass
    slow.set()
    assert after.wait(20.0)
    assert thread.stop(5.0)
    report = thread.report()
    assert report.missed >= 4
    assert report.ticks + report.missed <= (time.monotonic() - began) / 0.01 + 1
    assert report.period_error_s.maximum >= 0.04


def test_an_exception_is_reported_and_ticking_goes_on():
    """The arm gets its next command even after a failed tick."""
    errors, again = [], threading.Event()

    def tick(_deadline_s):
        if not errors:
            raise ValueError("once")
        again.set()

    thread = RealtimeThread(0.002, tick, errors.append)
    thread.start()
    assert again.wait(20.0)
    assert thread.stop(5.0)
    assert [str(error) for error in errors] == ["once"]


def test_stop_before_start_is_harmless():
    """Cleaning up a node that never became active must not fail."""
    assert RealtimeThread(0.01, lambda _deadline_s: None, fail).stop(0.1)


def test_a_period_must_be_positive():
    """A wrong rate is refused when it is configured."""
    with pytest.raises(ConfigurationError, match="positive"):
        RealtimeThread(0.0, lambda _deadline_s: None, fail)
