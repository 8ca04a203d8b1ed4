"""What the control loop sends."""

from __future__ import annotations

from dataclasses import dataclass

from video2act_ros.core.motion import MotionState


@dataclass(frozen=True, slots=True)
class Command:
    """One set-point for the arm and the way to rest from there, in policy units.

    `state` is due one control period after `stamp_ns`. `braking` holds (time after `state` [s], motion) up to
    a standstill, inside all limits; empty where the arm stands.
    """

    stamp_ns: int
    state: MotionState
    braking: tuple[tuple[float, MotionState], ...] = ()
