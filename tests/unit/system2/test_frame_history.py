from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.types import CameraFrame, ImageArray
from video2act_ros.system2.frame_history import FrameHistory

MS = 1_000_000
PERIOD_MS, LENGTH = 100, 5
STAMPS = st.lists(st.integers(0, 2000), min_size=1, max_size=60, unique=True)


def frame(stamp_ms: int) -> CameraFrame:
    """Return a tiny image that carries its own stamp."""
    return CameraFrame("cam_high", stamp_ms * MS, np.full((1, 1, 3), stamp_ms % 256, np.uint8))


def history(stamps_ms: list[int]) -> FrameHistory[ImageArray]:
    result: FrameHistory[ImageArray] = FrameHistory(PERIOD_MS / 1000, LENGTH)
    for stamp_ms in stamps_ms:
        result.add(frame(stamp_ms))
    return result


def test_empty_history_has_no_window() -> None:
    """Without a frame there is nothing to repeat."""
    frames = history([])
    assert frames.window() is None
    assert frames.newest_ns is None
    assert frames.largest_gap_s is None


@given(STAMPS)
def test_window_is_the_nearest_frames_on_the_grid(stamps_ms: list[int]) -> None:
    """Every grid time takes the nearest frame of all added; the grid ends at the newest one."""
    window = history(sorted(stamps_ms)).window()
    assert window is not None
    newest_ms = max(stamps_ms)
    assert window.stamp_ns == newest_ms * MS
    for step, stamp_ns in enumerate(window.stamps_ns):
        time_ms = newest_ms - (LENGTH - 1 - step) * PERIOD_MS
        assert abs(stamp_ns // MS - time_ms) == min(abs(stamp_ms - time_ms) for stamp_ms in stamps_ms)


@given(STAMPS)
def test_window_has_its_length_and_never_runs_backwards(stamps_ms: list[int]) -> None:
    """A window always has `length` frames in order of capture, each with its own image."""
    window = history(stamps_ms).window()
    assert window is not None
    assert len(window.images) == len(window.stamps_ns) == LENGTH
    assert list(window.stamps_ns) == sorted(window.stamps_ns)
    for image, stamp_ns in zip(window.images, window.stamps_ns, strict=True):
        assert image[0, 0, 0] == stamp_ns // MS % 256


@given(st.data(), STAMPS)
def test_order_of_arrival_does_not_matter(data: st.DataObject, stamps_ms: list[int]) -> None:
    """Frames that overtake each other on the way give the same window."""
    shuffled = data.draw(st.permutations(stamps_ms))
    one, other = history(shuffled).window(), history(sorted(stamps_ms)).window()
    assert one is not None
    assert other is not None
    assert (one.stamps_ns, one.repeated, one.gap_count, one.largest_gap_s) == (
        other.stamps_ns,
        other.repeated,
        other.gap_count,
        other.largest_gap_s,
    )


@given(st.integers(0, 12))
def test_first_frame_is_repeated_at_the_start_of_an_episode(newest: int) -> None:
    """Grid times before the episode's first frame take that frame and are counted; they are no gap."""
    window = history([step * PERIOD_MS for step in range(newest + 1)]).window()
    assert window is not None
    assert window.repeated == max(0, LENGTH - 1 - newest)
    assert window.stamps_ns[: window.repeated] == (0,) * window.repeated
    assert window.gap_count == 0


@given(st.lists(st.integers(-20, 20), min_size=20, max_size=20), st.integers(1, 4))
def test_jitter_is_no_gap(jitter_ms: list[int], frames_per_period: int) -> None:
    """A camera at or above the grid's rate with jitter gives distinct frames and no gap."""
    step_ms = PERIOD_MS // frames_per_period
    scale = 1 / frames_per_period
    window = history([n * step_ms + round(offset * scale) for n, offset in enumerate(jitter_ms)]).window()
    assert window is not None
    assert window.gap_count == 0
    if window.repeated == 0:
        assert len(set(window.stamps_ns)) == LENGTH


@given(st.integers(151, 350), st.integers(0, 8))
def test_a_hole_in_the_window_is_reported(hole_ms: int, frames_after: int) -> None:
    """A spacing above 1.5 periods counts as a gap with its length while the window reaches it."""
    before = [-step * PERIOD_MS for step in range(10)]
    after = [hole_ms + step * PERIOD_MS for step in range(frames_after + 1)]
    frames = history([*reversed(before), *after])
    window = frames.window()
    assert window is not None
    inside = after[-1] - (LENGTH - 1) * PERIOD_MS < hole_ms
    assert window.gap_count == int(inside)
    assert window.largest_gap_s == pytest.approx(hole_ms / 1000 if inside else 0.0)
    assert frames.largest_gap_s == window.largest_gap_s


def test_known_and_outdated_stamps_are_refused() -> None:
    """A repeated message, or one too late for any window, changes nothing."""
    frames = history([1000, 1100, 1500, 1600, 2000])
    assert not frames.add(frame(1500))
    assert not frames.add(frame(900))
    window = frames.window()
    assert window is not None
    assert window.stamps_ns == tuple(stamp_ms * MS for stamp_ms in (1600, 1600, 1600, 2000, 2000))


def test_memory_is_bounded_by_the_window() -> None:
    """Old frames are let go: a fast camera over a long time keeps no more than the window needs."""
    frames = history(list(range(0, 100_000, 10)))
    assert len(frames._stamps_ns) <= (LENGTH * PERIOD_MS) // 10 + 2


def test_clear_starts_a_new_episode() -> None:
    """After `clear` no frame of the old episode appears, and the new first frame is repeated."""
    frames = history([0, 100, 200, 300, 400])
    assert frames.newest_ns == 400 * MS
    frames.clear()
    assert frames.window() is None
    frames.add(frame(500))
    window = frames.window()
    assert window is not None
    assert window.stamps_ns == (500 * MS,) * LENGTH
    assert window.repeated == LENGTH - 1


def test_frames_are_prepared_once_on_arrival() -> None:
    """`prepare` runs once per frame, however many windows use it."""
    seen: list[int] = []

    def prepare(image: ImageArray) -> int:
        seen.append(int(image[0, 0, 0]))
        return seen[-1]

    frames: FrameHistory[int] = FrameHistory(PERIOD_MS / 1000, LENGTH, prepare=prepare)
    for stamp_ms in (0, 100, 200):
        frames.add(frame(stamp_ms))
        frames.window()
    window = frames.window()
    assert window is not None
    assert window.images == (0, 0, 0, 100, 200)
    assert seen == [0, 100, 200]


@pytest.mark.parametrize(("period_s", "length"), [(0.0, 5), (0.1, 0), (float("nan"), 5)])
def test_impossible_grids_are_refused(period_s: float, length: int) -> None:
    """A grid needs a positive period and at least one frame."""
    with pytest.raises(ConfigurationError, match="period_s > 0"):
        FrameHistory(period_s, length)


@given(STAMPS, st.integers(0, 2000), st.integers(0, 2000))
def test_a_window_between_two_stamps_knows_nothing_else(stamps_ms: list[int], first: int, last: int) -> None:
    """Frames of before an episode, or of a clock that was set back, are in no window, kept or not."""
    kept = [stamp_ms for stamp_ms in stamps_ms if stamp_ms <= last]
    window = history(sorted(stamps_ms)).window(first * MS, last * MS)
    within = [stamp_ms for stamp_ms in kept if stamp_ms >= max(first, max(stamps_ms) - LENGTH * PERIOD_MS)]
    if window is None:
        assert not within
        return
    assert all(first * MS <= stamp_ns <= last * MS for stamp_ns in window.stamps_ns)
    assert window.stamp_ns == max(kept) * MS
