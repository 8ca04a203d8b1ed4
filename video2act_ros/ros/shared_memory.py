"""Frees the shared memory of processes that were killed: nobody else does, and each leaves 64 MB behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

FOLDER = Path("/dev/shm")
PREFIXES = ("fastdds_", "fastrtps_")
"""How Fast DDS names its files there: version 3 (from Kilted on), version 2 (Jazzy)."""

_LOCK_SUFFIX = "_el"
_SETTLED_S = 10.0  # a younger lock may still be about to be taken


def remove_dead_segments(folder: Path = FOLDER) -> int:
    """Remove Fast DDS segments whose owner has ended; return how many.

    A living process holds its segment's lock file. Ports are left alone: the middleware itself makes
    those of a dead process anew.
    """
    removed = 0
    for lock in (lock for prefix in PREFIXES for lock in folder.glob(f"{prefix}*{_LOCK_SUFFIX}")):
        segment = lock.with_name(lock.name.removesuffix(_LOCK_SUFFIX))
        if not segment.name.startswith(tuple(f"{prefix}port" for prefix in PREFIXES)):
            with contextlib.suppress(OSError):  # somebody else's, or gone meanwhile
                removed += _remove(lock, segment)
    return removed


def _remove(lock: Path, segment: Path) -> bool:
    if time.time() - lock.stat().st_mtime < _SETTLED_S:
        return False
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        segment.unlink(missing_ok=True)
        lock.unlink()
    finally:
        os.close(descriptor)
    return True
