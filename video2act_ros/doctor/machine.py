"""The seam between the checks and the machine they look at."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from video2act_ros.control.realtime import RealtimeReport, RealtimeThread
from video2act_ros.core.priority import raise_scheduling_class
from video2act_ros.doctor.kernel_clock import KernelClock, kernel_clock, read_timex
from video2act_ros.ros.log_folder import log_folder_problem
from video2act_ros.ros.shared_memory import processes_without_files
from video2act_ros.sim.graphics import available_gl_library

_PROBE_TIMEOUT_S = 10.0


class Machine(Protocol):
    """Everything that the checks ask."""

    environ: Mapping[str, str]
    python: tuple[int, int]
    prefix: Path  # of the Python environment

    def cpus(self) -> int:
        """Return how many CPUs this process may use."""

    def load(self) -> float:
        """Return how many threads ran or waited to, on average over the last minute."""

    def read(self, path: str) -> str | None:
        """Return a file's text without white space around it; None where it cannot be read."""

    def files(self, folder: str, pattern: str) -> tuple[Path, ...]:
        """Return the files of a folder, sorted; empty where there is none."""

    def disk_bytes(self, folder: str) -> tuple[int, int]:
        """Return (total, free); zeros where there is no such folder."""

    def unlocked(self, path: Path) -> bool:
        """Return whether no process holds the file's lock."""

    def without_shared_memory(self) -> Mapping[int, str]:
        """Return the processes, id and name, whose files in /dev/shm were removed while they run."""

    def log_folder_problem(self) -> str | None:
        """Return why ROS can make no log file, with the remedy; None: it can."""

    def scheduling(self, priority: int) -> str:
        """Return the class in words that a thread gets which asks for SCHED_FIFO."""

    def limits(self) -> tuple[int, int]:
        """Return the soft limits (real-time priority, locked memory in bytes); -1 is unlimited."""

    def clock_resolution_s(self) -> float:
        """Return the monotonic clock's resolution."""

    def kernel_clock(self) -> KernelClock | None:
        """Return how well the wall clock is synchronised; None where the kernel does not tell."""

    def probe(self, priority: int, period_s: float, ticks: int) -> RealtimeReport:
        """Return how well an idle control thread kept its period."""

    def has_module(self, name: str) -> bool:
        """Return whether a Python module is installed, without importing it."""

    def gl_library(self) -> str | None:
        """Return the OpenGL library for rendering without a display, or None."""


class ThisMachine:
    """The machine that runs this process; `environ` is put over its environment."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ: Mapping[str, str] = os.environ | (environ or {})
        self.python = (sys.version_info.major, sys.version_info.minor)
        self.prefix = Path(sys.prefix)

    def cpus(self) -> int:
        """See `Machine`."""
        return len(os.sched_getaffinity(0))

    def load(self) -> float:
        """See `Machine`."""
        return os.getloadavg()[0]

    def read(self, path: str) -> str | None:
        """See `Machine`."""
        try:
            return Path(path).read_text(errors="replace").strip()
        except OSError:
            return None

    def files(self, folder: str, pattern: str) -> tuple[Path, ...]:
        """See `Machine`."""
        return tuple(sorted(Path(folder).glob(pattern)))

    def disk_bytes(self, folder: str) -> tuple[int, int]:
        """See `Machine`."""
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            return 0, 0
        return usage.total, usage.free

    def unlocked(self, path: Path) -> bool:
        """See `Machine`."""
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def without_shared_memory(self) -> Mapping[int, str]:
        """See `Machine`."""
        return processes_without_files()

    def log_folder_problem(self) -> str | None:
        """See `Machine`."""
        return log_folder_problem(self.environ)

    def scheduling(self, priority: int) -> str:
        """See `Machine`."""
        words: list[str] = []
        thread = threading.Thread(target=lambda: words.append(raise_scheduling_class(priority)))
        thread.start()
        thread.join()
        return words[0]

    def limits(self) -> tuple[int, int]:
        """See `Machine`."""
        return resource.getrlimit(resource.RLIMIT_RTPRIO)[0], resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]

    def clock_resolution_s(self) -> float:
        """See `Machine`."""
        return time.get_clock_info("monotonic").resolution

    def kernel_clock(self) -> KernelClock | None:
        """See `Machine`."""
        timex = read_timex()
        return None if timex is None else kernel_clock(timex)

    def probe(self, priority: int, period_s: float, ticks: int) -> RealtimeReport:
        """See `Machine`."""
        enough = threading.Event()

        def tick(_deadline_s: float) -> None:
            if thread.ticks >= ticks:
                enough.set()

        thread = RealtimeThread(period_s, tick, lambda _error: enough.set(), priority, "probe")
        thread.start()
        enough.wait(_PROBE_TIMEOUT_S)
        thread.stop()
        return thread.report()

    def has_module(self, name: str) -> bool:
        """See `Machine`."""
        return importlib.util.find_spec(name) is not None

    def gl_library(self) -> str | None:
        """See `Machine`."""
        return available_gl_library()
