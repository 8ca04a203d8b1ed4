"""Stamps of control ticks: as regular as their deadlines, on a clock that is read late or moves in steps."""

from __future__ import annotations

from video2act_ros.core.types import NS_PER_S, seconds_to_ns

TOLERANCE_NS = seconds_to_ns(0.015)  # more than late readings and a simulated clock's steps
FOLLOW = 0.05  # share of a difference that is taken over in each tick
QUIET_NS = seconds_to_ns(0.002)  # of a difference up to this only the drift of a clock counts, and that is
SLEW_NS = (
    2_000  # no faster: 2 µs a tick, 100 ppm at 50 Hz; at full speed the jump of a set-point is a few µrad
)
UNSURE_NS = seconds_to_ns(0.0002)  # a reading that took longer says too little


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

    def stamp_ns(self, deadline_s: float, now_s: float, reading_ns: int, read_s: float | None = None) -> int:
        """Return the stamp of the tick that was due at `deadline_s`.

        Args:
            deadline_s: on the monotonic clock.
            now_s: the present on the monotonic clock.
            reading_ns: the present on the clock that stamps are of.
            read_s: when that was read at the latest, on the monotonic clock; `now_s` is the earliest.
        """
        unsure_ns = 0.0 if read_s is None else (read_s - now_s) * NS_PER_S
        difference_ns = reading_ns - now_s * NS_PER_S - unsure_ns / 2.0 - (self._offset_ns or 0.0)
        if self._offset_ns is None:
            self._offset_ns = difference_ns
        elif abs(difference_ns) > TOLERANCE_NS + unsure_ns:
            self._offset_ns += difference_ns
        elif abs(difference_ns) > QUIET_NS and unsure_ns <= UNSURE_NS:
            self._offset_ns += FOLLOW * difference_ns
        elif unsure_ns <= UNSURE_NS:
            self._offset_ns += min(max(FOLLOW * difference_ns, -SLEW_NS), SLEW_NS)
        stamp_ns = round(deadline_s * NS_PER_S + self._offset_ns)
        if 0 < self._newest_ns - stamp_ns <= 2 * TOLERANCE_NS:
            stamp_ns = self._newest_ns  # the other clock stands
        self._newest_ns = stamp_ns
        return stamp_ns
