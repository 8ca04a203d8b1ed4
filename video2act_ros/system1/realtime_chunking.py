"""Which actions of the next chunk are decided already, and how strongly the following ones are guided.

The weights are those of real-time chunking (arXiv 2506.07339, equation 5); docs/real_time_chunking.md.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from video2act_ros.core.errors import InputError
from video2act_ros.core.types import NS_PER_S, ActionChunk, seconds_to_ns

DELAYS = 10  # measured ones that the forecast looks at: a few seconds
HANDOVER_NS = seconds_to_ns(
    0.04
)  # from publication to the first command that depends on it: two ticks at 50 Hz
PLAN_AGE_NS = seconds_to_ns(0.3)  # plans come at 10 Hz; an older one may have been overtaken

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prefix:
    """What a chunk's leading actions shall be.

    `positions` is (n, J) float64 in policy units; `weights` (n,) in [0, 1] is 1 on the `frozen` leading
    rows, which the chunk repeats exactly, and falls towards 0 over the others, which it is drawn to.
    """

    positions: Array
    weights: Array
    frozen: int

    def __post_init__(self) -> None:
        rows = len(self.positions)
        if self.positions.ndim != 2 or self.weights.shape != (rows,) or not 0 <= self.frozen <= rows:
            raise InputError(
                f"a prefix of {self.positions.shape} needs as many weights, got {self.weights.shape}, "
                f"and at most as many frozen rows, got {self.frozen}"
            )

    @property
    def frozen_positions(self) -> Array:
        """The rows that the chunk repeats, (frozen, J)."""
        return self.positions[: self.frozen]

    def restore(self, positions: Array) -> Array:
        """Return a decoded chunk (H, J) whose frozen rows are free of the sampler's rounding."""
        return np.concatenate((self.frozen_positions, positions[self.frozen :]))


@dataclass(frozen=True, slots=True)
class NoPrefix:
    """Why a chunk begins freely, in words."""

    reason: str


def soft_weights(frozen: int, rows: int) -> Array:
    """Return (rows,) weights: 1 on the frozen rows, then c (e^c - 1) / (e - 1) with c falling from 1 to 0."""
    c = np.clip((rows - np.arange(rows)) / (rows - frozen + 1), 0.0, 1.0)
    weights = c * np.expm1(c) / math.expm1(1.0)
    weights[:frozen] = 1.0
    return weights


class DelayForecast:
    """How long the next inference will take: the longest of the last ones, warm-ups left out.

    The first inference of an epoch or of a bundle does not count; another bundle begins anew.
    """

    def __init__(self) -> None:
        self._delays_s: deque[float] = deque(maxlen=DELAYS)
        self._epoch: int | None = None
        self._bundle_id = ""

    @property
    def delay_s(self) -> float | None:
        """The forecast; None before anything was measured."""
        return max(self._delays_s, default=None)

    def add(self, delay_s: float, epoch: int, bundle_id: str) -> None:
        """Take how long it took from the start of an inference until its chunk was published."""
        warm_up = (epoch, bundle_id) != (self._epoch, self._bundle_id)
        if bundle_id != self._bundle_id:
            self._delays_s.clear()
        self._epoch, self._bundle_id = epoch, bundle_id
        if not warm_up:
            self._delays_s.append(delay_s)


def make_prefix(
    plan: ActionChunk | None,
    chunk: ActionChunk,
    now_ns: int,
    delay_s: float | None,
) -> Prefix | NoPrefix:
    """Return what the leading actions of a chunk shall be, or why nothing is known of them.

    Frozen are the actions due before the chunk can take over, `delay_s` and the hand-over from now; the
    guided ones end where the plan ends.

    Args:
        plan: the newest plan of the command node.
        chunk: any chunk with the observation stamp, epoch, joints, step and horizon of the coming one.
        now_ns: when the inference starts.
        delay_s: the forecast of its duration.
    """
    if delay_s is None:
        return NoPrefix("no inference was measured yet")
    if plan is None:
        return NoPrefix("no plan of the command node yet; it sends plans with splice:=rtc while engaged")
    if plan.epoch != chunk.epoch:
        return NoPrefix(f"the plan is of epoch {plan.epoch}, now is {chunk.epoch}")
    if plan.joint_names != chunk.joint_names:
        return NoPrefix("the plan drives other joints than the bundle; give both nodes one robot profile")
    sent_ns = plan.stamp_ns + (plan.committed - 1) * plan.step_ns
    if now_ns - sent_ns > PLAN_AGE_NS:
        return NoPrefix(f"the plan is {(now_ns - sent_ns) / NS_PER_S:.2f} s old")
    if plan.stamp_ns > chunk.stamp_ns or len(plan.positions) < 2:
        return NoPrefix("the plan begins after the observation")
    horizon, step_ns = len(chunk.positions), chunk.step_ns
    decided_ns = now_ns + seconds_to_ns(delay_s) + HANDOVER_NS - chunk.stamp_ns
    frozen = max(math.ceil(decided_ns / step_ns), 0)
    rows = min((plan.end_ns - chunk.stamp_ns) // step_ns + 1, horizon)
    if frozen > rows or frozen >= horizon:
        return NoPrefix("the plan or the chunk ends before the next chunk can take over")
    due_s = (np.arange(rows) * step_ns + (chunk.stamp_ns - plan.stamp_ns)) / NS_PER_S
    known_s = np.arange(len(plan.positions)) * (plan.step_ns / NS_PER_S)
    return Prefix(CubicSpline(known_s, plan.positions)(due_s), soft_weights(frozen, rows), frozen)
