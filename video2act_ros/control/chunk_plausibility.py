"""Chunks that no policy can mean: an absurd step, another unit, joints that leap from one action to the next."""

from __future__ import annotations

import numpy as np

from video2act_ros.control.joint_ranges import JointRanges
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import ActionChunk

SHORTEST_STEP_S = 0.001
LONGEST_STEP_S = 2.0  # policies plan in steps of 0.02 to 0.2 s; a number above is one in milliseconds
LEAP = 10.0  # times the largest speed: noise and slow profiles stay below, the limiter slows what does
ARM_SPEED = 1.0  # rad/s or m/s that a profile's speed counts for at least
SLACK = 0.1  # rad or m


class ChunkPlausibility:
    """Judges a chunk's content by the robot profile. Grippers may leap: policies open and close them at once."""

    def __init__(self, profile: RobotProfile) -> None:
        self._names = profile.joint_names
        self._ranges = JointRanges(profile)
        self._arm = ~np.array([joint.gripper for joint in profile.joints])
        self._speed = LEAP * np.maximum(profile.limits("velocity_max"), ARM_SPEED)

    def wrong_step(self, chunk: ActionChunk) -> str | None:
        """Return why the chunk's step cannot be meant; None where it can."""
        if SHORTEST_STEP_S <= chunk.step_s <= LONGEST_STEP_S:
            return None
        return (
            f"chunk has a step of {chunk.step_s:g} s between two actions; steps from {SHORTEST_STEP_S:g} to "
            f"{LONGEST_STEP_S:g} s are taken: check its unit and System 1's bundle"
        )

    def unit_words(self, chunk: ActionChunk) -> str:
        """Return what would explain positions far outside of their ranges, to append to a refusal; or nothing."""
        texts = (self._ranges.impossible(row) for row in chunk.positions)
        return next((f" ({text})" for text in texts if text is not None), "")

    def leap(self, chunk: ActionChunk) -> str | None:
        """Return which joint leaps between two actions; None where none does."""
        leaps = np.abs(np.diff(chunk.positions, axis=0)) * self._arm  # (H - 1, J)
        beyond = leaps / (self._speed * chunk.step_s + SLACK)
        if not beyond.size or beyond.max() <= 1.0:
            return None
        action, joint = np.unravel_index(int(np.argmax(beyond)), beyond.shape)
        return (
            f"chunk lets {self._names[joint]} leap by {leaps[action, joint]:.2f} in {chunk.step_s:g} s (action "
            f"{action} to {action + 1}), more than {LEAP:g} times what it can move; check System 1's bundle and its "
            "normalisation"
        )
