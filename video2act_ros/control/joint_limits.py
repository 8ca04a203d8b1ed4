"""What every joint may do: position, velocity, acceleration and jerk."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_profile import RobotProfile

Vector = NDArray[np.float64]

INTERPOLATED = 0.98  # share of the accelerations that is planned with where a controller interpolates


@dataclass(frozen=True, slots=True)
class JointLimits:
    """Limits of every joint, each (J,) float64 in policy units, per s, s² and s³ for the rates."""

    position_min: Vector
    position_max: Vector
    velocity_max: Vector
    acceleration_max: Vector
    jerk_max: Vector

    def __post_init__(self) -> None:
        if not np.all(self.position_min < self.position_max):
            raise ConfigurationError("every joint's position_min must be below its position_max")
        rates = (self.velocity_max, self.acceleration_max, self.jerk_max)
        if not all(np.all((rate > 0) & np.isfinite(rate)) for rate in rates):
            raise ConfigurationError(
                "every joint's velocity_max, acceleration_max and jerk_max must be positive and finite"
            )

    @classmethod
    def of(cls, profile: RobotProfile) -> JointLimits:
        """Take the limits of a robot profile."""
        return cls(*(profile.limits(name) for name in cls.__slots__))

    @classmethod
    def of_commands(cls, profile: RobotProfile) -> JointLimits:
        """Take the limits that commands keep: the servos' overshoot has the rest of the speed."""
        limits = cls.of(profile)
        return replace(limits, velocity_max=profile.command_speed * limits.velocity_max)

    def interpolated(self, period_s: float) -> JointLimits:
        """Return limits for a motion that others interpolate between points every `period_s`, as quintics.

        Between two points the acceleration of a quintic passes that of the motion, the more the more jerk phases lie
        in between: by less than 9 % where the full acceleration takes half a period or longer.
        """
        acceleration = INTERPOLATED * self.acceleration_max
        jerk = np.minimum(self.jerk_max, 2.0 * acceleration / period_s)
        return replace(self, acceleration_max=acceleration, jerk_max=jerk)

    def tightened(self, share: float) -> JointLimits:
        """Return the same position range with rates smaller by `share`."""
        rates = (self.velocity_max, self.acceleration_max, self.jerk_max)
        return JointLimits(self.position_min, self.position_max, *(rate * (1.0 - share) for rate in rates))
