"""Joints that follow their commands late."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.types import NS_PER_S, seconds_to_ns

Array = NDArray[np.float64]


class DelayedJoints:
    """Joints that are where their commands were `lag_s` ago: a pure delay, the hardest servo for a controller.

    Between two commands they move on a straight line. One thread, times in ns.
    """

    def __init__(self, positions: Array, lag_s: Array) -> None:
        """Stand at `positions` (J,); `lag_s` (J,) is how late each joint follows."""
        self._lag_s = np.array(lag_s, dtype=np.float64)
        self._longest_ns = seconds_to_ns(float(self._lag_s.max()))
        self._commands: deque[tuple[int, Array]] = deque()
        self._first = np.array(positions, dtype=np.float64)

    def command(self, now_ns: int, positions: Array) -> None:
        """Take the command (J,) that is given at `now_ns`, later than the one before."""
        if not self._commands:  # until then they stood
            self._commands.append((now_ns - 1, self._first))
        self._commands.append((now_ns, np.array(positions, dtype=np.float64)))
        while len(self._commands) > 2 and self._commands[1][0] <= now_ns - self._longest_ns:
            self._commands.popleft()

    def at(self, now_ns: int) -> tuple[Array, Array]:
        """Return positions and velocities (J,) at `now_ns`, which is not before the newest command."""
        if not self._commands:
            return self._first.copy(), np.zeros_like(self._first)
        times_s = np.array([(time_ns - now_ns) / NS_PER_S for time_ns, _ in self._commands])  # (N,), up to 0
        commands = np.array([positions for _, positions in self._commands])  # (N, J)
        first = np.clip(np.searchsorted(times_s, -self._lag_s, side="right") - 1, 0, len(times_s) - 2)  # (J,)
        joints = np.arange(len(first))
        span_s = times_s[first + 1] - times_s[first]
        before, after = commands[first, joints], commands[first + 1, joints]
        share = np.clip((-self._lag_s - times_s[first]) / span_s, 0.0, 1.0)
        return before + share * (after - before), np.where(share < 1.0, (after - before) / span_s, 0.0)
