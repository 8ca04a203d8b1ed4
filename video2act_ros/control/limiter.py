"""Follows a target within position, velocity, acceleration and jerk limits, whatever the target does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from video2act_ros.control.approach import Approach
from video2act_ros.control.braking import Brake, stoppable_speed
from video2act_ros.control.joint_limits import JointLimits, Vector
from video2act_ros.core.errors import InputError
from video2act_ros.core.motion import MotionState
from video2act_ros.core.types import FloatArray

__all__ = ["JointLimits", "Limiter"]

Mask = NDArray[np.bool_]
_MARGIN = 1e-4  # the limits planned with are smaller by this share: rounding never reaches the real ones
_ROUNDING = 1e-7  # what a planned state may differ from the limits planned with, as a share of them
_POSITION_ROUNDING = 1e-10  # the same for positions, in policy units
_CATCH_PERIODS = 4.0  # a target is met with its acceleration within so many periods, or ...
_CATCH_RAMPS = 2.0  # ... so many times from none to full acceleration; longer where its jerk is small
_SMOOTH = 4.0  # up to so many times longer
_SAME_TIME_S = 1e-6  # a point nearer than this to the end of the way is the end
_FORESIGHT = 2.0  # its velocity counts as far ahead as it would take to be lost, times this


class Limiter:
    """Follows a target from tick to tick within the limits, always able to brake before a position limit.

    The output is one continuous motion with bounded acceleration and jerk, sampled once per period; so the
    limits hold for the differences of successive outputs, too (docs/control.md). A target that can be met in
    its own tick is met exactly; another one is approached as quickly as the limits permit. A pose outside the
    position limits may only move inwards.
    """

    def __init__(self, limits: JointLimits, period_s: float) -> None:
        self._limits = limits.tightened(_MARGIN)
        self._period_s = period_s
        self._approach = Approach(self._limits, period_s)
        self._link = _link_matrix(period_s)
        v_max, a_max, j_max = (
            self._limits.velocity_max,
            self._limits.acceleration_max,
            self._limits.jerk_max,
        )
        self._link_max = np.array([j_max, j_max, j_max, a_max, a_max, v_max])  # (6, J)
        self._most = np.array([np.full_like(v_max, np.inf), v_max, a_max])  # (3, J)
        self._way_max = v_max * (v_max / a_max + 3.0 * a_max / j_max)  # no braking distance is longer
        self._catch_s = np.maximum(_CATCH_PERIODS * period_s, _CATCH_RAMPS * a_max / j_max)
        self.reset(np.clip(np.zeros_like(v_max), limits.position_min, limits.position_max))

    @property
    def state(self) -> MotionState:
        """The newest output."""
        return MotionState(*self._state)

    @property
    def positions(self) -> Vector:
        """The newest output (J,), in policy units."""
        return self._state[0]

    @property
    def velocities(self) -> Vector:
        """The newest output's velocities (J,), in policy units per second."""
        return self._state[1]

    @property
    def accelerations(self) -> Vector:
        """The newest output's accelerations (J,), in policy units per s²."""
        return self._state[2]

    @property
    def stopped(self) -> bool:
        """True when the output is exactly at rest."""
        return not np.any(self._state[1:])

    def reset(self, positions: FloatArray) -> None:
        """Stand still at `positions` (J,), the measured pose.

        Raises:
            InputError: a position is not finite, or their number is wrong.
        """
        values = np.array(positions, dtype=np.float64)
        if values.shape != self._limits.velocity_max.shape or not np.all(np.isfinite(values)):
            raise InputError(
                f"the limiter needs {len(self._limits.velocity_max)} finite positions to start from, "
                f"got {values}; check the joint states"
            )
        self._state: Vector = np.array([values, np.zeros_like(values), np.zeros_like(values)])
        self._target_accelerations: Vector | None = None
        self._low = np.minimum(self._limits.position_min, values)
        self._high = np.maximum(self._limits.position_max, values)

    def step(self, target: MotionState | None) -> MotionState:
        """Advance one period towards where `target` wants the joints then; return the new output.

        None, or a target with a value that is not finite, brakes to a standstill and stays there; so does one for
        which planning fails.
        """
        following = None if target is None else self._planned(target)
        if following is None:
            self._target_accelerations = None
            following = self._braked(self._period_s)
        self._state = following
        self._low, self._high = self._range(self._state[0])
        return self.state

    def _planned(self, target: MotionState) -> Vector | None:
        """Return the next state (3, J) towards `target`; None where there is none, whatever the reason."""
        try:
            wanted = _stacked(target)
            if not np.isfinite(wanted).all():
                return None
            following = self._follow(self._within_limits(wanted))
        except Exception:  # noqa: BLE001  the planner is a library; braking needs none
            return None
        return following if np.isfinite(following).all() else None

    def ahead(self, target: MotionState) -> MotionState:
        """Return the output after the newest one, should `target`, which that was for, go on as it did.

        The newest output stays what it is.
        """
        kept = self._state, self._low, self._high, self._target_accelerations
        try:
            return self.step(target.advanced(self._period_s))
        finally:
            self._state, self._low, self._high, self._target_accelerations = kept

    def coast(self, joints: Mask, time_s: float, begin: MotionState | None = None) -> None:
        """Go the way to rest for `time_s` with some `joints` (J,): where they are if no command reached them.

        From the newest output on, or from `begin`.
        """
        if begin is not None:
            self._state = np.where(joints, _stacked(begin), self._state)
        self._state = np.where(joints, self._braked(time_s), self._state)
        self._target_accelerations = None
        self._low, self._high = self._range(self._state[0])

    def braking(
        self, step_s: float, begin: MotionState | None = None
    ) -> tuple[tuple[float, MotionState], ...]:
        """Return the quickest way to rest from the newest output, or from `begin`, as (after_s, state).

        In steps of `step_s`; the last point is the exact end, at rest. Every point obeys all limits. Empty at rest.
        """
        state = self._state if begin is None else _stacked(begin)
        if not np.any(state[1:]):
            return ()
        brake = Brake.of(state[1], state[2], self._limits)
        rest_s = float(np.max(brake.durations_s))
        count = int(
            np.ceil(max(rest_s - _SAME_TIME_S, 0.0) / step_s)
        )  # equal times are refused by controllers
        times = [index * step_s for index in range(1, count)]
        way = [(time_s, brake.at(time_s)) for time_s in [*times, rest_s]]
        return tuple((time_s, MotionState(state[0] + x, v, a)) for time_s, (x, v, a) in way)

    def _braked(self, time_s: float) -> Vector:
        """Return the state (3, J) after braking for `time_s`."""
        state = Brake.of(self._state[1], self._state[2], self._limits).at(time_s)
        state[0] += self._state[0]
        return state

    def _within_limits(self, wanted: Vector) -> Vector:
        """Return the target (3, J) as one the limits allow, from which a joint can still brake in its range."""
        lim = self._limits
        goal = np.minimum(np.maximum(wanted, -self._most), self._most)
        positions = np.minimum(np.maximum(wanted[0], lim.position_min), lim.position_max)
        goal[1:] *= positions == wanted[0]  # one outside is a point to stand at
        goal[0] = positions
        good = self._stoppable(goal, lim.position_min, lim.position_max)
        if not good.all():
            up = stoppable_speed(lim.position_max - positions, lim)
            down = stoppable_speed(positions - lim.position_min, lim)
            goal[1] = np.where(good, goal[1], np.minimum(np.maximum(goal[1], -down), up))
            goal[2] *= good
        return goal

    def _follow(self, goal: Vector) -> Vector:
        """Return the next state: the goal itself or, joint by joint, the best motion towards it that is safe."""
        before, self._target_accelerations = self._target_accelerations, goal[2]
        done = self._reachable(goal)
        if done.all():
            return goal
        result = np.where(done, goal, 0.0)
        standing = goal * np.array([[1.0], [0.0], [0.0]])
        meet_s, chase_s = self._foresight(goal, before)
        for aim, accelerating, horizon_s in (
            (goal, True, meet_s),
            (goal, False, chase_s),
            (standing, False, np.inf),
        ):
            following, duration_s = self._approach.next(self._state, aim, ~done, accelerating)
            found = ~done & (duration_s <= horizon_s) & np.isfinite(following).all(axis=0)
            found &= np.isfinite(duration_s) & self._safe(following)
            result = np.where(found, following, result)
            done |= found
            if done.all():
                return result
        return np.where(done, result, self._braked(self._period_s))

    def _foresight(self, goal: Vector, before: Vector | None) -> tuple[Vector, Vector]:
        """Return for how long [s] the target's acceleration, and for how long its velocity, may count as constant.

        Beyond that it may have turned back, and running ahead of it would swing about it. Its jerk is the change
        of its acceleration since the last tick, `before`.
        """
        speed = np.abs(goal[1])
        jerk = np.zeros_like(speed) if before is None else np.abs(goal[2] - before) / self._period_s
        share = np.maximum(jerk / self._limits.jerk_max, _SMOOTH**-3.0)
        meet_s = self._catch_s / np.cbrt(share)  # the error grows with jerk times time cubed
        loss = np.abs(goal[2]) + np.sqrt(speed * jerk)
        meet_s = np.where(speed + np.abs(goal[2]) > 0.0, meet_s, np.inf)  # it stands: all plans are one
        lasting_s = _FORESIGHT * speed / np.maximum(loss, 1e-9 * self._limits.acceleration_max)
        return meet_s, np.maximum(np.where(speed > 0.0, lasting_s, np.inf), self._catch_s)

    def _reachable(self, goal: Vector) -> Mask:
        """Return whether a quintic from the state to the goal (3, J) within one period keeps to the limits."""
        state = self._state
        link = np.array([goal[0] - state[0], state[1], state[2], goal[1], goal[2]])
        return (np.abs(self._link @ link) <= self._link_max).all(axis=0)

    def _safe(self, state: Vector) -> Mask:
        """Return whether a joint may go to `state` (3, J) within one period and can brake in its range then."""
        speed = np.abs(state[0] - self._state[0]) / self._period_s
        slow = speed <= (1.0 + _ROUNDING) * self._limits.velocity_max
        return slow & self._stoppable(state, *self._range(state[0]))

    def _range(self, positions: Vector) -> tuple[Vector, Vector]:
        """Return the position range (J,), (J,): wider only where the joint was outside and still is."""
        low = np.minimum(self._limits.position_min, np.maximum(self._low, positions))
        return low, np.maximum(self._limits.position_max, np.minimum(self._high, positions))

    def _stoppable(self, state: Vector, low: Vector, high: Vector) -> Mask:
        """Return whether braking from `state` (3, J) keeps each joint's velocity and position within limits."""
        lim = self._limits
        positions, velocities, accelerations = state
        coast = velocities + accelerations * np.abs(accelerations) / (2.0 * lim.jerk_max)
        fast = np.maximum(np.abs(coast), np.abs(velocities)) > (1.0 + _ROUNDING) * lim.velocity_max
        hard = np.abs(accelerations) > (1.0 + _ROUNDING) * lim.acceleration_max
        fine = ~(fast | hard)
        standing = (velocities == 0.0) & (accelerations == 0.0)
        room = np.minimum(positions - low, high - positions) + _POSITION_ROUNDING
        if (room >= np.where(standing, 0.0, self._way_max)).all():
            return fine
        stop, turn = Brake.of(velocities, accelerations, lim).extent()
        inside = (room >= 0.0) & (np.minimum(stop, turn) >= low - positions - _POSITION_ROUNDING)
        return fine & inside & (np.maximum(stop, turn) <= high - positions + _POSITION_ROUNDING)


