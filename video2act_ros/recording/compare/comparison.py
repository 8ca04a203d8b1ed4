"""What a comparison of bundles on a bag found, and its figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.types import NS_PER_S, FloatArray, JointSample, seconds_to_ns

Array = NDArray[np.float64]

_GAP_NS = seconds_to_ns(0.2)  # joint states farther apart are not interpolated


@dataclass(slots=True)
class Run:
    """What one bundle makes of the bag, or what was recorded; lists run along the compared chunks.

    `chunks` are (H, J) float64 in policy units at `step_s`; `similarity` holds the mean cosine of each update's
    tokens with the recorded ones (NaN where their shapes differ), `vision` the image tokens of each chunk.
    """

    label: str
    bundle_id: str
    step_s: float = 0.0
    chunks: list[Array] = field(default_factory=list)
    chunk_s: list[float] = field(default_factory=list)
    update_s: list[float] = field(default_factory=list)
    similarity: dict[str, list[float]] = field(default_factory=lambda: {"spatial": [], "motion": []})
    vision: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def action_times_s(self) -> Array:
        """When each action is due after its observation, (H,)."""
        return np.asarray(np.arange(len(self.chunks[0])) * self.step_s, dtype=np.float64)


@dataclass(slots=True)
class Comparison:
    """Everything the report shows. Times are seconds since the bag's start."""

    bag: Path
    robot: str
    duration_s: float
    joint_names: tuple[str, ...]
    recorded: Run
    runs: tuple[Run, ...]
    times_s: list[float] = field(default_factory=list)  # of each chunk's observation
    update_times_s: list[float] = field(default_factory=list)
    measured: list[JointSample] = field(default_factory=list)
    commanded: list[JointSample] = field(default_factory=list)
    thumbs: list[dict[str, bytes]] = field(default_factory=list)  # JPEG by camera, of each chunk
    skipped: Counter[str] = field(default_factory=Counter)
    unusable: list[str] = field(default_factory=list)  # messages, in a line for each topic
    lossy: tuple[str, ...] = ()  # cameras whose images the recorder compressed with loss
    start_ns: int = 0
    epochs_ns: list[int] = field(default_factory=list)  # when each epoch began


def mean_cosine(first: FloatArray, second: FloatArray) -> float:
    """Return the mean cosine of corresponding rows of two (N, C) arrays; NaN where their shapes differ."""
    if first.shape != second.shape:
        return float("nan")
    a, b = first.astype(np.float64), second.astype(np.float64)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    products = (a * b).sum(axis=-1)
    return float(np.mean(np.divide(products, norms, out=np.ones_like(norms), where=norms > 0)))


def samples_at(samples: list[JointSample], times_ns: NDArray[np.int64]) -> Array:
    """Return samples interpolated at times (..., J) float64; NaN outside of them and across gaps over 0.2 s."""
    shape = (*times_ns.shape, samples[0].positions.size if samples else 0)
    if len(samples) < 2:
        return np.full(shape, np.nan)
    stamps = np.array([sample.stamp_ns for sample in samples], dtype=np.int64)
    order = np.argsort(stamps, kind="stable")
    stamps, positions = stamps[order], np.array([samples[i].positions for i in order])
    after = np.clip(np.searchsorted(stamps, times_ns), 1, len(stamps) - 1)
    before = after - 1
    spans = np.maximum(stamps[after] - stamps[before], 1)
    share = (times_ns - stamps[before]) / spans
    values = positions[before] + share[..., None] * (positions[after] - positions[before])
    outside = (times_ns < stamps[0]) | (times_ns > stamps[-1]) | (spans > _GAP_NS)
    values[outside] = np.nan
    return np.asarray(values, dtype=np.float64)


def due_ns(comparison: Comparison, run: Run) -> NDArray[np.int64]:
    """Return when each action of each chunk is due, (chunks, H)."""
    observed_ns = comparison.start_ns + np.round(np.array(comparison.times_s) * NS_PER_S).astype(np.int64)
    return observed_ns[:, None] + np.round(run.action_times_s * NS_PER_S).astype(np.int64)


def errors(comparison: Comparison, run: Run, samples: list[JointSample]) -> Array:
    """Return chunks minus what happened at the same times, (chunks, H, J).

    NaN where nothing is known, and for actions due in a later epoch: they were never meant for it.
    """
    times_ns = due_ns(comparison, run)
    values = np.stack(run.chunks) - samples_at(samples, times_ns)
    if comparison.epochs_ns:
        begins_ns = np.array([*sorted(comparison.epochs_ns), np.iinfo(np.int64).max])
        values[times_ns >= begins_ns[np.searchsorted(begins_ns, times_ns[:, :1], side="right")]] = np.nan
    return np.asarray(values, dtype=np.float64)


def divergence(first: Run, second: Run) -> Array:
    """Return second minus first on the first one's times as far as both reach, (chunks, H', J)."""
    if first.step_s == second.step_s:
        length = min(len(first.chunks[0]), len(second.chunks[0]))
        return np.stack(second.chunks)[:, :length] - np.stack(first.chunks)[:, :length]
    times = first.action_times_s[first.action_times_s <= second.action_times_s[-1] + 1e-9]
    a, b = np.stack(first.chunks)[:, : len(times)], np.stack(second.chunks)
    position = np.clip(times / second.step_s, 0, b.shape[1] - 1)
    low = np.minimum(np.floor(position + 1e-9).astype(int), b.shape[1] - 1)
    high = np.minimum(low + 1, b.shape[1] - 1)
    share = np.clip(position - low, 0.0, 1.0)[:, None]
    return (1 - share) * b[:, low] + share * b[:, high] - a


def root_mean_square(values: Array, axis: tuple[int, ...]) -> Array:
    """Return the root of the mean square without NaN over `axis`; NaN where there is nothing."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0) ** 2
    return np.asarray(np.sqrt(np.where(count > 0, total.sum(axis=axis) / np.maximum(count, 1), np.nan)))


def vision_similarity(first: Run, second: Run) -> list[float]:
    """Return the mean cosine of both runs' image tokens, chunk by chunk; NaN where their shapes differ."""
    return [mean_cosine(a, b) for a, b in zip(first.vision, second.vision, strict=True)]
