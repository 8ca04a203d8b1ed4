"""What is really commanded: the limited motion, the way to the start pose, and whether the arm follows."""

from __future__ import annotations

import numpy as np

from video2act_ros.control.command import Command
from video2act_ros.control.limiter import JointLimits, Limiter
from video2act_ros.control.problem import Problem
from video2act_ros.control.start_move import StartMove
from video2act_ros.control.tracking import TrackingWatch
from video2act_ros.core.motion import MotionState, Vector
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import FloatArray, JointSample

BRAKING_STEP_S = 0.02  # between two points of the way to rest, unless a control period is longer
SETTLE_S = 0.25  # a held arm stands at least so long before it goes on: no stop-and-go at a threshold
REMEASURE_RAD = 0.3  # after a reset the arm may stand elsewhere; more than any tracking error


class ArmMotion:
    """Turns targets into commands within the limits, and watches whether the joints follow.

    Not thread-safe: the control loop guards it.
    """

    def __init__(self, profile: RobotProfile, period_s: float, start_speed: float, reach_rad: float) -> None:
        self._names = profile.joint_names
        self._arm = ~np.array([joint.gripper for joint in profile.joints])
        trajectories = [output for output in profile.commands if output.type == "joint_trajectory"]
        told = [joint for output in trajectories for joint in output.joints]
        self._coasting = np.isin(self._names, told)  # joints whose driver knows the way to rest
        self._period_s = period_s
        self._reach_rad = reach_rad
        self._braking_step_s = max(BRAKING_STEP_S, period_s)
        self._settle_ticks = round(SETTLE_S / period_s)
        self._rest_ticks = self._settle_ticks
        self._limiter = Limiter(JointLimits.of_commands(profile), period_s)
        self._start_move = StartMove(profile, period_s, start_speed)
        self._tracking = TrackingWatch(profile, period_s)
        self._reset_ns: int | None = None  # a new episode began; the arm may stand elsewhere now

    @property
    def positions(self) -> Vector:
        """The newest commanded positions (J,)."""
        return self._limiter.positions

    @property
    def stopped(self) -> bool:
        """Whether the commanded motion is at rest."""
        return self._limiter.stopped

    @property
    def settled(self) -> bool:
        """Whether the commanded motion has been at rest for `SETTLE_S`; an arm that is taken at rest has."""
        return self._rest_ticks >= self._settle_ticks

    @property
    def start_move(self) -> StartMove:
        """The way to the start pose."""
        return self._start_move

    def take(self, positions: FloatArray) -> None:
        """Begin at rest at the measured `positions` (J,)."""
        self._limiter.reset(np.asarray(positions, dtype=np.float64))
        self._rest_ticks = self._settle_ticks
        self._tracking.clear()
        self._reset_ns = None

    def let_go(self) -> None:
        """Nothing is sent any more."""
        self._tracking.clear()

    def may_stand_elsewhere(self, now_ns: int) -> None:
        """Take that an episode began: whoever rearranged the scene may have moved the arm."""
        self._reset_ns = now_ns
        self._tracking.clear()

    def remeasure(self, joints: JointSample | None) -> bool:
        """While the arm holds after a new episode: hold where it stands now if it was put elsewhere.

        Return whether it was.
        """
        if self._reset_ns is None or joints is None or joints.stamp_ns <= self._reset_ns:
            return False
        if not np.any(np.abs(joints.positions - self._limiter.positions)[self._arm] > REMEASURE_RAD):
            return False
        self._limiter.reset(np.asarray(joints.positions, dtype=np.float64))
        self._tracking.clear()
        return True

    def drive_on(self) -> None:
        """Take that the arm is driven: from now on it stands where commands put it."""
        self._reset_ns = None

    def begin_move(self) -> float:
        """Start the way from the newest command to the start pose; return about how long it takes [s]."""
        return self._start_move.begin(self._limiter.positions)

    def problem(self, joints: JointSample | None) -> Problem | None:
        """Return what is wrong with how the joints follow; call it once per tick."""
        return None if self._reset_ns is not None else self._tracking.problem(joints)

    def far(self, target: FloatArray, origin: FloatArray) -> str | None:
        """Name the arm joints whose `target` (J,) is out of reach of `origin` (J,); grippers may jump."""
        distance = np.where(self._arm, np.abs(target - origin), 0.0)
        if distance.max() <= self._reach_rad:
            return None
        named = zip(self._names, distance, strict=True)
        joints = ", ".join(f"{name} by {gap:.2f}" for name, gap in named if gap > self._reach_rad)
        return f"further than {self._reach_rad:g} rad from {{}}: {joints}"

    def step(self, now_ns: int, due_ns: int, target: MotionState | None, missed: int = 0) -> Command:
        """Advance one period towards `target`, or to a hold without one; the command is due at `due_ns`.

        Where `missed` ticks sent nothing, the driver has gone the way to rest of the newest command meanwhile, and
        the motion goes on from there: to go on from that command would pull the arm back.
        """
        if missed:
            self._limiter.coast(self._coasting, missed * self._period_s)
        state = self._limiter.step(target)
        self._rest_ticks = self._rest_ticks + 1 if self._limiter.stopped else 0
        self._tracking.record(due_ns, state.positions)
        return Command(now_ns, state, self._limiter.braking(self._braking_step_s))
