"""Faults of the stack's processes, and how each is undone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from rclpy.duration import Duration
from std_msgs.msg import Bool, String

from video2act_ros.core.priority import raise_scheduling_class
from video2act_ros.core.types import NS_PER_S
from video2act_ros.nodes.fault_bench import (
    ANSWER_S,
    JUDGE_PRIORITY,
    RESTART_S,
    Action,
    Begin,
    Bench,
    tell,
)
from video2act_ros.nodes.faulty_command_node import MISBEHAVE, NOTHING
from video2act_ros.ros import qos
from video2act_ros.ros.convert import stamp_to_ns

SLOW_PERIOD_S = 0.1
SLOW_FACTOR = 10


def kill(executable: str) -> Action:
    """SIGKILL a process; undone by starting it again."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        yield lambda: os.kill(bench.stack.pid(executable), signal.SIGKILL)
        bench.stack.restart(executable)

    return action


def pause(executable: str) -> Action:
    """SIGSTOP a process; undone by letting it run on."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        pid = bench.stack.pid(executable)
        with continued_at_end(pid):
            yield lambda: os.kill(pid, signal.SIGSTOP)

    return action


@contextlib.contextmanager
def continued_at_end(pid: int) -> Iterator[None]:
    """Let a process run again at the end, however that is reached."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def slow(executable: str) -> Action:
    """Let a process run a tenth of the time."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        pid, stopping = bench.stack.pid(executable), threading.Event()

        def run() -> None:
            raise_scheduling_class(JUDGE_PRIORITY)
            with contextlib.suppress(ProcessLookupError):
                while not stopping.is_set():
                    os.kill(pid, signal.SIGCONT)
                    stopping.wait(SLOW_PERIOD_S / SLOW_FACTOR)
                    os.kill(pid, signal.SIGSTOP)
                    stopping.wait(SLOW_PERIOD_S * (1.0 - 1.0 / SLOW_FACTOR))

        thread = threading.Thread(target=run, name="slow_down")
        with continued_at_end(pid):
            try:
                yield thread.start
            finally:
                stopping.set()
                if thread.ident is not None:
                    thread.join()

    return action


def latched_emergency_stop() -> Action:
    """Restart the command node while a latched emergency stop is pressed; undone by releasing it."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        node = bench.node
        publisher = node.create_publisher(Bool, "emergency_stop", qos.LATCHED)

        def begin() -> None:
            os.kill(bench.stack.pid("command_node"), signal.SIGKILL)
            publisher.publish(Bool(data=True))
            bench.stack.restart("command_node")
            restarted_s = time.time()
            node.wait_for(lambda: _is_back(bench, restarted_s), RESTART_S, "the command node to be back")

        try:
            yield begin
        finally:
            publisher.publish(Bool(data=False))
            publisher.wait_for_all_acked(Duration(seconds=ANSWER_S))
            node.destroy_publisher(publisher)

    return action


def _is_back(bench: Bench, restarted_s: float) -> bool:
    """Whether every listener of the bench has heard the command node that was started then."""
    state = bench.node.state
    heard = state is not None and stamp_to_ns(state.header.stamp) > restarted_s * NS_PER_S
    return heard and bool(bench.watch.since(restarted_s))


def misbehave(what: str) -> Action:
    """Let something go wrong in the command node's own process; see `faulty_command_node`."""
    return tell(MISBEHAVE, String(data=what), String(data=NOTHING))


def shared_memory_removed() -> Action:
    """Remove the stack's files in shared memory, then stop the arm from another shell; that call begins it."""

    @contextlib.contextmanager
    def action(bench: Bench) -> Iterator[Begin]:
        calls: list[subprocess.Popen[bytes]] = []

        def begin() -> float:
            for path in _shared_memory_of(bench.stack.pid(name) for name in bench.stack.running()):
                path.unlink(missing_ok=True)
            called_s = time.time()
            namespace = bench.node.get_namespace()
            command = [sys.executable, "-m", "video2act_ros.cli", "estop", "--namespace", namespace]
            calls.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True))
            return called_s

        try:
            yield begin
        finally:
            for call in calls:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    call.wait(ANSWER_S)
                call.kill()
                call.wait()

    return action


def _shared_memory_of(pids: Iterable[int]) -> set[Path]:
    """Return the files of the transport in shared memory that processes have mapped or open."""
    found: set[str] = set()
    for pid in pids:
        process = Path(f"/proc/{pid}")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            mapped = [line.split(maxsplit=5)[-1] for line in (process / "maps").read_text().splitlines()]
            opened = [os.readlink(link) for link in (process / "fd").iterdir() if link.is_symlink()]
            found.update(path for path in (*mapped, *opened) if path.startswith("/dev/shm/"))
    return {Path(path) for path in found if "fastdds" in path or "fastrtps" in path}
