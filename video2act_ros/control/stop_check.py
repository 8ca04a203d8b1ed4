"""Judges how an arm really stopped: when did it stand, and did its measured joints stay in bounds?"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

import numpy as np
from numpy.typing import NDArray

from video2act_ros.control.limiter import JointLimits
from video2act_ros.core.robot_profile import RobotProfile

Vector = NDArray[np.float64]

WINDOW_S = 0.1
"""How long an arm must keep still to count as standing; a reversing arm moves more, and every hold lasts longer."""

STILL_RAD = 0.005
"""How far a standing joint may move within the window: 0.05 rad/s on average.

More than contact chatter and a servo's last creeping; a sixth of the slowest motion in which a fault is injected.
"""

MARGIN = 0.1
"""Share by which measured joints may pass the limits of commands: of the range, and of the speed limit."""

PUSHED_NM = 2.0
"""Torque by contacts on an arm joint from which on its speed is not the driver's doing; a cube's weight gives 0.9."""

PUSHED_S = 0.1
"""How long a blow lasts in the joints' speeds."""

LEAP_S = 0.5
"""How long an arm may leap when its servos get their power back; no obstacle excuses its speed meanwhile."""


def braking_time_s(profile: RobotProfile) -> float:
    """Return how long the slowest joint needs from full speed to rest, within acceleration and jerk limits."""
    names = ("velocity_max", "acceleration_max", "jerk_max")
    speed, acceleration, jerk = (profile.limits(name) for name in names)
    reaches = speed >= acceleration**2 / jerk  # the full deceleration is reached on the way
    times = np.where(reaches, speed / acceleration + acceleration / jerk, 2.0 * np.sqrt(speed / jerk))
    return float(np.max(times))


class StopCheck:
    """Takes the measured joints of one trial in order. Not thread-safe.

    An arm stands from the start of a window of `WINDOW_S` on in which no arm joint moves by more than
    `STILL_RAD`. Grippers do not count: fingers chatter on what they hold. Speeds are judged where no contact
    pushes the arm: what an obstacle does to a joint is no command's doing. Nor is what an arm without power does;
    but when it has come back, every speed counts, for an arm that leaps from what it lies on is thrown.
    """

    def __init__(self, limits: JointLimits, arm: NDArray[np.bool_]) -> None:
        """Start empty; `limits` and `arm`, which tells arm joints from grippers, are (J,)."""
        self._limits = limits
        self._arm = arm
        margin = MARGIN * (limits.position_max - limits.position_min)
        self._low, self._high = limits.position_min - margin, limits.position_max + margin
        self._recent: deque[tuple[float, Vector]] = deque()  # just over one window
        self._still_s: list[float] = []  # starts of windows in which the arm stood
        self.speed = 0.0  # of the fastest arm joint in the newest sample [rad/s]
        self.travel = 0.0  # farthest of an arm joint from the first sample [rad]
        self.samples = 0
        self.pushed = 0  # samples whose speeds were not judged
        self._pushed_s = -np.inf  # when a contact last pushed the arm
        self._limp_s = -np.inf  # when the arm last had no power
        self._first: Vector | None = None
        self.outside = 0  # samples outside the limits + 10 %
        self.largest_speed = 0.0  # of all samples and joints, as a share of its limit
        self.fastest_joint = 0  # whose that was

    def add(
        self,
        time_s: float,
        positions: Vector,
        velocities: Vector,
        torques: Vector,
        *,
        powered: bool = True,
    ) -> None:
        """Take the next sample.

        Args:
            time_s: when it was measured.
            positions: (J,) in policy units.
            velocities: (J,) in policy units.
            torques: (J,) by contacts [N m].
            powered: whether the servos have power.
        """
        self.speed = float(np.max(np.abs(velocities[self._arm])))
        self._first = positions if self._first is None else self._first
        self.travel = max(self.travel, float(np.max(np.abs(positions - self._first)[self._arm])))
        bad = bool(np.any(positions < self._low) or np.any(positions > self._high))
        if np.any(np.abs(torques[self._arm]) > PUSHED_NM):
            self._pushed_s = time_s
        if not powered:
            self._limp_s = time_s
        returned = 0.0 < time_s - self._limp_s <= LEAP_S
        pushed = not powered or (time_s - self._pushed_s <= PUSHED_S and not returned)
        self.pushed += pushed
        shares = np.abs(velocities) / self._limits.velocity_max * (not pushed)
        joint = int(np.argmax(shares))
        if shares[joint] > self.largest_speed:
            self.largest_speed, self.fastest_joint = float(shares[joint]), joint
        bad |= bool(shares[joint] > 1.0 + MARGIN)
        self.outside += bad
        self.samples += 1
        recent = self._recent
        recent.append((time_s, positions[self._arm]))
        while len(recent) > 1 and time_s - recent[1][0] >= WINDOW_S:
            recent.popleft()
        if time_s - recent[0][0] < WINDOW_S:
            return
        moved = np.ptp(np.stack([position for _, position in recent]), axis=0)  # (arm joints,)
        if np.all(moved <= STILL_RAD):
            self._still_s.append(recent[0][0])

    def stood_at_s(self, since_s: float) -> float | None:
        """Return when the arm first stood at `since_s` or later; None: not yet."""
        index = bisect_left(self._still_s, since_s)
        return self._still_s[index] if index < len(self._still_s) else None
