"""For how long something wrong has been going on, where it is seen again and again and not without a break."""

from __future__ import annotations

from video2act_ros.core.types import NS_PER_S, seconds_to_ns

CALM_S = 0.4  # not seen for so long: it is over


class Spell:
    """From the first to the newest sighting of something; over once it has not been seen for `CALM_S`.

    A single sighting lasts no time, so one broken sample stops nothing. Not thread-safe.
    """

    def __init__(self) -> None:
        self._first_ns: int | None = None
        self._newest_ns = 0

    def note(self, now_ns: int) -> None:
        """Take that it was seen at `now_ns`."""
        if self.lasting_s(now_ns) is None:
            self._first_ns = now_ns
        self._newest_ns = now_ns

    def end(self) -> None:
        """Take that it is over."""
        self._first_ns = None

    def lasting_s(self, now_ns: int) -> float | None:
        """Return for how long it has been seen; None where it is over, or never was seen."""
        if self._first_ns is None or now_ns - self._newest_ns > seconds_to_ns(CALM_S):
            return None
        return max(self._newest_ns - self._first_ns, 0) / NS_PER_S
