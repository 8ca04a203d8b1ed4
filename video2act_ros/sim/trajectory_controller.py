"""What a joint trajectory controller of ros2_control does with our messages, as a function of explicit time.

Written after the behaviour of `joint_trajectory_controller` 4.42 (Jazzy) with a position command interface and
position and velocity state interfaces; docs/robots.md states the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import InputError
from video2act_ros.core.types import NS_PER_S

Array = NDArray[np.float64]
StartFrom = Literal["measured", "desired"]

_AT_REST = float(np.finfo(np.float32).eps)  # a last point faster than this is refused


def _nothing() -> Array:
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class Waypoint:
    """One point of a trajectory message, due `after_ns` after its stamp.

    Each array is (K,) in the robot's units, per s and s², in the order of the message's names, or empty where the
    message says nothing about it.
    """

    after_ns: int
    positions: Array
    velocities: Array = field(default_factory=_nothing)
    accelerations: Array = field(default_factory=_nothing)
    effort: Array = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class JointTrajectoryMessage:
    """A trajectory as it arrives: the driver's joint names, and when its time begins; 0 means when it is taken."""

    names: tuple[str, ...]
    stamp_ns: int
    points: tuple[Waypoint, ...]


@dataclass(slots=True)
class _Trajectory:
    """What is being followed: points in the controller's order of joints, after the state that it set out from."""

    start_ns: int | None  # None: with the first sample
    points: tuple[Waypoint, ...]
    before_ns: int = 0
    before: Waypoint | None = None  # None: it was not sampled yet

    def sample(self, now_ns: int) -> Waypoint:
        """Return the motion at `now_ns`, every array (K,): on the way to the first point, between two, at the last."""
        assert self.before is not None
        assert self.start_ns is not None
        times_ns = [self.start_ns + point.after_ns for point in self.points]
        if now_ns < times_ns[0]:
            return _between(self.before_ns, self.before, times_ns[0], self.points[0], now_ns)
        following = zip(times_ns, times_ns[1:], self.points, self.points[1:], strict=False)
        for from_ns, to_ns, first, second in following:
            if now_ns < to_ns:
                return _between(from_ns, first, to_ns, second, now_ns)
        return _filled(self.points[-1])


