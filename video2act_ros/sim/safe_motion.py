"""A small slow motion around the start pose that any arm can make: what the safe source's chunks hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.robot_profile import RobotProfile

PERIOD_S = 6.0  # there and back: slow enough to be followed by eye and by any servo
LARGEST = 0.1  # rad, m, or share of a gripper's range: large enough to be seen, a fifth of the default reach
SHARE_OF_RANGE = 0.1
SHARE_OF_LIMITS = 0.25  # of speed, acceleration and jerk: the limiter has nothing to do

Array = NDArray[np.float64]


class SafeMotion:
    """Every joint swings from its start towards the middle of its range and back, for ever.

    With the period T and the joint's amplitude a, positive or negative, it stands at t, in policy units, at

        start + a (1 - cos(2 pi t / T)) / 2

    so at rest at the start pose where t is 0. Its largest speed, acceleration and jerk are a pi / T, 2 a pi^2 / T^2
    and 4 a pi^3 / T^3, of which a is chosen so that none exceeds `SHARE_OF_LIMITS` of the joint's limit.
    """

    def __init__(self, profile: RobotProfile) -> None:
        self._start = profile.limits("start")  # (J,)
        low, high = profile.limits("position_min"), profile.limits("position_max")
        rate = np.pi / PERIOD_S  # 1/s
        sizes = (
            np.full_like(low, LARGEST),
            SHARE_OF_RANGE * (high - low),
            SHARE_OF_LIMITS * profile.command_speed * profile.limits("velocity_max") / rate,
            SHARE_OF_LIMITS * profile.limits("acceleration_max") / (2 * rate**2),
            SHARE_OF_LIMITS * profile.limits("jerk_max") / (4 * rate**3),
        )
        towards_middle = np.where(self._start > (low + high) / 2, -1.0, 1.0)
        self._amplitude: Array = towards_middle * np.min(sizes, axis=0)  # (J,)

    def positions(self, times_s: NDArray[np.floating[Any]]) -> Array:
        """Return where the joints stand at `times_s` (N,) since the motion began: (N, J) in policy units."""
        share = (1.0 - np.cos(2.0 * np.pi * np.asarray(times_s) / PERIOD_S)) / 2.0  # (N,)
        return self._start + np.outer(share, self._amplitude)
