"""Paths between two joint positions whose steps are bounded, as the released robot script moves the arms.

The control loop does not use them: its limiter bounds velocity, acceleration and jerk instead (docs/robot.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.float64]


def interpolate(previous: Positions, target: Positions, step_limits: Positions) -> Positions:
    """Return (n, J) equal steps from `previous` (J,), left out, to `target` (J,), none above `step_limits` (J,).

    All joints arrive together, as many steps later as the one with the longest way needs.
    """
    count = max(1, int(np.ceil(np.abs(target - previous) / step_limits).max()))
    if count == 1:
        return target[None].copy()
    return np.linspace(previous, target, count + 1, dtype=np.float64)[1:]


def ramp(start: Positions, target: Positions, step_limits: Positions) -> Positions:
    """Return (n, J): every joint goes by its step limit (J,) until less than one step is left, then to `target`."""
    distance = np.abs(target - start)
    count = int(np.floor(distance / step_limits).max()) + 1
    steps = np.arange(1, count + 1)[:, None] * step_limits  # (n, J)
    moved = start + np.sign(target - start) * steps
    return np.where(steps > distance, target, moved)
