"""Measured samples that lie farther apart than the joints can move in the time between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2act_ros.core.motion import Vector
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import NS_PER_S, JointSample, StampArray, seconds_to_ns

MARGIN = 2.0  # times the largest speed: profiles are often slower than the arm, and servos overshoot
ARM_SPEED = 2.0  # rad/s or m/s, at least: an arm moved by hand, or pushed, heeds no profile
GRIPPER_SPEED = 10.0  # ranges/s, at least: fingers snap
JITTER_S = 0.02  # by so much stamps may lie about the time between two samples
ARM_NOISE = 0.03  # rad or m: encoders, backlash
GRIPPER_NOISE = 0.2  # ranges
ADOPTED_S = 0.1  # a pose that is measured steadily for so long, and no other, is where the joints are now
ADOPTED_SAMPLES = 3
EPISODE_S = 0.5  # after an episode began the arm may be put elsewhere: by hand, or a simulation's reset


@dataclass(frozen=True, slots=True)
class _Pose:
    positions: Vector  # (J,) policy units
    stamps_ns: StampArray  # (J,)


@dataclass(frozen=True, slots=True)
class Jump:
    """From one sample to another: `joint`, by index, was `before` and is `after` (policy units), `gap_s` later.

    A negative gap: the sample is older than the one before.
    """

    joint: int
    before: float
    after: float
    gap_s: float


class JointJumps:
    """Believes a sample that the joints can have reached since the one believed before.

    With x the positions, t a joint's stamp: |x₁ − x₀| ≤ `MARGIN`·v·(t₁ − t₀ + `JITTER_S`) + noise, v the larger of the
    profile's `velocity_max` and what a hand does. So of two sources that take turns the one that was believed stays so,
    for its gaps are short, and the other is refused every time. Where the one that was believed has ended, another that
    is steady for `ADOPTED_S` takes its place: a driver that was started anew, an arm that was put elsewhere.
    Samples that are older than the one believed are refused likewise; by up to `JITTER_S` without a word, for messages
    overtake each other. Not thread-safe.
    """

    def __init__(self, profile: RobotProfile) -> None:
        gripper = np.array([joint.gripper for joint in profile.joints])
        least = np.where(gripper, GRIPPER_SPEED, ARM_SPEED)
        self._speed = MARGIN * np.maximum(profile.limits("velocity_max"), least)
        self._noise = np.where(gripper, GRIPPER_NOISE, ARM_NOISE)
        self._elsewhere_ns: int | None = None  # until then the arm may be put elsewhere
        self.forget()

    @property
    def jump(self) -> Jump | None:
        """What the newest sample shows to be wrong; None: nothing."""
        return self._jump

    def forget(self) -> None:
        """Believe the next sample, whatever it is: the clock was set, or measuring begins."""
        self._believed: _Pose | None = None
        self._other: _Pose | None = None  # the newest sample that was not believed
        self._other_since_ns = 0
        self._others = 0
        self._jump: Jump | None = None

    def expect_elsewhere(self, now_ns: int) -> None:
        """Take that the arm may be put elsewhere about now: one jump is none then, only two poses in turn are."""
        self._elsewhere_ns = now_ns + seconds_to_ns(EPISODE_S)

    def believe(self, sample: JointSample, now_ns: int) -> bool:
        """Return whether the sample, which arrived at `now_ns`, is where the joints are; see `jump` for why not."""
        pose = _Pose(np.asarray(sample.positions, dtype=np.float64), sample.stamps_of_joints)
        self._jump = None
        if self._believed is None:
            return self._adopt(pose)
        jump = self._between(self._believed, pose)
        if jump is None:
            if self._other is not None and self._expected(now_ns):
                self._jump, self._elsewhere_ns = self._between(self._other, pose), None
            newer = bool((pose.stamps_ns >= self._believed.stamps_ns).all())
            return newer and self._adopt(pose)
        self._jump = None if self._expected(now_ns) else jump
        if self._other is None or self._between(self._other, pose) is not None:
            self._other_since_ns, self._others = now_ns, 0
        self._other = pose
        self._others += 1
        steady_ns = now_ns - self._other_since_ns
        if self._others >= ADOPTED_SAMPLES and steady_ns >= seconds_to_ns(ADOPTED_S):
            return self._adopt(pose)
        return False

    def _expected(self, now_ns: int) -> bool:
        return self._elsewhere_ns is not None and now_ns <= self._elsewhere_ns

    def _adopt(self, pose: _Pose) -> bool:
        self._believed, self._other = pose, None
        return True

    def _between(self, before: _Pose, after: _Pose) -> Jump | None:
        gaps_s = (after.stamps_ns - before.stamps_ns) / NS_PER_S  # (J,)
        worst = int(np.argmin(gaps_s))
        if gaps_s[worst] >= -JITTER_S:
            reach = self._speed * (np.abs(gaps_s) + JITTER_S) + self._noise
            share = np.abs(after.positions - before.positions) / reach
            worst = int(np.argmax(share))
            if share[worst] <= 1.0:
                return None
        positions = float(before.positions[worst]), float(after.positions[worst])
        return Jump(worst, *positions, float(gaps_s[worst]))
