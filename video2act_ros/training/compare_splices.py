"""The splice modes and the released script's way of driving, side by side on the same episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from video2act_ros.control.timeline import SPLICES
from video2act_ros.training.evaluate import ClosedLoop, Outcome, Timing, evaluate
from video2act_ros.training.motion_log import MotionQuality

REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Way:
    """One way of driving and its outcomes."""

    name: str
    outcomes: tuple[Outcome, ...]

    @property
    def successes(self) -> int:
        """How many episodes succeeded."""
        return sum(outcome.success for outcome in self.outcomes)

    def median(self, figure: str) -> float:
        """Return the median of a figure of MotionQuality over the episodes."""
        return float(np.median([getattr(outcome.motion, figure) for outcome in self.outcomes]))

    def largest(self, figure: str) -> float:
        """Return the largest value of a figure of MotionQuality over the episodes."""
        return float(np.max([getattr(outcome.motion, figure) for outcome in self.outcomes]))

    def summary(self) -> dict[str, Any]:
        """Return what a report says of it."""
        figures = {
            field.name: {"median": self.median(field.name), "max": self.largest(field.name)}
            for field in fields(MotionQuality)
        }
        return {"way": self.name, "episodes": len(self.outcomes), "successes": self.successes, **figures}


def timings(base: Timing) -> dict[str, Timing]:
    """Return the timing of every way of driving, the reference first."""
    ways = {REFERENCE: replace(base, blocking=True)}
    return ways | {splice: replace(base, splice=splice) for splice in SPLICES}


def compare(make_loop: Callable[[Timing], ClosedLoop], base: Timing, seeds: range) -> Iterator[Way]:
    """Drive every seed in every way; yield each way with its outcomes once it is done."""
    for name, timing in timings(base).items():
        yield Way(name, tuple(evaluate(make_loop(timing), seeds)))


def report(ways: list[Way], base: Timing, seeds: range) -> dict[str, Any]:
    """Return the comparison; every ratio is the reference's figure over the way's own."""
    reference = next(way for way in ways if way.name == REFERENCE)
    rows = []
    for way in ways:
        ratios = {
            name: reference.median(name) / way.median(name)
            for name in ("peak_jerk", "rms_jerk", "measured_peak_jerk", "reaction_median_s")
        }
        rows.append(way.summary() | {"reference_over_this": ratios})
    return {"seeds": [seeds.start, seeds.stop - 1], "timing": asdict(base), "ways": rows}
