"""Judges commands that were really sent: did any leave the joint limits?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from video2act_ros.control.limiter import JointLimits
from video2act_ros.core.types import NS_PER_S

_SLACK = 1e-6  # rounding, relative to each limit and absolute for positions


class LimitCheck:
    """Takes one output's commands in order and counts those outside a joint limit, of position or of any rate.

    Rates are differences of successive commands over whole control periods, as the limiter defines them. Where
    a command is missing (a skipped tick, or a lost message) the mean velocity over the gap is judged, and neither
    acceleration nor jerk across it. Not thread-safe.
    """

    def __init__(self, limits: JointLimits, period_s: float) -> None:
        """Start empty; every array of `limits` is (J,) like the commands to come."""
        self._limits = limits
        self._period_s = period_s
        self._stamp_ns: int | None = None
        self._positions: NDArray[np.float64] = np.zeros(0)
        self._velocities: NDArray[np.float64] | None = None
        self._accelerations: NDArray[np.float64] | None = None
        self.commands = 0
        self.gaps = 0
        self.outside = 0
        self.largest_velocity = 0.0  # as a fraction of the limit
        self.largest_acceleration = 0.0  # as a fraction of the limit
        self.largest_jerk = 0.0  # as a fraction of the limit

    def add(self, stamp_ns: int, positions: NDArray[np.float64]) -> None:
        """Judge the next command: (J,) float64 positions in policy units."""
        limits = self._limits
        bad = bool(np.any(positions < limits.position_min - _SLACK))
        bad |= bool(np.any(positions > limits.position_max + _SLACK))
        velocities = accelerations = None
        if self._stamp_ns is not None:
            periods = max(round((stamp_ns - self._stamp_ns) / NS_PER_S / self._period_s), 1)
            velocities = (positions - self._positions) / (periods * self._period_s)
            bad |= self._fast(velocities)
            if periods > 1:
                self.gaps += 1
                velocities = None
            elif self._velocities is not None:
                accelerations = (velocities - self._velocities) / self._period_s
                bad |= self._hard(accelerations)
                if self._accelerations is not None:
                    bad |= self._jerky((accelerations - self._accelerations) / self._period_s)
        self.commands += 1
        self.outside += bad
        self._stamp_ns, self._positions = stamp_ns, positions
        self._velocities, self._accelerations = velocities, accelerations

    def _fast(self, velocities: NDArray[np.float64]) -> bool:
        share = float(np.max(np.abs(velocities) / self._limits.velocity_max))
        self.largest_velocity = max(self.largest_velocity, share)
        return share > 1.0 + _SLACK

    def _hard(self, accelerations: NDArray[np.float64]) -> bool:
        share = float(np.max(np.abs(accelerations) / self._limits.acceleration_max))
        self.largest_acceleration = max(self.largest_acceleration, share)
        return share > 1.0 + _SLACK

    def _jerky(self, jerks: NDArray[np.float64]) -> bool:
        share = float(np.max(np.abs(jerks) / self._limits.jerk_max))
        self.largest_jerk = max(self.largest_jerk, share)
        return share > 1.0 + _SLACK
