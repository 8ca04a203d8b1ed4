"""Stamps of control ticks: as regular as their deadlines, on a clock that is read late or moves in steps."""

from __future__ import annotations

from video2act_ros.core.types import NS_PER_S, seconds_to_ns

TOLERANCE_NS = seconds_to_ns(0.015)  # more than late readings and a simulated clock's steps
FOLLOW = 0.05  # share of a difference that is taken over in each tick


class TickClock:
    """Stamps every tick by its deadline, in the time of another clock.

    A command is one period of motion after the one before it, so its stamp has to be, too: a driver would turn the
    jitter of a tick, or the steps of a simulated clock, into jumps of speed. The distance between the
    monotonic clock and the other one is followed slowly, or at once where it has changed by more than is jitter.
    Not thread-safe: the control thread owns it.
    """

    def __init__(self) -> None:
        self._offset_ns: float | None = None
        self._newest_ns = 0

    def stamp_ns(self, deadline_s: float, now_s: float, reading_ns: int) -> int:
        """Return the stamp of the tick that was due at `deadline_s`.

        Args:
            deadline_s: on the monotonic clock.
            now_s: the present on the monotonic clock.
            reading_ns: the present on the clock that stamps are of.
        """
        seen_ns = reading_ns - now_s * NS_PER_S
        if self._offset_ns is None or abs(seen_ns - self._offset_ns) > TOLERANCE_NS:
            self._offset_ns = seen_ns
        else:
            self._offset_ns += FOLLOW * (seen_ns - self._offset_ns)
        stamp_ns = round(deadline_s * NS_PER_S + self._offset_ns)
        if 0 < self._newest_ns - stamp_ns <= 2 * TOLERANCE_NS:
            stamp_ns = self._newest_ns  # the other clock stands
        self._newest_ns = stamp_ns
        return stamp_ns
