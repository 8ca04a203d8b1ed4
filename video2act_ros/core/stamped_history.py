"""What one source sent lately, in the order of its stamps."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar


class Stamped(Protocol):
    """Anything with a capture time [ns]."""

    @property
    def stamp_ns(self) -> int:
        """When it was captured."""


S = TypeVar("S", bound=Stamped)


class SetBackWatch:
    """Tells a source whose clock was set back, or whose simulation began anew, from one late straggler.

    A stamp more than `span_ns` older than the newest one is a straggler; the second in a row, later than the first,
    shows that time itself goes on from there.
    """

    def __init__(self, span_ns: int) -> None:
        self._span_ns = span_ns
        self._newest_ns: int | None = None
        self._straggler_ns: int | None = None

    def set_back(self, stamp_ns: int) -> bool:
        """Take the next stamp in the order of arrival; return whether everything before it is of another time."""
        newest_ns, straggler_ns = self._newest_ns, self._straggler_ns
        if newest_ns is None or stamp_ns >= newest_ns - self._span_ns:
            self._newest_ns = stamp_ns if newest_ns is None else max(stamp_ns, newest_ns)
            self._straggler_ns = None
            return False
        if straggler_ns is None or stamp_ns <= straggler_ns:
            self._straggler_ns = stamp_ns
            return False
        self._newest_ns, self._straggler_ns = stamp_ns, None
        return True


class StampedHistory(Generic[S]):
    """Keeps the samples of one source for a time, sorted by stamp in whatever order they arrive. Not thread-safe.

    Of several with one stamp the first and the newest are kept, so a source that stamps nothing fills no memory.
    """

    def __init__(self, keep_ns: int) -> None:
        """Make an empty one that keeps what is at most `keep_ns` older than its newest sample."""
        self._keep_ns = keep_ns
        self._watch = SetBackWatch(keep_ns)
        self._samples: list[S] = []

    def add(self, sample: S) -> None:
        """Sort a sample in; forget the others where the source's clock was set back."""
        if self._watch.set_back(sample.stamp_ns):
            self._samples.clear()
        place = bisect_right(self._samples, sample.stamp_ns, key=_stamp_ns)
        if place >= 2 and self._samples[place - 2].stamp_ns == sample.stamp_ns:
            self._samples[place - 1] = sample
        else:
            self._samples.insert(place, sample)
        oldest_ns = self._samples[-1].stamp_ns - self._keep_ns
        del self._samples[: bisect_left(self._samples, oldest_ns, key=_stamp_ns)]

    def clear(self) -> None:
        """Forget every sample."""
        self._samples.clear()

    @property
    def newest(self) -> S | None:
        """The sample with the latest stamp; None while there is none."""
        return self._samples[-1] if self._samples else None

    def between(self, from_ns: int, to_ns: int | None = None) -> Sequence[S]:
        """Return the samples stamped from `from_ns` to `to_ns` [ns], both included, oldest first; None: no end."""
        first = bisect_left(self._samples, from_ns, key=_stamp_ns)
        end = len(self._samples) if to_ns is None else bisect_right(self._samples, to_ns, key=_stamp_ns)
        return self._samples[first:end]


def newest_until(samples: Sequence[S], time_ns: int) -> S | None:
    """Return the newest of sorted samples that is stamped no later than `time_ns`."""
    place = bisect_right(samples, time_ns, key=_stamp_ns)
    return samples[place - 1] if place else None


def _stamp_ns(sample: Stamped) -> int:
    return sample.stamp_ns
