"""Does the arm do what it is told? Measured joints compared with the commands of the same time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from video2act_ros.control.problem import Problem, graded
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import JointSample, seconds_to_ns

LAG_S = 0.3  # a servo may follow by so much later; those of arms with position servos need 0.05 to 0.2 s
LASTING_S = 0.1  # for so long without a break, so that no single broken sample counts

Vector = NDArray[np.float64]


class TrackingWatch:
    """Says how far measured arm joints are from where the commands of the last `LAG_S` could have put them.

    A joint that follows late, by any time up to `LAG_S`, lies between the smallest and the largest position
    commanded to it meanwhile and so has no error; one that is blocked, or moves on its own, leaves that range.
    Grippers are exempt: they close on objects. Not thread-safe.
    """

    def __init__(self, profile: RobotProfile, period_s: float, lead_s: float = 0.0) -> None:
        """Remember nothing yet; commands come up to `lead_s` before they are due."""
        self._names = profile.joint_names
        self._arm = ~np.array([joint.gripper for joint in profile.joints])
        self._threshold = profile.thresholds.tracking_error_rad
        rows = int(np.ceil((LAG_S + 0.2 + lead_s) / period_s)) + 2  # joint states may be 0.2 s old
        self._lag_ns = seconds_to_ns(LAG_S)
        self._lasting_ns = seconds_to_ns(LASTING_S)
        self._stamps_ns = np.zeros(rows, dtype=np.int64)
        self._positions = np.zeros((rows, len(self._names)))
        self.clear()

    def clear(self) -> None:
        """Forget every command, as when the arm was let go or put elsewhere."""
        self._next = 0
        self._count = 0
        self._wrong_since_ns: int | None = None

    def record(self, due_ns: int, positions: Vector) -> None:
        """Remember a command: (J,) positions in policy units, due at `due_ns`."""
        self._stamps_ns[self._next] = due_ns
        self._positions[self._next] = positions
        self._next = (self._next + 1) % len(self._stamps_ns)
        self._count = min(self._count + 1, len(self._stamps_ns))

    def error(self, sample: JointSample) -> Vector | None:
        """Return every joint's error (J,) in policy units, grippers 0; None before a command was due."""
        stamps_ns = self._stamps_ns[: self._count]
        due = stamps_ns <= sample.stamp_ns
        if not due.any():
            return None
        recent = due & (stamps_ns >= sample.stamp_ns - self._lag_ns)
        if not recent.any():  # commands paused: the newest one due still stands
            recent = stamps_ns == stamps_ns[due].max()
        commands = self._positions[: self._count][recent]  # (N, J)
        beyond = np.maximum(sample.positions - commands.max(axis=0), commands.min(axis=0) - sample.positions)
        return np.where(self._arm, np.maximum(beyond, 0.0), 0.0)

    def problem(self, sample: JointSample | None) -> Problem | None:
        """Judge the newest measured pose; call it once per tick."""
        errors = None if sample is None else self.error(sample)
        if sample is None or errors is None:
            return None
        joint = int(np.argmax(errors))
        error = float(errors[joint])
        if self._threshold.outcome(error) is None:
            self._wrong_since_ns = None
            return None
        if self._wrong_since_ns is None:
            self._wrong_since_ns = sample.stamp_ns
        if sample.stamp_ns - self._wrong_since_ns < self._lasting_ns:
            return None
        text = (
            "tracking error of {joint} ({value:.2f} rad, limit {limit:g} rad); "
            "free the arm and check its driver"
        )
        return graded(self._threshold, error, text, joint=self._names[joint])
