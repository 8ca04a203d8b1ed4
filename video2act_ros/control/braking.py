"""The quickest way to rest under acceleration and jerk limits, in closed form, each joint by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2act_ros.control.joint_limits import JointLimits, Vector


@dataclass(frozen=True, slots=True)
class Brake:
    """Braking to v = a = 0: jerk against the motion, constant deceleration, jerk back. Every array is (J,).

    Seen in the direction in which the joint would go on moving if its acceleration went to zero as quickly
    as the jerk limit permits (`direction`); there the velocity `v` ends from above and `peak` is not positive.
    """

    direction: Vector  # 1 or -1
    v: Vector
    a: Vector
    peak: Vector  # the acceleration held
    times_s: tuple[Vector, Vector, Vector]  # of the three phases
    jerk: Vector

    @classmethod
    def of(cls, velocities: Vector, accelerations: Vector, limits: JointLimits) -> Brake:
        """Plan the way to rest from `velocities` and `accelerations`, each (J,), |acceleration| within its limit."""
        jerk = limits.jerk_max
        coast = velocities + accelerations * np.abs(accelerations) / (2.0 * jerk)
        direction = np.where(coast < 0.0, -1.0, 1.0)
        v, a = direction * velocities, direction * accelerations
        square = np.maximum(jerk * v + a * a / 2.0, 0.0)
        peak = -np.minimum(np.sqrt(square), limits.acceleration_max)
        first = np.maximum((a - peak) / jerk, 0.0)
        held = np.maximum(square - peak * peak, 0.0) / (jerk * limits.acceleration_max)
        return cls(direction, v, a, peak, (first, held, -peak / jerk), jerk)

    @property
    def durations_s(self) -> Vector:
        """How long each joint takes."""
        return self.times_s[0] + self.times_s[1] + self.times_s[2]

    def extent(self) -> tuple[Vector, Vector]:
        """Return where each joint comes to rest and where it turns on the way, relative to its position.

        The turn differs from zero only where a joint moves against its acceleration at first.
        """
        first, held, last = self.times_s
        distance = first * (self.v + first * (self.a / 2.0 - first * self.jerk / 6.0))
        speed = self.v + first * (self.a - first * self.jerk / 2.0)
        distance += held * (speed + held * self.peak / 2.0) + self.jerk * last**3 / 6.0
        back = np.minimum(self.v, 0.0)
        turn_s = (self.a - np.sqrt(np.maximum(self.a * self.a + 2.0 * self.jerk * back, 0.0))) / self.jerk
        turn = np.where(
            back < 0.0, turn_s * (self.v + turn_s * (self.a / 2.0 - turn_s * self.jerk / 6.0)), 0.0
        )
        return self.direction * distance, self.direction * turn

    def at(self, time_s: float) -> Vector:
        """Return (3, J): distance, velocity and acceleration after `time_s`; exactly at rest at the end."""
        left = np.full_like(self.v, time_s)
        state = np.array([np.zeros_like(self.v), self.v, self.a])
        jerks: tuple[Vector | float, ...] = (-self.jerk, 0.0, self.jerk)
        for phase_s, jerk in zip(self.times_s, jerks, strict=True):
            state = advance(state, np.minimum(left, phase_s), jerk)
            left = np.maximum(left - phase_s, 0.0)
        state[1:, time_s >= self.durations_s] = 0.0
        return self.direction * state


def advance(state: Vector, time_s: Vector, jerk: Vector | float) -> Vector:
    """Return `state` (3, J), position, velocity and acceleration, after `time_s` (J,) of constant `jerk`."""
    p, v, a = state
    return np.array(
        [
            p + time_s * (v + time_s * (a / 2.0 + time_s * jerk / 6.0)),
            v + time_s * (a + time_s * jerk / 2.0),
            a + time_s * jerk,
        ]
    )


def stoppable_speed(distance: Vector, limits: JointLimits) -> Vector:
    """Return the largest speed (J,) without acceleration from which braking ends within `distance` (J,).

    Inverts the braking distance of docs/control.md: v sqrt(v / j) up to v = a² / j, v (v / a + a / j) / 2 above.
    """
    gap = np.maximum(distance, 0.0)
    a, j = limits.acceleration_max, limits.jerk_max
    gentle = np.cbrt(gap * gap * j)
    hard = a / 2.0 * (np.sqrt((a / j) ** 2 + 8.0 * gap / a) - a / j)
    return np.where(gentle <= a * a / j, gentle, hard)