class TrajectoryController:
    """Follows one trajectory at a time; the newest message replaces the one before at the next update.

    A message is judged when it arrives and refused as a whole. At the first update with a new one the controller
    remembers the state that it sets out from: by default the *measured* one, now; with `start_from` desired the
    motion that it commanded last, which was sampled one update period ahead of the time it is remembered with. Up
    to the first point's time it moves from there to the first point, then from point to point, and after the last
    it holds. The command of an update is the motion one update period later. Between two points with
    accelerations it is a quintic, with velocities alone a cubic, else a straight line.

    `splice_at_stamp` is what versions from 6.8 on do by default (`allow_trajectory_replacement`; Jazzy has none): the
    trajectory before goes on up to the new one's stamp, and one whose stamp has passed begins now, *late by as much*.

    One thread, times in ns of the clock that stamps the messages.
    """

    def __init__(
        self,
        joint_names: Sequence[str],
        positions: Array,
        rate_hz: float,
        *,
        start_from: StartFrom = "measured",
        splice_at_stamp: bool = False,
    ) -> None:
        """Be active and hold `positions` (K,), which are those of `joint_names`."""
        self.joint_names = tuple(joint_names)
        self.start_from = start_from
        self.splice_at_stamp = splice_at_stamp
        self.period_ns = int(NS_PER_S / rate_hz)
        self._active = True
        self._waiting: JointTrajectoryMessage | None = None
        self._newest_ns: int | None = None  # of the newest update
        standing = Waypoint(0, np.array(positions, dtype=np.float64))
        self._commanded = _filled(standing)
        self._trajectory = _Trajectory(None, (standing,))

    @property
    def active(self) -> bool:
        """Whether messages are acted on; an inactive controller judges them all the same."""
        return self._active

    @property
    def commanded(self) -> Waypoint:
        """The newest command: positions, velocities and accelerations, (K,) each."""
        return self._commanded

    @property
    def moves(self) -> bool:
        """Whether the newest command is one of a motion."""
        return bool(np.any(self._commanded.velocities))

    def activate(self) -> None:
        """Act from now on, on what comes from now on; until then the last command stands."""
        self._active = True

    def deactivate(self) -> None:
        """Act no more: what was commanded last stands, and the newest trajectory is forgotten."""
        if self._active:
            self._active = False
            self._waiting = self._newest_ns = None
            standing = Waypoint(0, self._commanded.positions)
            self._commanded, self._trajectory = _filled(standing), _Trajectory(None, (standing,))

    def receive(self, message: JointTrajectoryMessage, now_ns: int) -> None:
        """Take a message for the next update; without effect while inactive.

        Raises:
            InputError: the controller would refuse it; nothing changes.
        """
        self._check(message, now_ns)
        if self._active:
            self._waiting = message

    def update(self, now_ns: int, positions: Array, velocities: Array) -> Array:
        """Return the command (K,) of the update at `now_ns`; `positions` and `velocities` (K,) are measured.

        Call it once per period.
        """
        if self._waiting is not None:
            self._take(self._waiting, now_ns)
            self._waiting = None
        trajectory = self._trajectory
        if trajectory.before is None:
            if self.start_from == "desired":
                before, before_ns = self._commanded, now_ns if self._newest_ns is None else self._newest_ns
            else:
                before, before_ns = Waypoint(0, positions.copy(), velocities.copy()), now_ns
            trajectory.before, trajectory.before_ns = _like(before, trajectory.points[0]), before_ns
            if trajectory.start_ns is None:
                trajectory.start_ns = now_ns
        self._commanded, self._newest_ns = trajectory.sample(now_ns + self.period_ns), now_ns
        return self._commanded.positions.copy()

    def _take(self, message: JointTrajectoryMessage, now_ns: int) -> None:
        """Go over to a message's trajectory, in the controller's order of joints."""
        order = [message.names.index(name) for name in self.joint_names]
        points = tuple(_ordered(point, order) for point in message.points)
        start_ns = message.stamp_ns or None
        if self.splice_at_stamp and len(self._trajectory.points) > 1:
            points, start_ns = self._spliced(points, message.stamp_ns, now_ns), None
        self._trajectory = _Trajectory(start_ns, points)

    def _spliced(self, points: tuple[Waypoint, ...], stamp_ns: int, now_ns: int) -> tuple[Waypoint, ...]:
        """Return `points` with what is left of the trajectory before, up to the stamp, as a trajectory of now."""
        old = self._trajectory
        assert old.start_ns is not None
        ahead_ns = max(stamp_ns - now_ns, 0)
        left = [
            replace(point, after_ns=after_ns)
            for point in old.points
            if 0 < (after_ns := old.start_ns + point.after_ns - now_ns) < ahead_ns
        ]
        if points[0].after_ns > 0:
            left.append(replace(old.sample(now_ns + ahead_ns), after_ns=ahead_ns))
        return (*left, *(replace(point, after_ns=point.after_ns + ahead_ns) for point in points))

    def _check(self, message: JointTrajectoryMessage, now_ns: int) -> None:
        """Refuse what the controller refuses, in its order."""
        names, points = message.names, message.points
        if len(names) != len(self.joint_names) or set(names) != set(self.joint_names):
            raise InputError(
                f"a trajectory must name each of the {len(self.joint_names)} joints once "
                f"({', '.join(self.joint_names)}); got {', '.join(names) or 'none'}"
            )
        if not points:
            raise InputError("a trajectory without points")
        moving = np.abs(points[-1].velocities) > _AT_REST
        if moving.any():
            joint = int(np.argmax(moving))
            speed = points[-1].velocities[joint]
            raise InputError(f"the last point's velocity of {names[joint]} must be 0, got {speed:.15f}")
        late_ns = now_ns - message.stamp_ns - points[-1].after_ns
        if message.stamp_ns and late_ns > 0:
            raise InputError(f"the trajectory ended {late_ns / NS_PER_S:.3f} s ago; check the clocks")
        for index, point in enumerate(points):
            self._check_point(index, point, len(names))
            if index and point.after_ns <= (before_ns := points[index - 1].after_ns):
                raise InputError(
                    f"the time between points {index - 1} and {index} must increase, "
                    f"it is {before_ns} and {point.after_ns} ns"
                )

    def _check_point(self, index: int, point: Waypoint, count: int) -> None:
        sizes = {"velocities": point.velocities, "accelerations": point.accelerations}
        wrong = [("positions", len(point.positions))] if len(point.positions) != count else []
        wrong += [(name, len(values)) for name, values in sizes.items() if len(values) not in (0, count)]
        if wrong:
            name, size = wrong[0]
            raise InputError(f"point {index} needs {count} {name}, got {size}")
        if len(point.effort):
            raise InputError(f"point {index} has efforts, which a controller of positions does not take")


