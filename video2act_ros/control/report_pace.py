"""How steadily a system reports: one that gets a fraction of its time reports at a fraction of the rate."""

from __future__ import annotations

from collections import deque

from video2act_ros.core.input_report import REPORT_PERIOD_S
from video2act_ros.core.types import seconds_to_ns

WINDOW_S = 0.75  # beginning and end of a hold take 0.3 s: together they stay below a second
USUAL = round(WINDOW_S / REPORT_PERIOD_S)
FEWEST = round(0.4 * USUAL)
"""Reports within the window below which a system is held to be starved.

On two cores with eight busy programs beside the stack there were never fewer than 0.6 of the usual number; of a
process that runs a tenth of the time 0.2 in the median.
"""
FORGOTTEN_S = 2.0  # after a silence of so long it has been started anew


class ReportPace:
    """Counts one system's reports by their stamps, so that a slow network does not look like a slow process.

    Silence itself is not judged here: the window ends with the newest report. Not thread-safe.
    """

    def __init__(self) -> None:
        self._stamps_ns: deque[int] = deque(maxlen=8 * USUAL)

    def add(self, stamp_ns: int) -> None:
        """Take when the newest report was made."""
        since_ns = stamp_ns - self._stamps_ns[-1] if self._stamps_ns else 0
        if not 0 <= since_ns <= seconds_to_ns(FORGOTTEN_S):
            self._stamps_ns.clear()
        self._stamps_ns.append(stamp_ns)

    @property
    def recent(self) -> int:
        """How many reports were made within `WINDOW_S` until the newest one; `USUAL` before so much time has passed."""
        if not self._stamps_ns:
            return USUAL
        begin_ns = self._stamps_ns[-1] - seconds_to_ns(WINDOW_S)
        if self._stamps_ns[0] > begin_ns:
            return USUAL
        return sum(stamp_ns > begin_ns for stamp_ns in self._stamps_ns)

    @property
    def starved(self) -> bool:
        """Whether so few reports come that the system cannot be doing its work in time."""
        return self.recent < FEWEST
