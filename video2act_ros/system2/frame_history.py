"""Camera frames resampled to a fixed rate on their capture stamps."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.types import NS_PER_S, CameraFrame, ImageArray, seconds_to_ns

T = TypeVar("T")

_DEFAULT_GAP_PERIODS = 1.5  # one missed frame of a camera that runs at the grid's rate is a gap


@dataclass(frozen=True, slots=True)
class FrameWindow(Generic[T]):
    """Frames on a grid of fixed period that ends at the newest one, oldest first.

    `images` are what the history's `prepare` made of each (H, W, 3) uint8 RGB image; `stamps_ns` are their
    own capture times (not the grid's). The first `repeated` of them stand for times before the episode's
    first frame. `gap_count` spacings between frames were too long, `largest_gap_s` is the longest of them.
    """

    images: tuple[T, ...]
    stamps_ns: tuple[int, ...]
    repeated: int = 0
    gap_count: int = 0
    largest_gap_s: float = 0.0

    @property
    def stamp_ns(self) -> int:
        """Capture time of the newest frame."""
        return self.stamps_ns[-1]


class FrameHistory(Generic[T]):
    """Keeps one camera's recent frames; callbacks add, the worker asks for windows. Thread-safe.

    The window depends only on which frames were added since `clear`, not on the order they came in.
    """

    def __init__(
        self,
        period_s: float,
        length: int,
        *,
        max_gap_s: float | None = None,
        prepare: Callable[[ImageArray], T] | None = None,
    ) -> None:
        """Make an empty history.

        Args:
            period_s: the grid's period.
            length: frames per window.
            max_gap_s: longest spacing between frames that is no gap; None takes 1.5 periods.
            prepare: applied once to each image as it arrives; None keeps the image.
        """
        if not period_s > 0 or length < 1:
            raise ConfigurationError(
                f"a frame history needs period_s > 0 and length >= 1, got {period_s}, {length}"
            )
        self._period_ns = seconds_to_ns(period_s)
        self._length = length
        self._max_gap_ns = seconds_to_ns(period_s * _DEFAULT_GAP_PERIODS if max_gap_s is None else max_gap_s)
        self._prepare = prepare
        self._lock = threading.Lock()
        self._stamps_ns: list[int] = []
        self._images: list[T] = []

    @property
    def span_ns(self) -> int:
        """Time from a window's oldest grid point to its newest."""
        return (self._length - 1) * self._period_ns

    def add(self, frame: CameraFrame) -> bool:
        """Store a frame at its place in time; return False for a known stamp or one too old to matter."""
        image = frame.image if self._prepare is None else self._prepare(frame.image)
        with self._lock:
            index = bisect_left(self._stamps_ns, frame.stamp_ns)
            if index < len(self._stamps_ns) and self._stamps_ns[index] == frame.stamp_ns:
                return False
            self._stamps_ns.insert(index, frame.stamp_ns)
            self._images.insert(index, image)  # type: ignore[arg-type]  # without `prepare`, T is ImageArray
            return index >= self._trim()

    def _trim(self) -> int:
        """Drop frames that no window can reach any more; return how many. One of the others is as old."""
        oldest_needed_ns = self._stamps_ns[-1] - self.span_ns - self._period_ns
        dropped = max(0, bisect_right(self._stamps_ns, oldest_needed_ns) - 1)
        del self._stamps_ns[:dropped], self._images[:dropped]
        return dropped

    def clear(self) -> None:
        """Forget every frame: a new episode begins."""
        with self._lock:
            self._stamps_ns.clear()
            self._images.clear()

    @property
    def newest_ns(self) -> int | None:
        """Capture time of the newest frame; None while there is none."""
        with self._lock:
            return self._stamps_ns[-1] if self._stamps_ns else None

    @property
    def largest_gap_s(self) -> float | None:
        """The longest gap in the present window, as the window tells it; None while there is no frame."""
        with self._lock:
            stamps_ns = list(self._stamps_ns)
        return max(self._gaps_ns(stamps_ns), default=0) / NS_PER_S if stamps_ns else None

    def _gaps_ns(self, stamps_ns: list[int]) -> list[int]:
        """Return every spacing in the window that ends at the last stamp which is too long."""
        return [
            later - earlier
            for earlier, later in pairwise(stamps_ns)
            if later > stamps_ns[-1] - self.span_ns and later - earlier > self._max_gap_ns
        ]

    def window(self, not_before_ns: int = 0, not_after_ns: int | None = None) -> FrameWindow[T] | None:
        """Return the window that ends at the newest frame between two stamps, or None while there is none.

        Each grid time takes the frame captured nearest to it. Grid times before the first frame repeat that frame.

        Args:
            not_before_ns: the episode's begin: no frame from before it is in the window, kept or not [ns].
            not_after_ns: nothing stamped later counts, as the frames of a clock that was set back; None: no limit.
        """
        with self._lock:
            stamps_ns, images = self._stamps_ns, self._images
            first = bisect_left(stamps_ns, not_before_ns)
            end = len(stamps_ns) if not_after_ns is None else bisect_right(stamps_ns, not_after_ns)
            stamps_ns, images = stamps_ns[first:end], images[first:end]
        if not stamps_ns:
            return None
        start_ns = stamps_ns[-1] - self.span_ns
        grid_ns = [start_ns + step * self._period_ns for step in range(self._length)]
        chosen = [_nearest(stamps_ns, time_ns) for time_ns in grid_ns]
        gaps_ns = self._gaps_ns(stamps_ns)
        return FrameWindow(
            images=tuple(images[index] for index in chosen),
            stamps_ns=tuple(stamps_ns[index] for index in chosen),
            repeated=sum(time_ns < stamps_ns[0] for time_ns in grid_ns),
            gap_count=len(gaps_ns),
            largest_gap_s=max(gaps_ns, default=0) / NS_PER_S,
        )


def _nearest(stamps_ns: list[int], time_ns: int) -> int:
    """Return the index of the sorted stamp closest to `time_ns`; the earlier one of two equally close."""
    after = bisect_left(stamps_ns, time_ns)
    if after == 0:
        return 0
    if after == len(stamps_ns):
        return after - 1
    return after if stamps_ns[after] - time_ns < time_ns - stamps_ns[after - 1] else after - 1
