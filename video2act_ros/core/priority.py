"""Asks the system to run this process before others that are not urgent."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_THREADS, _GROUP = Path("/proc/self/task"), Path("/proc/self/autogroup")


def prefer_process(nice: int) -> str:
    """Give every thread of this process the nice value; return what was granted, in words.

    Threads that they start later inherit it. Where Linux shares its cores among sessions first (autogroup), the
    nice values of threads count within one session only: a process that leads a session of its own, as those of a
    stack's runner do, gives that one the same value.

    Args:
        nice: -20 (most urgent) to 19; below 0 it needs a permission. 0 changes nothing.
    """
    if not nice:
        return "nice 0"
    threads = [int(path.name) for path in _THREADS.glob("*")] or [0]
    try:
        for thread in threads:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.setpriority(os.PRIO_PROCESS, thread, nice)
        if _GROUP.exists() and os.getsid(0) == os.getpid():
            _GROUP.write_text(str(nice))
    except OSError as error:
        return f"nice {nice} refused: {error.strerror}; grant CAP_SYS_NICE or a nice limit"
    return f"nice {nice}"


def run_at_once(priority: int, *, inherited: bool = False) -> str:
    """Put every present thread of this process into SCHED_FIFO; return the class in force, in words.

    For a program that measures others, whose own waiting must not be taken for theirs, and for one that somebody
    waits for who wants to stop an arm. Never for one that computes.

    Args:
        priority: SCHED_FIFO priority, 1 (least urgent) to 99.
        inherited: whether threads and processes that are started later get it, too.
    """
    if not hasattr(os, "SCHED_RESET_ON_FORK"):
        return "normal (this system has no SCHED_FIFO)"
    policy, wanted = os.SCHED_FIFO, os.sched_param(priority)
    if not inherited:
        policy |= os.SCHED_RESET_ON_FORK
    try:
        for thread in [int(path.name) for path in _THREADS.glob("*")]:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(thread, policy, wanted)
    except OSError as error:
        return f"normal (SCHED_FIFO {priority} refused: {error.strerror}; grant CAP_SYS_NICE or rtprio)"
    return f"SCHED_FIFO {priority}"
