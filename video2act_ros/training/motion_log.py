"""How smoothly an arm was driven, and how soon it reacted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.types import NS_PER_S

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MotionQuality:
    """Figures of one episode.

    Jerks [rad/s³] are third differences over the control period, largest over the arm joints, of the
    commands and of the measured joints. Reactions [s] count from any moment to the first command that depends on an
    observation made at or after it: their median and the longest.
    """

    peak_jerk: float
    rms_jerk: float
    measured_peak_jerk: float
    measured_rms_jerk: float
    reaction_median_s: float
    reaction_longest_s: float


class MotionLog:
    """Collects one episode's commands tick by tick."""

    def __init__(self, arm: NDArray[np.bool_], period_s: float) -> None:
        """Start empty; `arm` (J,) marks the joints that count."""
        self._arm = arm
        self._period_s = period_s
        self._stamps_ns: list[int] = []
        self._observed_ns: list[int] = []
        self._commands: list[Vector] = []
        self._measured: list[Vector] = []

    def add(self, now_ns: int, command: Vector, measured: Vector, observed_ns: int | None) -> None:
        """Take one tick: the command and the measured joints, each (J,), and the newest observation it rests on.

        Ticks before the first command that rests on one do not count: the arm only settles after its reset.
        """
        if observed_ns is None:
            return
        self._stamps_ns.append(now_ns)
        self._commands.append(command[self._arm])
        self._measured.append(measured[self._arm])
        self._observed_ns.append(observed_ns)

    def quality(self) -> MotionQuality:
        """Return the figures so far; at least four ticks are needed."""
        commanded, measured = self._jerk(self._commands), self._jerk(self._measured)
        reactions_s = self._reactions_s()
        return MotionQuality(
            peak_jerk=float(np.abs(commanded).max()),
            rms_jerk=float(np.sqrt(np.mean(commanded**2))),
            measured_peak_jerk=float(np.abs(measured).max()),
            measured_rms_jerk=float(np.sqrt(np.mean(measured**2))),
            reaction_median_s=float(np.median(reactions_s)),
            reaction_longest_s=float(np.max(reactions_s)),
        )

    def _jerk(self, positions: list[Vector]) -> Vector:
        return np.diff(np.stack(positions), n=3, axis=0) / self._period_s**3  # (ticks - 3, joints)

    def _reactions_s(self) -> Vector:
        """Return the reaction to an event at each tick, as far as the episode saw one."""
        stamps, observed = np.array(self._stamps_ns), np.array(self._observed_ns)
        first = np.searchsorted(np.maximum.accumulate(observed), stamps)  # first command that could know
        seen = first < len(stamps)
        return (stamps[first[seen]] - stamps[seen]) / NS_PER_S if seen.any() else np.array([np.nan])
