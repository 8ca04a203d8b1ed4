"""A watch beside the threads of a process that owns an arm: do its control ticks and its callbacks still come?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

LOOK_S = 0.05
STALL_S = 0.25  # without a tick or a callback; both come at least twenty times as often


@dataclass(slots=True)
class _Beat:
    """One count that must go on, and when it was last seen to."""

    count: Callable[[], int]
    seen: int = -1
    seen_s: float = 0.0


class StallWatch:
    """Notices within `STALL_S` that a count stands still, in a thread of its own.

    Where the whole process stood, as in a pause of the machine, the watch stood with it and begins anew: what the
    others missed meanwhile is not their doing.

    Args:
        counts: by the name of what counts: returns a number that goes on while all is well. Called in the
            watch's thread.
        on_change: called in the watch's thread with for how long each of `counts` that stands has stood [s],
            whenever one begins or ends to stand, and at every look while one stands.
    """

    def __init__(
        self, counts: dict[str, Callable[[], int]], on_change: Callable[[dict[str, float]], None]
    ) -> None:
        self._beats = {name: _Beat(count) for name, count in counts.items()}
        self._on_change = on_change
        self._stop = threading.Event()
        self._stalled = False
        self._looked_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="stall_watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self.look(time.monotonic())
        self._thread.start()

    def stop(self, timeout_s: float = 0.5) -> None:
        """End the watch, waiting no longer than `timeout_s`."""
        self._stop.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def look(self, now_s: float) -> None:
        """Look once, at the monotonic time `now_s`."""
        stood_too = now_s - self._looked_s > STALL_S
        self._looked_s = now_s
        standing: dict[str, float] = {}
        for name, beat in self._beats.items():
            count = beat.count()
            if count != beat.seen or stood_too:
                beat.seen, beat.seen_s = count, now_s
            elif now_s - beat.seen_s > STALL_S:
                standing[name] = now_s - beat.seen_s
        if standing or self._stalled:
            self._stalled = bool(standing)
            self._on_change(standing)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self.look(time.monotonic())
            except Exception:  # noqa: BLE001  a look that fails must not be the last one
                continue
