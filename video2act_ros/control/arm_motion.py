"""What is really commanded: the limited motion, the way to the start pose, and whether the arm follows."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from video2act_ros.control.command import Command
from video2act_ros.control.limiter import JointLimits, Limiter
from video2act_ros.control.start_move import StartMove
from video2act_ros.core.motion import MotionState, Vector
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import FloatArray, JointSample, seconds_to_ns

BRAKING_STEP_S = 0.02  # between two points of the way to rest, unless a control period is longer
SETTLE_S = 0.25  # a held arm stands at least so long before it goes on: no stop-and-go at a threshold
EDGE = 0.01  # policy units: so far an arm that lies against a stop is measured beyond its range
REMEASURE_RAD = 0.3  # after a reset the arm may stand elsewhere; more than any tracking error
STILL_RAD = 0.02  # by so much a standing arm's measured joints may differ
LET_GO_S = 1.0  # so long after the last command its driver is taken to stand at that set-point still

_MISSED_ONE_BY_ONE = 500  # after more missed ticks than these every arm stands


class ArmMotion:
    """Turns targets into commands within the limits. It depends on nothing else, so that it can always brake.

    A trajectory controller goes on with an older message until a newer one reaches it. So the motion is settled
    `lead` periods ahead: whatever is decided in a tick changes it only after that, and a message that comes up to
    `bridge_s` late agrees with the one before it about all that the controller has done meanwhile. One more period
    of the motion as it goes on bridges the controller's own period. Then comes the way to rest. Where no output is a
    trajectory, only the newest set-point counts and the lead is one period.

    Not thread-safe: the control loop guards it.
    """

    def __init__(
        self,
        profile: RobotProfile,
        period_s: float,
        start_speed: float,
        reach_rad: float,
        bridge_s: float = 0.0,
    ) -> None:
        self._names = profile.joint_names
        self._arm = ~np.array([joint.gripper for joint in profile.joints])
        trajectories = [output for output in profile.commands if output.type == "joint_trajectory"]
        told = [joint for output in trajectories for joint in output.joints]
        self._coasting = np.isin(self._names, told)  # joints whose driver knows the way to rest
        self._period_s = period_s
        self._lead = 1 + (math.ceil(bridge_s / period_s - 1e-9) if trajectories else 0)
        self._standing_ticks = self._lead + bool(trajectories)  # their first point is due at the stamp
        self._reach_rad = reach_rad
        self._braking_step_s = max(BRAKING_STEP_S, period_s)
        self._settle_ticks = round(SETTLE_S / period_s) + self._lead - 1
        limits = JointLimits.of_commands(profile)
        self._range = limits.position_min, limits.position_max
        if trajectories:
            limits = limits.interpolated(period_s)
        self._limiter = Limiter(limits, period_s)
        self._start_move = StartMove(profile, period_s, start_speed)
        self._settled: deque[MotionState] = deque(
            maxlen=self._lead + 1
        )  # due at the newest stamp, a period later, …
        self._ahead: MotionState | None = (
            None  # what the newest command told of the period after the settled ones
        )
        self._newest_ns: int | None = None  # stamp of the newest command
        self._rest_ticks = 0  # for so many ticks the newest settled motion has been at rest
        self._stand()
        self._reset_ns: int | None = None  # a new episode began; the arm may stand elsewhere now

    @property
    def lead_ns(self) -> int:
        """How far ahead of a tick the motion is settled [ns]: what is decided in it is due then."""
        return self._lead * seconds_to_ns(self._period_s)

    @property
    def positions(self) -> Vector:
        """The newest settled positions (J,), in policy units; due one lead after the newest tick."""
        return self._limiter.positions

    @property
    def stopped(self) -> bool:
        """Whether the arm is commanded to stand, in all that the newest command holds."""
        return self._rest_ticks >= self._standing_ticks

    @property
    def settled(self) -> bool:
        """Whether the commanded motion has been at rest for `SETTLE_S`; an arm that is taken at rest has."""
        return self._rest_ticks >= self._settle_ticks

    @property
    def start_move(self) -> StartMove:
        """The way to the start pose."""
        return self._start_move

    @property
    def elsewhere(self) -> bool:
        """Whether the arm may have been put elsewhere since it was driven last: a new episode began."""
        return self._reset_ns is not None

    def let_go_lately(self, now_ns: int) -> bool:
        """Whether the driver stands at the newest set-point still, as far as the arm was not put elsewhere since."""
        if self._newest_ns is None or self.elsewhere or not self._limiter.stopped:
            return False
        return 0 <= now_ns - self._newest_ns <= seconds_to_ns(LET_GO_S)

    def unmoved(self, before: FloatArray, now: FloatArray) -> bool:
        """Whether every arm joint of two measured poses (J,) is in the same place, but for noise."""
        return bool(np.all(np.abs(now - before)[self._arm] <= STILL_RAD))

    def unseen(self, joints: JointSample) -> bool:
        """Whether that was measured before the arm may have been put elsewhere."""
        return self._reset_ns is not None and joints.stamp_ns <= self._reset_ns

    def take(self, positions: FloatArray) -> None:
        """Begin at rest at the measured `positions` (J,), in policy units; at a limit where one is passed by a hair."""
        self._limiter.reset(self._inside(positions))
        self._stand()
        self._reset_ns = None

    def may_stand_elsewhere(self, now_ns: int) -> None:
        """Take that an episode began: whoever rearranged the scene may have moved the arm."""
        self._reset_ns = now_ns

    def remeasure(self, joints: JointSample | None) -> bool:
        """While the arm holds after a new episode: hold where it stands now if it was put elsewhere.

        Return whether it was.
        """
        if self._reset_ns is None or joints is None or joints.stamp_ns <= self._reset_ns:
            return False
        if not np.any(np.abs(joints.positions - self._limiter.positions)[self._arm] > REMEASURE_RAD):
            return False
        self._limiter.reset(self._inside(joints.positions))
        self._stand()
        return True

    def drive_on(self) -> None:
        """Take that the arm is driven: from now on it stands where commands put it."""
        self._reset_ns = None

    def begin_move(self) -> float:
        """Start the way from the newest command to the start pose; return about how long it takes [s]."""
        return self._start_move.begin(self._limiter.positions)

    def far(self, target: FloatArray, origin: FloatArray) -> str | None:
        """Name the arm joints whose `target` (J,) is out of reach of `origin` (J,); grippers may jump."""
        distance = np.where(self._arm, np.abs(target - origin), 0.0)
        if distance.max() <= self._reach_rad:
            return None
        named = zip(self._names, distance, strict=True)
        joints = ", ".join(f"{name} by {gap:.2f}" for name, gap in named if gap > self._reach_rad)
        return f"further than {self._reach_rad:g} rad from {{}}: {joints}"

    def distances(self, positions: FloatArray) -> Vector:
        """Return how far the arm joints of `positions` (J,) are from the newest command; grippers 0."""
        return np.where(self._arm, np.abs(positions - self._limiter.positions), 0.0)

    def step(self, now_ns: int, target: MotionState | None, missed: int = 0) -> Command:
        """Advance one period towards `target`, due one lead after `now_ns`, or to a hold without one.

        Where `missed` ticks sent nothing, the driver has gone on with what the newest command told it, at its end on
        the way to rest, and the motion goes on from there: to go on from that command would pull the arm back.
        """
        self._newest_ns = now_ns
        if missed:
            self._pass_missed(missed)
        self._settled.append(self._limiter.step(target))
        self._rest_ticks = self._rest_ticks + 1 if self._limiter.stopped else 0
        self._ahead = None if target is None or self._lead == 1 else self._limiter.ahead(target)
        start, newest, *later = self._settled
        if self._rest_ticks >= self._lead and self._ahead is None:
            return Command(now_ns, newest, (), start)
        if self._ahead is not None:
            later.append(self._ahead)
        way = [(index * self._period_s, state) for index, state in enumerate(later, 1)]
        tail = self._limiter.braking(self._braking_step_s, self._ahead)
        way += [(len(later) * self._period_s + after_s, state) for after_s, state in tail]
        return Command(now_ns, newest, tuple(way), start)

    def _inside(self, positions: FloatArray) -> Vector:
        """Return measured `positions` (J,), those that lie outside the range by no more than `EDGE` at its end."""
        values = np.asarray(positions, dtype=np.float64)
        low, high = self._range
        clipped = np.clip(values, low, high)
        return np.where(np.abs(values - clipped) <= EDGE, clipped, values)

    def _stand(self) -> None:
        """Settle that the arm stands where the limiter is."""
        self._ahead = None
        self._settled.extend([self._limiter.state] * (self._lead + 1))
        self._rest_ticks = self._settle_ticks

    def _pass_missed(self, missed: int) -> None:
        """Go on by `missed` periods as drivers do that hear nothing."""
        for _ in range(min(missed, _MISSED_ONE_BY_ONE)):
            if self._ahead is None:
                self._limiter.coast(self._coasting, self._period_s)
            else:
                self._limiter.coast(self._coasting, 0.0, self._ahead)
                self._ahead = None
            self._settled.append(self._limiter.state)
