"""The shared memory of processes that were killed: it is freed, and new processes keep away from what is in use."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path("/dev/shm")
PREFIXES = ("fastdds_", "fastrtps_")
"""How Fast DDS names its files there: version 3 (from Kilted on), version 2 (Jazzy)."""

_LOCK_SUFFIX = "_el"
_SHARED_LOCK_SUFFIX = "_sl"
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


@contextlib.contextmanager
def dead_ports_avoided(folder: Path = FOLDER, processes: Path = Path("/proc")) -> Iterator[None]:
    """Keep a transport that is made inside from taking over a port of a killed process; it takes another number.

    Others may go on writing into the killed process's port for good: it looks alive to them if the signal came
    between two messages. A new process on the same port then hears nothing of them. Such ports are locked meanwhile,
    in the way in which Fast DDS asks whether one is taken. Those that nobody has open any more are harmless.
    """
    with contextlib.ExitStack() as held:
        for name in _ports_in_use(folder, processes):
            with contextlib.suppress(OSError):  # alive, gone meanwhile, or somebody else's
                held.enter_context(_hold(folder / f"{name}{_LOCK_SUFFIX}"))
        yield


def _ports_in_use(folder: Path, processes: Path) -> set[str]:
    """Return the names of the ports that living processes have open for themselves or for writing."""
    port = re.compile(
        rf"\s{re.escape(str(folder))}/((?:{'|'.join(PREFIXES)})port\d+)(?: \(deleted\))?$", re.MULTILINE
    )
    found: set[str] = set()
    for maps in processes.glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            found.update(port.findall(maps.read_text(errors="replace")))
    return {name for name in found if not (folder / f"{name}{_SHARED_LOCK_SUFFIX}").exists()}


@contextlib.contextmanager
def _hold(lock: Path) -> Iterator[None]:
    """Hold a port's lock beside others that do so too; raises OSError where a living process has it."""
    made = not lock.exists()
    descriptor = os.open(lock, os.O_RDONLY | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
        if made:
            lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


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
