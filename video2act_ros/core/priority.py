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
