"""The watch beside the control thread and the executor."""

import threading

from conditions import until

from video2act_ros.control.stall_watch import STALL_S, StallWatch


class Counts:
    def __init__(self):
        self.ticks = self.callbacks = 0
        self.told = []
        self.watch = StallWatch({"a": lambda: self.ticks, "b": lambda: self.callbacks}, self.told.append)
        self.start_s = self.watch._looked_s

    def look(self, after_s):
        self.watch.look(self.start_s + after_s)


def test_what_stands_is_told_until_it_goes_on():
    """By name, with for how long; then once that all goes on."""
    counts = Counts()
    for step in range(20):
        counts.ticks += 1
        counts.look(0.05 * step)
    assert [sorted(told) for told in counts.told[:1]] == [["b"]]
    assert all(0.0 < told["b"] - STALL_S <= 1.0 for told in counts.told)
    counts.callbacks += 1
    counts.look(1.0)
    assert counts.told[-1] == {}
    told = len(counts.told)
    counts.ticks += 1
    counts.callbacks += 1
    counts.look(1.05)
    assert len(counts.told) == told


def test_a_pause_of_the_whole_process_is_nobodys_stall():
    """The watch stood with the others: it gives them their time again."""
    counts = Counts()
    counts.look(0.05)
    counts.look(5.0)
    counts.look(5.05)
    assert counts.told == []


def test_a_look_that_fails_is_not_the_last_one():
    """Whatever telling does: the watch goes on."""
    told = threading.Event()
    failures = []

    def tell(standing):
        if len(failures) < 2:
            failures.append(standing)
            raise RuntimeError("broken on purpose")
        told.set()

    watch = StallWatch({"a": lambda: 0}, tell)
    watch.start()
    assert told.wait(20.0)
    watch.stop()
    until(lambda: not watch._thread.is_alive(), "the watch to end")
    assert len(failures) == 2
