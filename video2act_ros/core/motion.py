"""A motion at one instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MotionState:
    """Positions, velocities and accelerations of every joint, each (J,) float64 in policy units, per s and s²."""

    positions: Vector
    velocities: Vector
    accelerations: Vector

    @classmethod
    def at_rest(cls, positions: Vector) -> MotionState:
        """Return a standstill at `positions` (J,)."""
        values = np.array(positions, dtype=np.float64)
        return cls(values, np.zeros_like(values), np.zeros_like(values))

    def advanced(self, time_s: float) -> MotionState:
        """Return the motion after `time_s` of these accelerations."""
        velocities = self.velocities + self.accelerations * time_s
        positions = self.positions + (self.velocities + velocities) * (time_s / 2.0)
        return MotionState(positions, velocities, self.accelerations)

    @property
    def finite(self) -> bool:
        """Whether every value is finite."""
        return bool(
            np.all(np.isfinite(self.positions))
            and np.all(np.isfinite(self.velocities))
            and np.all(np.isfinite(self.accelerations))
        )
