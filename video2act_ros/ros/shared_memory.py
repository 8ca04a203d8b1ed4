"""Shared memory whose processes were killed, and processes whose shared memory was removed.

Nobody hangs on the memory of a killed process or takes it over, and it is freed. A process notices when its own
files are gone from the folder: from a second or two later on, nothing reaches it through them any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

FOLDER = Path("/dev/shm")
PREFIXES = ("fastdds_", "fastrtps_")
"""How Fast DDS names its files there: version 3 (from Kilted on), version 2 (Jazzy)."""

_PORT_NAME = re.compile(r"port(\d+)$")
_FIRST_PORT, _DOMAIN_PORTS = 7400, 250  # of domain 0, and how many each domain has (RTPS)
_PORTS = tuple(f"{prefix}port" for prefix in PREFIXES)
_LOCK_SUFFIX = "_el"
_SHARED_LOCK_SUFFIX = "_sl"
_SETTLED_S = 10.0  # a younger segment's lock may still be about to be taken
_LOOK_S = 0.2  # writers notice a killed reader after 0.6 s at the earliest
_TAKING_S = 1.0  # a younger port's lock may still be about to be taken
_HOLD_S = 10.0  # by then every writer's watchdog, which looks once a second, has noticed
_DELETED = " (deleted)"  # how Linux marks the name of a removed file

REMOVED_CAUSE = (
    "systemd removes it at a user's last log-out: loginctl enable-linger USER, "
    "or RemoveIPC=no in /etc/systemd/logind.conf"
)
"""Who removes the files of running processes, and what keeps them."""


def remove_dead_segments(folder: Path = FOLDER) -> int:
    """Remove Fast DDS segments whose owner has ended; return how many.

    A living process holds its segment's lock file. Ports are left alone: the middleware itself makes
    those of a dead process anew.
    """
    removed = 0
    for lock in (lock for prefix in PREFIXES for lock in folder.glob(f"{prefix}*{_LOCK_SUFFIX}")):
        segment = lock.with_name(lock.name.removesuffix(_LOCK_SUFFIX))
        if not segment.name.startswith(_PORTS):
            with contextlib.suppress(OSError):  # somebody else's, or gone meanwhile
                removed += _remove(lock, segment)
    return removed


@cache
def keep_dead_ports() -> None:
    """Begin, once in a process, to hold the ports of processes that are killed from now on."""
    ports = DeadPorts()

    def run() -> None:
        while True:
            time.sleep(_LOOK_S)
            ports.look(time.monotonic())

    threading.Thread(target=run, name="dead ports", daemon=True).start()


class DeadPorts:
    """Holds the locks of the ports of killed processes until those who wrote to them have noticed.

    A writer that notices while it sends looks at the port's lock. Where it is free the writer cleans up after the
    message that the dead owner was just reading: in Fast DDS that never ends, and nothing that the writer's process
    publishes is sent any more (its issue 6484). A port whose lock is held is made anew without that. One process
    that holds it is enough for all; several may.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        """Leave those alone that are dead already: their writers have noticed."""
        self._folder = folder
        self._held: dict[str, tuple[int, float]] = {}  # a lock's descriptor, and since when [s]
        self._left: set[str] = set()  # free, and not to be held
        self.look(0.0)
        self._let_go(math.inf)

    def look(self, now_s: float) -> None:
        """Hold what has become free since the last look, and let go what was held long enough."""
        self._let_go(now_s)
        locks, locked = (
            self._locks(),
            _locked_inodes(),
        )  # asking each of some hundred locks would take milliseconds
        self._left -= {lock for lock, inode in locks.items() if inode in locked}
        for lock in locks.keys() - self._left - self._held.keys():
            if locks[lock] not in locked and (descriptor := _lock_of_a_dead(lock)) is not None:
                self._held[lock] = descriptor, now_s

    def _locks(self) -> dict[str, int]:
        """Return the paths and inodes of the locks of all ports but those that several processes read."""
        try:
            inodes = {file.name: file.inode() for file in os.scandir(self._folder)}
        except OSError:  # no shared memory
            return {}
        return {
            f"{self._folder}/{name}": inode
            for name, inode in inodes.items()
            if name.startswith(_PORTS)
            and name.endswith(_LOCK_SUFFIX)
            and name.removesuffix(_LOCK_SUFFIX) + _SHARED_LOCK_SUFFIX not in inodes
        }

    def _let_go(self, now_s: float) -> None:
        for lock, (descriptor, since_s) in list(self._held.items()):
            replaced = os.fstat(descriptor).st_nlink == 0
            if replaced or now_s - since_s > _HOLD_S:
                del self._held[lock]
                os.close(descriptor)
                self._left.update(() if replaced else (lock,))


class OwnFiles:
    """Whether this process's shared memory was removed while it runs. Not thread-safe."""

    def __init__(self, process: Path = Path("/proc/self"), folder: Path = FOLDER) -> None:
        self._process, self._folder = process, folder
        self._missing: frozenset[str] = frozenset()

    def removed(self) -> bool:
        """Return whether something is missing that was missing at the last call: one is made or closed in two steps."""
        before, self._missing = self._missing, missing_files(self._process, self._folder)
        return bool(before & self._missing)


