"""The slow way to the start pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from video2act_ros.control.limiter import JointLimits, Limiter
from video2act_ros.core.motion import MotionState, Vector
from video2act_ros.core.robot_profile import RobotProfile

_PATIENCE = 2.0  # the move is given up after so many times its expected duration, and
_SPARE_S = 2.0  # so much more
_ARRIVED = 1e-3  # policy units


class StartMove:
    """Moves every joint to the profile's start pose at a share of its limits. Not thread-safe.

    Args:
        profile: the robot; its `start` values are the goal.
        period_s: control period [s].
        speed: share of each joint's velocity, acceleration and jerk limit.
    """

    def __init__(self, profile: RobotProfile, period_s: float, speed: float) -> None:
        limits = JointLimits.of(profile)
        self._limits = replace(
            limits,
            velocity_max=limits.velocity_max * speed,
            acceleration_max=limits.acceleration_max * speed,
            jerk_max=limits.jerk_max * speed,
        )
        self._period_s = period_s
        self._goal = MotionState.at_rest(profile.limits("start"))
        self._limiter = Limiter(self._limits, period_s)
        self._way = 0.0
        self._ticks_left = 0

    def begin(self, positions: Vector) -> float:
        """Start from a standstill at `positions` (J,); return about how long it takes [s]."""
        self._limiter.reset(positions)
        limits, way = self._limits, np.abs(self._goal.positions - positions)
        ramps_s = limits.velocity_max / limits.acceleration_max + limits.acceleration_max / limits.jerk_max
        duration_s = float(np.max(way / limits.velocity_max + ramps_s))
        self._way = float(np.max(way / limits.velocity_max))
        self._ticks_left = round((_PATIENCE * duration_s + _SPARE_S) / self._period_s)
        return duration_s

    def step(self) -> MotionState:
        """Return where the joints shall be one period later."""
        self._ticks_left -= 1
        return self._limiter.step(self._goal)

    @property
    def arrived(self) -> bool:
        """Whether the goal is reached, at rest."""
        near = np.abs(self._goal.positions - self._limiter.positions) <= _ARRIVED
        return bool(self._limiter.stopped and near.all())

    @property
    def overdue(self) -> bool:
        """Whether it takes far longer than it should."""
        return self._ticks_left < 0

    @property
    def progress(self) -> float:
        """Share of the way that is done, 0 to 1."""
        left = float(
            np.max(np.abs(self._goal.positions - self._limiter.positions) / self._limits.velocity_max)
        )
        return 1.0 if self._way <= 0.0 else min(max(1.0 - left / self._way, 0.0), 1.0)
