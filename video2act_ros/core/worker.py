"""The one thread that owns a model: woken by new input, no more often than its rate."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable


class Worker:
    """Calls `step` after each `wake`; wakes during a step count once.

    After a step that found work to do, the next one begins 1 / `rate_hz` later at the earliest. The newest
    input is looked for when the step begins, not when it was woken.
    """

    def __init__(
        self, name: str, step: Callable[[], bool], rate_hz: float, on_error: Callable[[Exception], None]
    ) -> None:
        """Prepare the thread.

        Args:
            name: the thread's name.
            step: one unit of work; returns whether there was something to do.
            rate_hz: largest rate of steps that do something.
            on_error: receives what `step` raised; the thread goes on, whatever it raises itself.
        """
        self._step = step
        self._period_s = 1.0 / rate_hz
        self._on_error = on_error
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """True from `start` until the thread has left its last step."""
        return self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """True once it was asked to end: what a step still makes is nobody's any more."""
        return self._stopping.is_set()

    def wake(self) -> None:
        """Say that there is new input. Never blocks."""
        self._woken.set()

    def stop(self, timeout_s: float) -> bool:
        """Ask the thread to end after its present step and wait; return whether it has ended."""
        self._stopping.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._stopping.is_set():
            self._woken.wait()
            if self._stopping.wait(max(0.0, due_s - time.monotonic())):
                return
            self._woken.clear()
            start_s = time.monotonic()
            try:
                if self._step():
                    due_s = start_s + self._period_s
            except Exception as error:  # noqa: BLE001 - the top of a thread
                due_s = start_s + self._period_s
                with contextlib.suppress(Exception):
                    self._on_error(error)
