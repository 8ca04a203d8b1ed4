"""One action chunk as a twice continuously differentiable function of time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from video2act_ros.core.types import NS_PER_S, ActionChunk

JetArray = NDArray[np.float64]
"""(3, J): positions, velocities and accelerations in policy units, per s and s²."""


class ChunkCurve:
    """The cubic spline through a chunk's actions, evaluated from coefficients that are computed once.

    The start is free (not-a-knot): nothing is known of the motion before the first action, and steady
    motion is reproduced exactly. The end is clamped to velocity 0, so that the last action is reached
    standing and can be held; its acceleration fades away within one more step. Before the first action
    the curve stands at it.
    """

    def __init__(self, chunk: ActionChunk) -> None:
        positions = np.asarray(chunk.positions, dtype=np.float64)  # (H, J)
        self.chunk = chunk
        self._step_ns = chunk.step_ns
        self._step_s = self._step_ns / NS_PER_S
        self._last = positions[-1]
        self._first = positions[0]
        self._end_acceleration = np.zeros_like(self._last)
        self._count = len(positions) - 1
        if self._count == 0:
            return
        times_s = np.arange(len(positions)) * self._step_s
        spline = CubicSpline(times_s, positions, bc_type=("not-a-knot", (1, np.zeros(len(self._last)))))
        self._coefficients = np.ascontiguousarray(spline.c.transpose(1, 0, 2))  # (H - 1, 4, J)
        self._end_acceleration = spline(times_s[-1], 2)

    def at(self, time_ns: int) -> JetArray:
        """Return positions, velocities and accelerations (3, J) at `time_ns`."""
        elapsed_ns = time_ns - self.chunk.stamp_ns
        index = elapsed_ns // self._step_ns
        if elapsed_ns < 0:
            return self._standing(self._first)
        if index >= self._count:
            return self._after((elapsed_ns - self._count * self._step_ns) / NS_PER_S)
        u = (elapsed_ns - index * self._step_ns) / NS_PER_S
        powers = np.array(
            ((u * u * u, u * u, u, 1.0), (3.0 * u * u, 2.0 * u, 1.0, 0.0), (6.0 * u, 2.0, 0.0, 0.0))
        )
        return np.asarray(powers @ self._coefficients[index])

    def actions_before(self, time_ns: int) -> int:
        """Return how many of the actions are due before `time_ns`."""
        return min(max(-((self.chunk.stamp_ns - time_ns) // self._step_ns), 0), self._count + 1)

    def _after(self, late_s: float) -> JetArray:
        """Return the last action; the acceleration a there ends as a/2 t² (1 - t/step)³ added to it."""
        curve = self._standing(self._last)
        left = 1.0 - late_s / self._step_s
        if left <= 0.0:
            return curve
        t, rate = late_s, 1.0 / self._step_s
        shape = (
            t * t * left**3,
            2.0 * t * left**3 - 3.0 * rate * t * t * left**2,
            2.0 * left**3 - 12.0 * rate * t * left**2 + 6.0 * rate * rate * t * t * left,
        )
        curve += 0.5 * np.multiply.outer(shape, self._end_acceleration)
        return curve

    @staticmethod
    def _standing(positions: NDArray[np.float64]) -> JetArray:
        return np.stack((positions, np.zeros_like(positions), np.zeros_like(positions)))
