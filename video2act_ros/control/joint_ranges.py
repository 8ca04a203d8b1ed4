"""Measured or wanted positions far outside of what a joint can reach, and the unit that would explain them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.motion import Vector
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import FloatArray

ARM_BEYOND = 1.0  # rad or m outside of the profile's range: an arm moved by hand or held narrow stands nearer
GRIPPER_BEYOND = 5.0  # ranges; some fingers open much further than they are commanded to
FITS = 0.35  # rad or m around the range within which a position in the suspected unit must lie

_DEGREE = np.pi / 180.0
_TURN = 2.0 * np.pi
_MOST_TURNS = 2  # a cable bears no more; beyond that a number is in another unit
_SMALLER_UNITS = ((0.001, "millimetres", "metres"), (0.01, "per cent", "the profile's unit"))


class JointRanges:
    """The profile's position ranges, in policy units, as a check of units rather than of limits."""

    def __init__(self, profile: RobotProfile) -> None:
        self._profile = profile
        self._names = profile.joint_names
        self._gripper = np.array([joint.gripper for joint in profile.joints])
        self._low, self._high = profile.array("position_min"), profile.array("position_max")
        self._allowed = np.where(self._gripper, GRIPPER_BEYOND * (self._high - self._low), ARM_BEYOND)

    def impossible(self, positions: FloatArray) -> str | None:
        """Return which joint of a pose (J,) in policy units is where it cannot be, and why, in words; None: none is."""
        theirs = self._profile.to_robot(np.asarray(positions, dtype=np.float64))
        beyond = np.maximum(theirs - self._high, self._low - theirs) / self._allowed  # (J,)
        worst = int(np.argmax(beyond))
        if beyond[worst] <= 1.0:
            return None
        where = (
            f"{self._names[worst]} at {theirs[worst]:.4g}, far outside of its range "
            f"({self._low[worst]:.4g} to {self._high[worst]:.4g})"
        )
        return f"{where}: {self._explain(theirs, worst)}"

    def _explain(self, theirs: Vector, worst: int) -> str:
        if self._gripper[worst]:
            for scale, unit, wanted in _SMALLER_UNITS:
                if self._fits(theirs * scale)[worst]:
                    return f"it looks like {unit}; let its source give {wanted}, or correct the robot profile's range"
            return "check the gripper's unit in the robot profile and its source"
        arm = ~self._gripper
        degrees = bool(self._fits(theirs * _DEGREE)[arm].all())
        turns = round(float(theirs[worst] - (self._low[worst] + self._high[worst]) / 2.0) / _TURN)
        if 0 < abs(turns) <= _MOST_TURNS and self._fits(theirs - turns * _TURN)[worst]:
            other = ", or it is in degrees" if degrees else ""
            return f"it counts {turns:+d} turns{other}; turn it back, set its driver's zero anew or let it give radians"
        if degrees:
            return "it looks like degrees; let its source give radians"
        if self._fits(theirs * 0.001)[worst]:
            return "it looks like millimetres; let its source give metres"
        return "check its source, the driver's zero and the range in the robot profile"

    def _fits(self, theirs: Vector) -> NDArray[np.bool_]:
        """Return of each joint whether a position (J,) would suit its range."""
        slack = np.where(self._gripper, self._high - self._low, FITS)
        return np.asarray((theirs >= self._low - slack) & (theirs <= self._high + slack))