def _stacked(target: MotionState) -> Vector:
    """Return a target as (3, J)."""
    return np.array([target.positions, target.velocities, target.accelerations], dtype=np.float64)


def _link_matrix(period_s: float) -> Vector:
    """Return (6, 5): what bounds the quintic between two states, linear in them.

    Columns: way, velocity and acceleration before, velocity and acceleration after. Rows: control points of the
    jerk (3) and the two inner ones of the acceleration, between which both stay, and the mean velocity.
    """
    t = period_s
    excess = np.array(  # of way, velocity and acceleration over a motion with constant acceleration, in way
        [[1.0, -t, -t * t / 2.0, 0.0, 0.0], [0.0, -t, -t * t, t, 0.0], [0.0, 0.0, -t * t, 0.0, t * t]]
    )
    c3, c4, c5 = np.array([[10.0, -4.0, 0.5], [-15.0, 7.0, -1.0], [6.0, -3.0, 0.5]]) @ excess
    first, middle, last = 6.0 * c3, 6.0 * c3 + 12.0 * c4, 6.0 * c3 + 24.0 * c4 + 60.0 * c5
    jerk = np.array([first, middle, last]) / t**3
    before, after = np.eye(5)[2], np.eye(5)[4]
    inner = np.array([before + jerk[0] * t / 3.0, after - jerk[2] * t / 3.0])
    return np.vstack([jerk, inner, np.eye(5)[0] / t])
