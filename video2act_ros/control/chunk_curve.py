"""One action chunk as a twice continuously differentiable function of time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from video2act_ros.core.types import NS_PER_S, ActionChunk

JetArray = NDArray[np.float64]
"""(3, J): positions, velocities and accelerations in policy units, per s and s²."""

Row = tuple[float, float, float, float]
Basis = tuple[Row, Row, Row]
"""What a curve's four coefficients weigh in position, velocity and acceleration."""

_STANDING: Basis = ((0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0))


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
        self._count = len(positions) - 1
        nothing = np.zeros_like(positions[0])
        self._before = np.stack((nothing, nothing, nothing, positions[0]))  # (4, J)
        self._after = np.stack((nothing, nothing, nothing, positions[-1]))
        if self._count == 0:
            return
        times_s = np.arange(len(positions)) * self._step_s
        spline = CubicSpline(times_s, positions, bc_type=("not-a-knot", (1, nothing)))
        self._coefficients = np.ascontiguousarray(spline.c.transpose(1, 0, 2))  # (H - 1, 4, J)
        self._after[0] = 0.5 * spline(times_s[-1], 2)

    def at(self, time_ns: int) -> JetArray:
        """Return positions, velocities and accelerations (3, J) at `time_ns`."""
        basis, coefficients = self.parts(time_ns)
        return np.asarray(np.array(basis) @ coefficients)

    def parts(self, time_ns: int) -> tuple[Basis, NDArray[np.float64]]:
        """Return the basis (3, 4) and the coefficients (4, J) whose product is `at(time_ns)`."""
        elapsed_ns = time_ns - self.chunk.stamp_ns
        if elapsed_ns < 0:
            return _STANDING, self._before
        index = elapsed_ns // self._step_ns
        if index >= self._count:
            return self._tail((elapsed_ns - self._count * self._step_ns) / NS_PER_S), self._after
        u = (elapsed_ns - index * self._step_ns) / NS_PER_S
        cubic = (u * u * u, u * u, u, 1.0), (3.0 * u * u, 2.0 * u, 1.0, 0.0), (6.0 * u, 2.0, 0.0, 0.0)
        return cubic, self._coefficients[index]

    def actions_before(self, time_ns: int) -> int:
        """Return how many of the actions are due before `time_ns`."""
        return min(max(-((self.chunk.stamp_ns - time_ns) // self._step_ns), 0), self._count + 1)

    def _tail(self, t: float) -> Basis:
        """Return the basis `t` seconds past the last action: its acceleration a ends as a/2 t² (1 - t/step)³."""
        rate = 1.0 / self._step_s
        left = 1.0 - t * rate
        if left <= 0.0:
            return _STANDING
        value = t * t * left**3
        first = 2.0 * t * left**3 - 3.0 * rate * t * t * left**2
        second = 2.0 * left**3 - 12.0 * rate * t * left**2 + 6.0 * rate * rate * t * t * left
        return (value, 0.0, 0.0, 1.0), (first, 0.0, 0.0, 0.0), (second, 0.0, 0.0, 0.0)
