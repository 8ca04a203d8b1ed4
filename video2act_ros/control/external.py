"""Commands from outside, for example a teleoperation device: checked, and made a path between messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from video2act_ros.core.errors import InputError
from video2act_ros.core.motion import MotionState, Vector
from video2act_ros.core.other_clock import FUTURE_TOLERANCE_S, is_other_clock, other_clock_words
from video2act_ros.core.types import NS_PER_S, seconds_to_ns


def external_positions(names: Sequence[str], values: Sequence[float], joint_names: tuple[str, ...]) -> Vector:
    """Return an external command as (J,) float64 in the profile's order, policy units.

    Raises:
        InputError: it does not name every joint once, the sizes differ, or a value is not finite.
    """
    if sorted(names) != sorted(joint_names) or len(values) != len(names):
        raise InputError(
            f"an external command must give one position for each of the {len(joint_names)} joints "
            f"({', '.join(joint_names)}); got {len(values)} for {', '.join(names) or 'none'}"
        )
    given = dict(zip(names, values, strict=True))
    positions = np.array([given[name] for name in joint_names], dtype=np.float64)
    if not np.all(np.isfinite(positions)):
        broken = [name for name in joint_names if not np.isfinite(given[name])]
        raise InputError(
            f"an external command has NaN or infinite positions for {', '.join(broken)}; check its source"
        )
    return positions


class ExternalSource:
    """The newest commands of an external source, as a motion without steps.

    Each command is approached in a straight line over the time that has passed between it and its
    predecessor, so that a source slower than the control rate does not make the arm stop between two
    messages. Active while messages are younger than `timeout_s`. Not thread-safe.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._timeout_ns = seconds_to_ns(timeout_s)
        self.clear()

    def clear(self) -> None:
        """Forget every command."""
        self._from: Vector | None = None
        self._to: Vector | None = None
        self._stamp_ns = 0
        self._span_ns = 0

    def wrong_stamp(self, stamp_ns: int, now_ns: int) -> str | None:
        """Return why a command of that stamp cannot count as wanted at `now_ns`; None where it can.

        A stamp of zero is none: the command counts as made when it arrived.
        """
        if not stamp_ns:
            return None
        age_s = (now_ns - stamp_ns) / NS_PER_S
        if is_other_clock(age_s):
            return f"external command {other_clock_words(age_s, 'its source')}"
        if age_s < -FUTURE_TOLERANCE_S:
            return f"external command stamped {-age_s:.2f} s in the future; synchronise its source's clock"
        if age_s > self._timeout_s:
            return (
                f"external command is {age_s:.2f} s old (external_timeout_s {self._timeout_s:g} s); check its source, "
                "the network and its clock"
            )
        return None

    def add(self, positions: Vector, now_ns: int) -> None:
        """Take the command (J,) that arrived at `now_ns`."""
        before = self.target(now_ns)
        self._span_ns = now_ns - self._stamp_ns if before is not None else 0
        self._from = positions if before is None else before.positions
        self._to, self._stamp_ns = positions, now_ns

    def active(self, now_ns: int) -> bool:
        """Return whether the source drives at `now_ns`."""
        return self._to is not None and 0 <= now_ns - self._stamp_ns <= self._timeout_ns

    def target(self, now_ns: int) -> MotionState | None:
        """Return where the source wants the arm at `now_ns`; None unless it is active."""
        if self._to is None or self._from is None or not self.active(now_ns):
            return None
        elapsed_ns = now_ns - self._stamp_ns
        if elapsed_ns >= self._span_ns:
            return MotionState.at_rest(self._to)
        velocities = (self._to - self._from) * (NS_PER_S / self._span_ns)
        positions = self._from + velocities * (elapsed_ns / NS_PER_S)
        return MotionState(positions, velocities, np.zeros_like(positions))
