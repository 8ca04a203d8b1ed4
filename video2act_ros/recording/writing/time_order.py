"""Puts messages that were taken from many topics, and encoded in threads, into the order of their log times."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from operator import attrgetter

from video2act_ros.recording.writing.bag_records import RecordedMessage

HOLD_S = 0.2
"""How late a message may come: several times the beat at which topics are asked."""

_LOG_NS = attrgetter("log_ns")


class TimeOrder:
    """Holds messages for a short time and gives them sorted. One thread.

    Equal times keep the order of arrival. How old a message is here counts by the monotonic clock, so that a step of
    the machine's clock holds nothing back.
    """

    def __init__(self, hold_s: float = HOLD_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._hold_s = hold_s
        self._clock = clock
        self._waiting: list[RecordedMessage] = []
        self._newest: deque[tuple[float, int]] = deque()  # arrival [s] and newest log time [ns] of each batch

    def add(self, messages: Iterable[RecordedMessage]) -> None:
        """Take messages that have just come."""
        before = len(self._waiting)
        self._waiting.extend(messages)
        if len(self._waiting) > before:
            self._newest.append((self._clock(), max(item.log_ns for item in self._waiting[before:])))

    def take(self, *, everything: bool = False) -> list[RecordedMessage]:
        """Return what was held long enough, and whatever is older than that, oldest first."""
        until_ns: int | None = None
        while self._newest and (everything or self._newest[0][0] <= self._clock() - self._hold_s):
            until_ns = max(until_ns or 0, self._newest.popleft()[1])
        if until_ns is None:
            return []
        self._waiting.sort(key=_LOG_NS)
        count = bisect_right(self._waiting, until_ns, key=_LOG_NS)
        ready, self._waiting = self._waiting[:count], self._waiting[count:]
        return ready
