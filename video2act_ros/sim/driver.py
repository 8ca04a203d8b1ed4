"""The simulated arm's driver: takes commands as a ros2_control arm would, and brakes when they stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import InputError
from video2act_ros.core.robot_profile import Joint

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrajectoryPoint:
    """A set-point of some joints: due at `time_s`; `positions` and `velocities` are (K,) in robot units."""

    time_s: float
    positions: Array
    velocities: Array


class ArmDriver:
    """Follows trajectories or plain set-points, within reach of a command time-out of its own.

    The reference is a function of explicit time and belongs to one thread. Between the reference and the
    next point it runs a cubic (as a trajectory controller does when points carry velocities). Past the last
    point, or once no command has come for `timeout_s`, it decelerates at the joints' acceleration limits
    and holds: it never stops at speed and never runs on. What a late command missed is made up for within
    `command_speed` of the joints' velocity limits: the servos overshoot the reference's speed.
    """

    def __init__(self, joints: Sequence[Joint], timeout_s: float, command_speed: float = 1.0) -> None:
        """Stand at the joints' `start`; `command_speed` is the share of their velocity limits that commands use."""
        self.joint_names = tuple(joint.name for joint in joints)
        self._low = np.array([joint.position_min for joint in joints])
        self._high = np.array([joint.position_max for joint in joints])
        self._velocity_max = command_speed * np.array([joint.velocity_max for joint in joints])
        self._acceleration_max = np.array([joint.acceleration_max for joint in joints])
        self._timeout_s = timeout_s
        self.reset(np.array([joint.start for joint in joints]), 0.0)

    def reset(self, positions: Array, now_s: float) -> None:
        """Hold `positions` (J,) and forget every command."""
        self._positions = np.array(positions, dtype=np.float64)
        self._velocities = np.zeros_like(self._positions)
        self._time_s = now_s
        self._points: list[TrajectoryPoint] = []
        self._commanded_s = -np.inf
        self._in_motion = False

    def abandoned_s(self, now_s: float) -> float | None:
        """Return since when [s] no command has come although the newest one moved the arm; None: all is well.

        Commands that carry no velocities do not tell whether they move it.
        """
        silent_s = now_s - self._commanded_s
        return silent_s if self._in_motion and silent_s > self._timeout_s else None

    def is_idle(self, now_s: float) -> bool:
        """Return whether the arm stands and nobody has commanded it for longer than the time-out."""
        return now_s - self._commanded_s > self._timeout_s and not np.any(self._velocities)

    def command(self, names: Sequence[str], points: Sequence[TrajectoryPoint], now_s: float) -> None:
        """Replace the trajectory by `points`, given for the joints `names` in any order.

        Raises:
            InputError: unknown or missing joints, wrong lengths, or non-finite values; nothing changes.
        """
        unknown = sorted(set(names) - set(self.joint_names))
        if unknown or len(set(names)) != len(self.joint_names):
            raise InputError(
                f"a command must name each of the {len(self.joint_names)} joints once "
                f"({', '.join(self.joint_names)}); got {', '.join(names) or 'none'}"
            )
        order = [list(names).index(name) for name in self.joint_names]
        ordered = []
        for point in points:
            values = np.stack([point.positions, point.velocities])  # (2, J)
            if values.shape[1] != len(order) or not np.all(np.isfinite(values)):
                raise InputError(
                    f"a command needs {len(order)} finite positions, got {list(point.positions)}"
                )
            ordered.append(TrajectoryPoint(point.time_s, values[0, order], values[1, order]))
        self._points = sorted(ordered, key=lambda point: point.time_s)
        self._commanded_s = now_s
        self._in_motion = bool(self._points) and bool(np.any(self._points[0].velocities))

    def update(self, now_s: float) -> Array:
        """Advance the reference to `now_s` and return it, (J,) in robot units within the position limits."""
        elapsed_s = now_s - self._time_s
        if elapsed_s <= 0:
            return self._positions.copy()
        before, most = self._positions, self._velocity_max * elapsed_s
        self._points = [point for point in self._points if point.time_s > self._time_s]
        if self._points and now_s - self._commanded_s <= self._timeout_s:
            self._follow(self._points[0], now_s)
        else:
            self._brake(elapsed_s)
        self._velocities = np.clip(self._velocities, -self._velocity_max, self._velocity_max)
        self._positions = before + np.clip(self._positions - before, -most, most)
        clipped = np.clip(self._positions, self._low, self._high)
        self._velocities[clipped != self._positions] = 0.0
        self._positions, self._time_s = clipped, now_s
        return clipped.copy()

    def _follow(self, point: TrajectoryPoint, now_s: float) -> None:
        """Move along the cubic from the reference to `point`; beyond its time, brake for the rest."""
        span_s = point.time_s - self._time_s
        if now_s >= point.time_s:
            overrun_s = now_s - point.time_s
            self._positions, self._velocities = point.positions.copy(), point.velocities.copy()
            if overrun_s > 0:
                self._brake(overrun_s)
            return
        u = (now_s - self._time_s) / span_s
        start, end = self._positions, point.positions
        tangent0, tangent1 = self._velocities * span_s, point.velocities * span_s
        delta = end - start
        a, b = 2 * -delta + tangent0 + tangent1, 3 * delta - 2 * tangent0 - tangent1
        self._positions = ((a * u + b) * u + tangent0) * u + start
        self._velocities = ((3 * a * u + 2 * b) * u + tangent0) / span_s

    def _brake(self, elapsed_s: float) -> None:
        """Decelerate every joint for `elapsed_s` and stop at rest."""
        speed = np.abs(self._velocities)
        braking_s = np.minimum(elapsed_s, speed / self._acceleration_max)
        change = self._acceleration_max * braking_s
        self._positions = self._positions + np.sign(self._velocities) * (speed - change / 2) * braking_s
        self._velocities = np.sign(self._velocities) * (speed - change)
