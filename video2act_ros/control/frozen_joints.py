"""Measured joints whose value stays the same to the last bit although they were commanded to move."""

from __future__ import annotations

import numpy as np

from video2act_ros.core.motion import Vector
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import NS_PER_S, JointSample

BACK = 0.03  # rad or m between a command and the measured value: nobody wants the joint to move
COMMANDED = 0.1  # rad or m: so far a command must have gone; above what friction and a coarse encoder hide


class FrozenJoints:
    """Says for how long arm joints have measured one and the same number since a command left it, while others changed.

    An encoder that sticks, a servo without power: found where the motion is too slow or too small for a tracking error.
    Where no joint changes at all the arm is blocked or its servos are off, which the tracking error tells. An arm at
    rest is never accused, nor is one that follows late; a finding ends when the value changes, the command
    comes back to it, or the arm is let go.
    Grippers are exempt: they close on objects. Not thread-safe.
    """

    def __init__(self, profile: RobotProfile) -> None:
        self._names = profile.joint_names
        self._arm = ~np.array([joint.gripper for joint in profile.joints])
        self._values = np.full(len(self._names), np.nan)
        self._changed_ns = 0  # when any joint was measured elsewhere than before
        self.let_go()

    def let_go(self) -> None:
        """Forget what was commanded: nothing is sent any more, or the arm was put elsewhere."""
        self._commanded: Vector | None = None
        self._anchor = np.full(len(self._names), np.nan)  # the command when the value changed last
        # When the command was `COMMANDED` away from there; 0: never.
        self._left_ns = np.zeros(len(self._names), dtype=np.int64)

    def measure(self, sample: JointSample) -> None:
        """Take a sample that is believed."""
        changed = self._values != sample.positions
        self._values = np.array(sample.positions, dtype=np.float64)
        if changed.any():
            self._changed_ns = sample.stamp_ns
        self._anchor[changed] = np.nan if self._commanded is None else self._commanded[changed]
        self._left_ns[changed] = 0

    def command(self, positions: Vector, now_ns: int) -> None:
        """Take a command (J,) that is sent at `now_ns`."""
        self._commanded = np.array(positions)
        # its set-point was brought to where it is measured
        back = (self._left_ns > 0) & (np.abs(self._commanded - self._values) <= BACK)
        self._left_ns[back] = 0
        self._anchor = np.where(np.isnan(self._anchor) | back, self._commanded, self._anchor)
        left = self._arm & (self._left_ns == 0) & (np.abs(self._commanded - self._anchor) > COMMANDED)
        self._left_ns[left] = now_ns

    @property
    def lasting_s(self) -> float:
        """For how long the joint that has been frozen longest has been."""
        left = self._left_ns[self._left_ns > 0]
        return max((self._changed_ns - int(left.min())) / NS_PER_S, 0.0) if left.size else 0.0

    @property
    def words(self) -> str:
        """Which joints are frozen, and at what."""
        frozen = zip(self._names, self._values, self._left_ns, strict=True)
        return ", ".join(f"{name} at {value:.4f}" for name, value, left_ns in frozen if left_ns)