def _ordered(point: Waypoint, order: Sequence[int]) -> Waypoint:
    def pick(values: Array) -> Array:
        return values[order] if len(values) else values

    return Waypoint(point.after_ns, pick(point.positions), pick(point.velocities), pick(point.accelerations))


def _like(before: Waypoint, first: Waypoint) -> Waypoint:
    """Return the state to set out from, with zeros for what it does not have and the first point does."""
    zeros = np.zeros_like(before.positions)
    velocities = zeros if len(first.velocities) and not len(before.velocities) else before.velocities
    accelerations = (
        zeros if len(first.accelerations) and not len(before.accelerations) else before.accelerations
    )
    return replace(before, velocities=velocities, accelerations=accelerations)


def _filled(point: Waypoint) -> Waypoint:
    zeros = np.zeros_like(point.positions)
    return Waypoint(
        0,
        point.positions,
        point.velocities if len(point.velocities) else zeros,
        point.accelerations if len(point.accelerations) else zeros,
    )


def _between(from_ns: int, first: Waypoint, to_ns: int, second: Waypoint, now_ns: int) -> Waypoint:
    """Return the motion at `now_ns` on the polynomial from `first` to `second` that fits what both of them give."""
    t, span = (now_ns - from_ns) / NS_PER_S, (to_ns - from_ns) / NS_PER_S
    way = second.positions - first.positions
    zeros = np.zeros_like(way)
    if span <= 0.0:
        return Waypoint(0, first.positions, zeros, zeros)
    if not (len(first.velocities) and len(second.velocities)):
        return Waypoint(0, first.positions + way * (t / span), way / span, zeros)
    v0, v1 = first.velocities, second.velocities
    if len(first.accelerations) and len(second.accelerations):
        a0, a1 = first.accelerations, second.accelerations
        c2 = a0 / 2.0
        rest = (
            way / span - v0 - c2 * span
        ) / span**2  # of way, velocity and acceleration, beyond the first three terms
        speed = (v1 - v0 - a0 * span) / span**2
        bend = (a1 - a0) / span
        c3 = 10.0 * rest - 4.0 * speed + bend / 2.0
        c4 = (-15.0 * rest + 7.0 * speed - bend) / span
        c5 = (6.0 * rest - 3.0 * speed + bend / 2.0) / span**2
    else:
        c2 = (3.0 * way / span - 2.0 * v0 - v1) / span
        c3 = (v0 + v1 - 2.0 * way / span) / span**2
        c4 = c5 = zeros
    return Waypoint(
        0,
        first.positions + t * (v0 + t * (c2 + t * (c3 + t * (c4 + t * c5)))),
        v0 + t * (2.0 * c2 + t * (3.0 * c3 + t * (4.0 * c4 + t * 5.0 * c5))),
        2.0 * c2 + t * (6.0 * c3 + t * (12.0 * c4 + t * 20.0 * c5)),
    )
