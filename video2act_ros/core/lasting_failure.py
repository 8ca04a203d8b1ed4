"""Tells a failure that this process does not get over from one that passes."""

from __future__ import annotations

from video2act_ros.core.errors import Video2ActError, describe_error

LASTING_S = (
    10.0  # of nothing but unexpected errors; what passes, such as memory that others hold, has gone by then
)
_LEAST = 3  # errors; a single one lasts no time


class LastingFailure:
    """Counts one thread's unexpected errors since its last success.

    A refusal of the project's own (a missing camera, an unknown instruction) names what to do elsewhere and never
    counts. One thread at a time.
    """

    def __init__(self, lasting_s: float = LASTING_S) -> None:
        self._lasting_s = lasting_s
        self.succeeded()

    def succeeded(self) -> None:
        """Take a success: everything before it has passed."""
        self._since_s: float | None = None
        self._count = 0

    def failed(self, error: Exception, now_s: float) -> str | None:
        """Take an error at a time of a steady clock [s]; return in words that it lasts, or None."""
        if isinstance(error, Video2ActError):
            return None
        self._since_s = now_s if self._since_s is None else self._since_s
        self._count += 1
        lasted_s = now_s - self._since_s
        if lasted_s < self._lasting_s or self._count < _LEAST:
            return None
        return f"nothing but errors for {lasted_s:.0f} s, the newest: {describe_error(error)}"
