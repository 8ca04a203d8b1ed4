"""Which limits of a URDF a draft may take, and what of them somebody has to look at."""

from __future__ import annotations

import math
from dataclasses import dataclass

from video2act_ros.core.urdf import FULL_TURN, UrdfJoint

CAUTIOUS_SPEED = {True: 0.5, False: 0.05}
"""By whether a joint turns: the speed where the URDF gives none that can be meant [rad/s or m/s]."""

_FASTEST = {True: 7.0, False: 2.0}  # arms turn once a second at most; placeholders are 10, 100, 1000
_FARTHEST = {True: 2.5 * math.pi, False: 5.0}  # a turn and a quarter; rails are shorter
_ROUND = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # what stands where nobody has looked it up


@dataclass(frozen=True, slots=True)
class DraftLimits:
    """A joint's range and speed in its own unit; no range where the URDF's cannot be meant. Remarks say why to look."""

    low: float | None
    high: float | None
    speed: float
    remarks: tuple[str, ...] = ()


def draft_limits(joint: UrdfJoint) -> DraftLimits:
    """Judge the limits of a joint that has both ends."""
    low, high, about_range = _range(joint)
    speed, about_speed = _speed(joint)
    return DraftLimits(low, high, speed, tuple(filter(None, (about_range, about_speed))))


def _range(joint: UrdfJoint) -> tuple[float | None, float | None, str]:
    low, high = joint.lower or 0.0, joint.upper or 0.0
    keys = "position_min and position_max"
    if joint.kind == "continuous":
        return low, high, f"{keys}: the joint has no ends"
    if max(abs(low), abs(high)) > _FARTHEST[joint.turns]:
        told = f"{keys}: the URDF says {low:g} to {high:g}, too far for a joint: a placeholder?"
        near, far = max(low, -FULL_TURN), min(high, FULL_TURN)
        return (near, far, told) if joint.turns and near < far else (None, None, f"fill in {told}")
    if abs(low) in _ROUND and abs(high) in _ROUND:
        return low, high, f"{keys}: round in the URDF, perhaps a placeholder"
    return low, high, ""


def _speed(joint: UrdfJoint) -> tuple[float, str]:
    cautious, speed = CAUTIOUS_SPEED[joint.turns], joint.velocity
    if speed is None:
        return cautious, "velocity_max: none in the URDF"
    if not 0.0 < speed <= _FASTEST[joint.turns]:
        return cautious, f"velocity_max: the URDF says {speed:g}, too fast for an arm: a placeholder?"
    if speed in _ROUND:
        return speed, f"velocity_max: the URDF's {speed:g} is round, perhaps a placeholder"
    return speed, ""
