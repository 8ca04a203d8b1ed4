"""Percentiles over a whole run in fixed memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_SMALLEST = 1e-6  # values below a microsecond (or negative) share the first bin
_LARGEST = 1e4
_RATIO = 1.01  # neighbouring bins differ by 1 %
_LOG_RATIO = math.log(_RATIO)
_BINS = math.ceil(math.log(_LARGEST / _SMALLEST) / _LOG_RATIO) + 1


@dataclass(frozen=True, slots=True)
class Summary:
    """How often something was measured, and its percentiles; None where nothing was."""

    count: int
    p50: float | None
    p99: float | None
    maximum: float | None


class Distribution:
    """Counts positive values in logarithmic bins: percentiles to 1 %, the maximum exactly.

    Adding costs under a microsecond and never allocates, so the control thread may call it. One
    thread adds; any thread may read.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, dtype=np.int64)
        self._maximum = -math.inf

    def add(self, value: float) -> None:
        """Count one value; what is not finite is ignored."""
        if not math.isfinite(value):
            return
        index = int(math.log(value / _SMALLEST) / _LOG_RATIO) if value > _SMALLEST else 0
        self._counts[min(index, _BINS - 1)] += 1
        self._maximum = max(self._maximum, value)

    def summary(self) -> Summary:
        """Return the percentiles over everything added so far."""
        totals = np.cumsum(self._counts)
        count = int(totals[-1])
        if count == 0:
            return Summary(0, None, None, None)

        def percentile(fraction: float) -> float:
            index = int(np.searchsorted(totals, math.ceil(fraction * count)))
            return min(_SMALLEST * _RATIO ** (index + 0.5), self._maximum)

        return Summary(count, percentile(0.5), percentile(0.99), self._maximum)
