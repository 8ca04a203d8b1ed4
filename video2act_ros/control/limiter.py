"""Joint limits: whatever the target does, the output stays within position, velocity and acceleration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import FloatArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JointLimits:
    """Limits of every joint, each (J,) float64 in policy units, per s and s² for the rates."""

    position_min: Vector
    position_max: Vector
    velocity_max: Vector
    acceleration_max: Vector

    def __post_init__(self) -> None:
        if not np.all(self.position_min < self.position_max):
            raise ConfigurationError("every joint's position_min must be below its position_max")
        if not (np.all(self.velocity_max > 0) and np.all(self.acceleration_max > 0)):
            raise ConfigurationError("every joint's velocity_max and acceleration_max must be positive")

    @classmethod
    def of(cls, profile: RobotProfile) -> JointLimits:
        """Take the limits of a robot profile."""
        return cls(*(profile.limits(name) for name in cls.__slots__))


def stoppable_speed(distance: Vector, acceleration_max: Vector, period_s: float) -> Vector:
    """Return the largest speed (J,) for the next period after which braking still ends within `distance`.

    Moving one period at speed v, then slower by a = acceleration_max * period_s in each following one,
    covers period_s * (n v - a n (n-1) / 2) with n = ceil(v / a) periods. This inverts that sum.
    """
    gap = np.maximum(distance, 0.0)
    change = acceleration_max * period_s
    periods = np.ceil((np.sqrt(1.0 + 8.0 * gap / (change * period_s)) - 1.0) / 2.0)
    periods = np.maximum(periods, 1.0)
    return (gap / period_s + change * periods * (periods - 1.0) / 2.0) / periods


class Limiter:
    """Follows a target from tick to tick within the limits, always able to brake before a position limit.

    A target that the limits allow is reached exactly in its own tick, without lag; one that they do not
    allow is approached as fast as they permit, ending at the target's own velocity without overshoot.
    Limits hold for the differences between successive outputs: velocity (x[k] - x[k-1]) / period and
    acceleration (v[k] - v[k-1]) / period. A pose outside the position limits may only move inwards.
    """

    def __init__(self, limits: JointLimits, period_s: float) -> None:
        self._limits = limits
        self._period_s = period_s
        joints = len(limits.velocity_max)
        self._positions: Vector = np.zeros(joints)
        self._velocities: Vector = np.zeros(joints)
        self._target: Vector | None = None

    @property
    def positions(self) -> Vector:
        """The newest output (J,), in policy units."""
        return self._positions

    @property
    def velocities(self) -> Vector:
        """The newest output's velocity (J,), in policy units per second."""
        return self._velocities

    @property
    def stopped(self) -> bool:
        """True when the output no longer moves."""
        return not np.any(self._velocities)

    def reset(self, positions: FloatArray) -> None:
        """Stand still at `positions` (J,), which must be finite: the measured pose."""
        self._positions = np.array(positions, dtype=np.float64)
        self._velocities = np.zeros_like(self._positions)
        self._target = None

    def step(self, target: Vector | None) -> Vector:
        """Advance one period towards `target` (J,) and return the new positions (J,).

        None, or a target with a value that is not finite, brakes to a standstill and stays there.
        """
        if target is None or not np.all(np.isfinite(target)):
            self._target = None
            wanted = np.zeros_like(self._velocities)
        else:
            wanted = self._towards(target)
        limits, period_s = self._limits, self._period_s
        change = limits.acceleration_max * period_s
        ceiling = stoppable_speed(limits.position_max - self._positions, limits.acceleration_max, period_s)
        floor = -stoppable_speed(self._positions - limits.position_min, limits.acceleration_max, period_s)
        velocities = np.clip(wanted, -limits.velocity_max, limits.velocity_max)
        velocities = np.minimum(np.maximum(velocities, floor), ceiling)
        velocities = np.clip(velocities, self._velocities - change, self._velocities + change)
        self._velocities = velocities
        self._positions = self._positions + velocities * period_s
        return self._positions

    def rest(self) -> tuple[Vector, float]:
        """Return where (J,) and after how long [s] constant deceleration brings all joints to rest together."""
        rest_s = float(np.max(np.abs(self._velocities) / self._limits.acceleration_max))
        rest = self._positions + self._velocities * rest_s / 2.0
        return np.clip(rest, self._limits.position_min, self._limits.position_max), rest_s

    def _towards(self, target: Vector) -> Vector:
        """Return the velocities that meet the target at its own velocity, were there only acceleration."""
        limits, period_s = self._limits, self._period_s
        target = np.clip(target, limits.position_min, limits.position_max)
        previous = target if self._target is None else self._target
        drift = np.clip((target - previous) / period_s, -limits.velocity_max, limits.velocity_max)
        gap = target - drift * period_s - self._positions
        self._target = target
        return drift + np.sign(gap) * stoppable_speed(np.abs(gap), limits.acceleration_max, period_s)
