"""What the control loop sends."""

from __future__ import annotations

from dataclasses import dataclass

from video2act_ros.core.motion import MotionState


@dataclass(frozen=True, slots=True)
class Command:
    """One set-point for the arm and the way to rest from there, in policy units.

    `state` is due one control period after `stamp_ns`. `braking` holds (time after `state` [s], motion) up to
    a standstill, inside all limits: first the motion that is settled already, then the quickest way to rest; empty
    where the arm stands. `start` is what is due at `stamp_ns` itself, None where nothing was settled before.
    """

    stamp_ns: int
    state: MotionState
    braking: tuple[tuple[float, MotionState], ...] = ()
    start: MotionState | None = None
