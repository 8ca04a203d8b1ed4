"""A thread that ticks at absolute deadlines and measures how well."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from video2act_ros.control.statistics import Distribution, Summary
from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.priority import raise_scheduling_class

SWITCH_INTERVAL_S = 0.0005  # another Python thread gives the interpreter back after at most this long


@dataclass(frozen=True, slots=True)
class RealtimeReport:
    """Ticks since the start; `missed` counts deadlines that passed by a whole period.

    `period_error_s` summarises |time between two ticks - period|; `scheduling` is the class in force.
    """

    ticks: int
    missed: int
    period_error_s: Summary
    scheduling: str


class RealtimeThread:
    """Calls `tick` every `period_s` on the monotonic clock; passed deadlines are skipped and counted.

    Args:
        period_s: time between ticks [s].
        tick: what to do; it gets the deadline [s] and must return within the period. What it raises goes
            to `on_error`, and the thread goes on ticking.
        on_error: called on this thread with the exception.
        priority: SCHED_FIFO priority, where permitted; 0 keeps the normal class.
    """

    def __init__(
        self,
        period_s: float,
        tick: Callable[[float], None],
        on_error: Callable[[Exception], None],
        priority: int = 0,
        name: str = "control",
    ) -> None:
        if not period_s > 0:
            raise ConfigurationError(f"the control period must be positive, got {period_s} s")
        self._period_s = period_s
        self._tick = tick
        self._on_error = on_error
        self._priority = priority
        self._stop = threading.Event()
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._errors = Distribution()
        self._ticks = 0
        self._missed = 0
        self._scheduling = "not started"

    def start(self) -> None:
        """Start ticking; shortens the interpreter's thread switch interval for the whole process."""
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_S))
        self._thread.start()
        self._running.wait()

    def stop(self, timeout_s: float = 1.0) -> bool:
        """End the thread; False when it has not ended after `timeout_s`."""
        self._stop.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def ticks(self) -> int:
        """Ticks since the start."""
        return self._ticks

    @property
    def missed(self) -> int:
        """Deadlines that passed by a whole period since the start."""
        return self._missed

    def report(self) -> RealtimeReport:
        """Return the measurements since the start."""
        return RealtimeReport(self._ticks, self._missed, self._errors.summary(), self._scheduling)

    def _run(self) -> None:
        self._scheduling = raise_scheduling_class(self._priority)
        self._running.set()
        period_s = self._period_s
        deadline = time.monotonic() + period_s
        previous: float | None = None
        while not self._stop.is_set():
            time.sleep(max(deadline - time.monotonic(), 0.0))
            now = time.monotonic()
            if previous is not None:
                self._errors.add(abs(now - previous - period_s))
            previous = now
            skipped = int((now - deadline) / period_s)
            self._missed += skipped
            due = deadline + skipped * period_s
            deadline = due + period_s
            self._ticks += 1
            try:
                self._tick(due)
            except Exception as error:  # noqa: BLE001  the arm needs the next tick whatever went wrong in this one
                with contextlib.suppress(Exception):  # nor may the report of an error end the thread
                    self._on_error(error)
