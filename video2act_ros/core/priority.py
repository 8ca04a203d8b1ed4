"""Asks the system to run a process, or threads of it, before others that are not urgent."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

HELPERS_BELOW = 10  # SCHED_FIFO priorities between the control thread and its process's other threads
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
    try:
        for thread in _threads() or [0]:
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
    return _raise(_threads(), priority, 0 if inherited else getattr(os, "SCHED_RESET_ON_FORK", 0))


def raise_scheduling_class(priority: int) -> str:
    """Put the calling thread into SCHED_FIFO where permitted; return the class in force, in words."""
    return _raise((threading.get_native_id(),), priority)


def raise_helper_threads(control_priority: int) -> str:
    """Put every thread of this process into SCHED_FIFO below the control thread; return their class in words.

    The control thread waits for whichever of them holds the interpreter's lock. In the normal class that
    one can be kept off the CPU by other processes for many milliseconds. Threads started later by one of
    these inherit the class, so call it before the control thread starts, and never in a process that
    computes a model.

    Args:
        control_priority: SCHED_FIFO priority of the control thread; 0 changes nothing.
    """
    return _raise(_threads(), max(control_priority - HELPERS_BELOW, 1) if control_priority > 0 else 0)


@contextlib.contextmanager
def class_kept() -> Iterator[None]:
    """Give every thread of this process the calling one's present class again at the end.

    For calls into libraries that put a whole process before everything else, a robot's control thread included.
    """
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in _threads():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(thread, policy, parameters)


def _threads() -> list[int]:
    return [int(path.name) for path in _THREADS.glob("*")]


def _raise(threads: Iterable[int], priority: int, flags: int = 0) -> str:
    if priority <= 0:
        return "normal"
    if not hasattr(os, "sched_setscheduler"):
        return "normal (this system has no SCHED_FIFO)"
    try:
        for thread in threads:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setscheduler(thread, os.SCHED_FIFO | flags, os.sched_param(priority))
    except OSError as error:
        return f"normal (SCHED_FIFO {priority} refused: {error.strerror}; grant CAP_SYS_NICE or rtprio)"
    return f"SCHED_FIFO {priority}"
