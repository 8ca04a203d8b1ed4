"""The simulated arm's driver: takes commands as a ros2_control arm would, and brakes when they stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import InputError
from video2act_ros.core.robot_profile import Joint

Array = NDArray[np.float64]

_NEARING_PER_S = 25.0
"""Rate of the critically damped way back to the trajectory: a tenth is left after 0.16 s."""

_SMOOTH = 2.0
"""Times the acceleration limits: a cubic through points of a motion within them needs up to 5 / 3."""


@dataclass(frozen=True, slots=True)
class TrajectoryPoint:
    """A set-point of some joints: due at `time_s`; `positions` and `velocities` are (K,) in robot units."""

    time_s: float
    positions: Array
    velocities: Array


class ArmDriver:
    """Follows trajectories or plain set-points, within reach of a command time-out of its own.

    The reference is a function of explicit time and belongs to one thread. From point to point the trajectory is a
    cubic (as a trajectory controller's is when points carry velocities). Where a command is not the continuation of
    the one before, because it is late or others were lost, the reference does not leap: its distance to the
    trajectory decays smoothly, so that the servos have nothing to overshoot. Past the last point, or once no
    command has come for `timeout_s`, it decelerates at the joints' acceleration limits and holds: it never stops at
    speed and never runs on. It is never faster than `command_speed` of the joints' velocity limits.
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
        self._points: list[TrajectoryPoint] = []  # the one that was passed last, then those to come
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
        ordered = self.check(names, points)
        ordered.sort(key=lambda point: point.time_s)
        self._commanded_s = now_s
        self._in_motion = bool(ordered) and bool(np.any(ordered[0].velocities))
        self._join(ordered)

    def check(self, names: Sequence[str], points: Sequence[TrajectoryPoint]) -> list[TrajectoryPoint]:
        """Return `points` in the driver's order of joints.

        Raises:
            InputError: as `command`.
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
        return ordered

    def update(self, now_s: float) -> Array:
        """Advance the reference to `now_s` and return it, (J,) in robot units within the position limits."""
        elapsed_s = now_s - self._time_s
        if elapsed_s <= 0:
            return self._positions.copy()
        before, most = self._positions, self._velocity_max * elapsed_s
        if now_s - self._commanded_s > self._timeout_s:
            self._points = []
        if self._points:
            self._follow(now_s, elapsed_s)
        else:
            self._brake(elapsed_s)
        self._velocities = np.clip(self._velocities, -self._velocity_max, self._velocity_max)
        self._positions = before + np.clip(self._positions - before, -most, most)
        clipped = np.clip(self._positions, self._low, self._high)
        self._velocities[clipped != self._positions] = 0.0
        self._positions, self._time_s = clipped, now_s
        return clipped.copy()

    def _join(self, points: list[TrajectoryPoint]) -> None:
        """Go over to `points`, in order of time, from the point that was passed last.

        Joints that a smooth motion does not bring from there to the first of `points` in time come in on the
        straight line of its velocity instead, at a distance.
        """
        now = TrajectoryPoint(self._time_s, self._positions, self._velocities)
        last = self._points[0] if self._points else now
        self._points = [self._start(last, points[0]), *points] if points else []
        self._pass_points(self._time_s)

    def _start(self, last: TrajectoryPoint, first: TrajectoryPoint) -> TrajectoryPoint:
        span_s, way = first.time_s - last.time_s, first.positions - last.positions
        speeds = np.stack([last.velocities, first.velocities])
        # accelerations at both ends of the cubic, times span_s squared
        bends = np.abs(6.0 * way - 2.0 * (speeds + speeds.sum(axis=0)) * span_s)
        hard = np.any(bends > _SMOOTH * self._acceleration_max * span_s**2, axis=0)
        late = (hard & np.any(speeds, axis=0)) | (np.abs(way) > self._velocity_max * span_s)
        positions = np.where(late, first.positions - first.velocities * span_s, last.positions)
        return TrajectoryPoint(last.time_s, positions, np.where(late, first.velocities, last.velocities))

    def _pass_points(self, now_s: float) -> None:
        while len(self._points) > 1 and self._points[1].time_s <= now_s:
            del self._points[0]

    def _follow(self, now_s: float, elapsed_s: float) -> None:
        """Move along the trajectory, ever nearer to it; beyond a last point that moves, brake."""
        distance, rate = np.stack([self._positions, self._velocities]) - self._trajectory(self._time_s)
        decay, push = np.exp(-_NEARING_PER_S * elapsed_s), rate + _NEARING_PER_S * distance
        distance = np.stack([distance + push * elapsed_s, rate - _NEARING_PER_S * push * elapsed_s]) * decay
        self._pass_points(now_s)
        self._positions, self._velocities = self._trajectory(now_s) + distance
        last = self._points[-1]
        if now_s > last.time_s and np.any(last.velocities):
            self._points = []
            self._brake(now_s - last.time_s)

    def _trajectory(self, now_s: float) -> Array:
        """Return positions and velocities (2, J) of the cubic from the point passed last to the next one."""
        start, end = self._points[0], self._points[min(1, len(self._points) - 1)]
        span_s = end.time_s - start.time_s
        if span_s <= 0 or now_s <= start.time_s:
            return np.stack([start.positions, start.velocities])
        u = (now_s - start.time_s) / span_s
        tangent0, tangent1 = start.velocities * span_s, end.velocities * span_s
        delta = end.positions - start.positions
        a, b = 2 * -delta + tangent0 + tangent1, 3 * delta - 2 * tangent0 - tangent1
        positions = ((a * u + b) * u + tangent0) * u + start.positions
        return np.stack([positions, ((3 * a * u + 2 * b) * u + tangent0) / span_s])

    def _brake(self, elapsed_s: float) -> None:
        """Decelerate every joint for `elapsed_s` and stop at rest."""
        speed = np.abs(self._velocities)
        braking_s = np.minimum(elapsed_s, speed / self._acceleration_max)
        change = self._acceleration_max * braking_s
        self._positions = self._positions + np.sign(self._velocities) * (speed - change / 2) * braking_s
        self._velocities = np.sign(self._velocities) * (speed - change)