def missing_files(process: Path, folder: Path = FOLDER) -> frozenset[str]:
    """Return the names of the segments and ports of a running process that are gone from the folder.

    Args:
        process: its folder under /proc; one that may not be read misses nothing.
        folder: where Fast DDS makes the files.
    """
    missing = set()
    for descriptor, path in _open_locks(process, folder):
        name = Path(path.removesuffix(_DELETED)).name.removesuffix(_LOCK_SUFFIX)
        gone = path.endswith(_DELETED) or not (folder / name).exists()
        if gone and _locks_for_itself(process, descriptor):
            missing.add(name)
    return frozenset(missing)


def processes_without_files(
    domain_id: int | None = None, processes: Path = Path("/proc"), folder: Path = FOLDER
) -> dict[int, str]:
    """Return the other processes whose shared memory was removed while they run: id and name.

    Those of other users are left out, and those that have another file system as their folder.

    Args:
        domain_id: only those of this ROS domain; None: of every one.
        processes: the processes' folders.
        folder: where Fast DDS makes the files.
    """
    ports = (
        range(0)
        if domain_id is None
        else range(*(_FIRST_PORT + _DOMAIN_PORTS * (domain_id + i) for i in (0, 1)))
    )
    found = {}
    for process in processes.glob("[0-9]*"):
        if int(process.name) == os.getpid() or not _shares(process, folder):
            continue
        names = missing_files(process, folder)
        numbers = {int(match[1]) for name in names if (match := _PORT_NAME.search(name))}
        if names if domain_id is None else numbers & set(ports):
            found[int(process.name)] = _program(process)
    return found


def _program(process: Path) -> str:
    """Return what a process runs: the module or the script where it is an interpreter."""
    try:
        words = (process / "cmdline").read_text(errors="replace").split("\0")[:3]
    except OSError:  # ended meanwhile
        return "?"
    names = [Path(word).name for word in words if word and not word.startswith("-")]
    return names[-1] if names else "?"


def _open_locks(process: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the descriptor and the path of each lock file of Fast DDS that a process has open."""
    begin = tuple(f"{folder}/{prefix}" for prefix in PREFIXES)
    with contextlib.suppress(OSError):  # ended meanwhile, or another user's
        for descriptor in os.listdir(process / "fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                path = os.readlink(process / "fd" / descriptor)
                if path.startswith(begin) and path.removesuffix(_DELETED).endswith(_LOCK_SUFFIX):
                    yield descriptor, path


def _locks_for_itself(process: Path, descriptor: str) -> bool:
    """Return whether the process holds that lock as an owner does; who only guards a dead port shares it."""
    try:
        lines = (process / "fdinfo" / descriptor).read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("lock:") and {"FLOCK", "WRITE"} <= set(line.split()) for line in lines)


def _shares(process: Path, folder: Path) -> bool:
    """Return whether a process that has removed files of that name sees the same file system there as this one."""
    try:
        device = folder.stat().st_dev
        return any(
            os.stat(process / "fd" / descriptor).st_dev == device
            for descriptor, path in _open_locks(process, folder)
            if path.endswith(_DELETED)
        )
    except OSError:
        return False


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


def _locked_inodes() -> set[int]:
    """Return the inodes of the files, of any file system, that a process has locked for itself alone."""
    try:
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:  # not Linux
        return set()
    return {int(line[5].rpartition(":")[2]) for line in lines if line[1] == "FLOCK" and line[3] == "WRITE"}


def _lock_of_a_dead(lock: str) -> int | None:
    """Share the lock of a port whose owner has ended, and return its descriptor; None: alive, starting or gone."""
    try:
        return _locked(lock, fcntl.LOCK_SH) if _age_s(lock) >= _TAKING_S else None
    except OSError:
        return None


@contextlib.contextmanager
def _hold(lock: Path) -> Iterator[None]:
    """Hold a port's lock beside others that do so too; raises OSError where a living process has it."""
    made = not lock.exists()
    descriptor = _locked(lock, fcntl.LOCK_SH, os.O_RDONLY | os.O_CREAT)
    try:
        yield
        if made:
            lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _remove(lock: Path, segment: Path) -> bool:
    if _age_s(lock) < _SETTLED_S:
        return False
    descriptor = _locked(lock, fcntl.LOCK_EX, os.O_RDWR)
    try:
        segment.unlink(missing_ok=True)
        lock.unlink()
    finally:
        os.close(descriptor)
    return True


def _locked(lock: str | Path, kind: int, flags: int = os.O_RDONLY) -> int:
    """Lock a file and return its descriptor; raises OSError where it is gone, somebody else's or locked already."""
    descriptor = os.open(lock, flags, 0o666)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _age_s(lock: str | Path) -> float:
    return time.time() - os.stat(lock).st_mtime
