"""Runs nodes as a process: start, spin, and a stop that still may publish."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import rclpy
from rclpy.context import Context
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from video2act_ros.core.config import CommandConfig
from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.priority import prefer_process, raise_helper_threads
from video2act_ros.ros import environment
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.shared_memory import REMOVED_CAUSE, OwnFiles, dead_ports_avoided
from video2act_ros.ros.start import refusals_in_one_line, start_ros

_SPIN_S = 0.1  # largest time until a signal is noticed
_AFTER_ERROR_S = 0.05
_LINGER_S = 2.0  # for nodes that may not end yet; what commands an arm ends within a second
_FILES_S = 0.5  # between two looks at this process's shared-memory files
_AGAIN = -1  # a status: this process is to start anew
_STOP_S = 4.0  # then a stop tells where it hangs; whoever asked for it kills the process soon after


class _Stop(BaseException):
    """Leaves a transition that a signal interrupted."""


class _Signals:
    """SIGINT and SIGTERM: ask to stop, and leave a long `setup` at once. Publishing stays possible afterwards."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.interrupts = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))  # held back while the process started

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first = not self.stopping.is_set()
        self.stopping.set()
        if first and self.interrupts:
            raise _Stop


def spin(executor: Executor, node: ManagedNode) -> None:
    """Serve the nodes' callbacks once; what escapes from one, or from ROS itself, is told by `node` and no end."""
    try:
        executor.spin_once(timeout_sec=_SPIN_S)
    except Exception as error:  # noqa: BLE001  the process may own an arm
        node.report_problem("executor", error)
        time.sleep(_AFTER_ERROR_S)  # an error that stays must not take all time


class _Apart:
    """Spins nodes in a thread of their own."""

    def __init__(self, nodes: list[ManagedNode]) -> None:
        self._executor = make_executor()
        self._nodes = nodes
        for node in nodes:
            self._executor.add_node(node)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control executor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its present callback."""
        self._stopping.set()
        self._thread.join(1.0)
        self._executor.shutdown(timeout_sec=0.5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            spin(self._executor, self._nodes[0])


class _Files:
    """Looks now and then whether the shared memory of a process that may start anew was removed."""

    def __init__(self, nodes: list[ManagedNode]) -> None:
        self._files = OwnFiles() if all(node.RESTARTS for node in nodes) else None
        self._logger = nodes[0].get_logger()
        self._next_s = 0.0

    def lost(self) -> bool:
        """Return whether it is time to start anew, and say so."""
        if self._files is None or time.monotonic() < self._next_s:
            return False
        self._next_s = time.monotonic() + _FILES_S
        if removed := self._files.removed():
            self._logger.error(f"this process starts anew: its shared memory was removed; {REMOVED_CAUSE}")
        return removed


def make_executor(context: Context | None = None) -> Executor:
    """Return the executor that costs least and is latest least; the ordinary one where rclpy has no other."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor(context=context)
    return EventsExecutor(context=context)


def run_node(*node_classes: type[ManagedNode], args: Sequence[str] | None = None) -> int:
    """Run nodes in this process until SIGINT or SIGTERM, then stop them; return the exit status.

    Their companions run along; those that command the arm are brought up first and have a thread of their own, so that
    an emergency stop is served whatever the others do. A node that cannot be configured stays up unconfigured and says
    why; a node whose parameters are wrong is not started at all (status 1). A stack's runner has no lifecycle manager:
    started by it, a node that cannot be configured ends too. As a program, with `args` left out, it ends the process
    itself.

    What commands the arm and does no more uses no shared memory: nothing that happens to /dev/shm cuts it off.
    Where the files of a process that may be started anew were removed, it is: by itself, or by the lifecycle
    manager that it has.
    """
    only_controls = all(issubclass(node_class.CONFIG, CommandConfig) for node_class in node_classes)
    environment.prepare(may_restart=args is None, shared_memory=not only_controls)
    try:
        start_ros(args=args, signal_handler_options=SignalHandlerOptions.NO)
        status = _run(list(node_classes))
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  no logger works yet
        status = 1
    if args is None:
        if status == _AGAIN:
            environment.start_again()
        _leave(status)
    return abs(status)


def _run(waiting: list[type[ManagedNode]]) -> int:
    signals = _Signals()
    runs_alone = not environment.follow_runner()
    executor = make_executor()
    nodes: list[ManagedNode] = []
    apart: _Apart | None = None
    try:
        while waiting:
            with dead_ports_avoided(), refusals_in_one_line():  # the first node makes the process's transport
                nodes.append(waiting[0](**({"cli_args": _own_name(waiting[0])} if nodes else {})))
            waiting = [*waiting[1:], *nodes[-1].companions()]
        controlling = [node for node in nodes if isinstance(node.config, CommandConfig)]
        others = [node for node in nodes if node not in controlling]
        for node in others or controlling:
            executor.add_node(node)
        _care_for_control(nodes)
        if runs_alone and nodes[0].shared_memory_problem:  # a stack's runner tells it once for all of them
            nodes[0].get_logger().warning(nodes[0].shared_memory_problem)
        if others and controlling:
            accepted = _bring_up(controlling, signals)
            apart = _Apart(controlling)
            accepted &= _bring_up(others, signals)
        else:
            accepted = _bring_up(nodes, signals)
        if not accepted and not runs_alone:
            return 1  # nobody will configure it again, and the runner's user should know at once
        files = _Files(nodes)
        while not signals.stopping.is_set():  # EventsExecutor.spin() would hold the interpreter lock
            spin(executor, nodes[0])
            if files.lost():
                return _AGAIN if all(node.config.autostart for node in nodes) else 1
            if ended := [node.exit_status for node in nodes if node.exit_status is not None]:
                return max(ended)
        _linger(nodes, executor)
        return 0
    except ConfigurationError as error:
        rclpy.logging.get_logger(waiting[0].CONFIG.NODE_NAME).fatal(str(error))
        return 1
    finally:
        faulthandler.dump_traceback_later(_STOP_S)
        if apart is not None:
            apart.stop()
        for node in reversed(nodes):
            node.bring_down()
        executor.shutdown(timeout_sec=0.5)
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
        faulthandler.cancel_dump_traceback_later()


def _own_name(node_class: type[ManagedNode]) -> list[str]:
    """Return the arguments with which a further node keeps its name where the process was given one."""
    return ["--ros-args", "-r", f"__node:={node_class.CONFIG.NODE_NAME}"]


def _linger(nodes: list[ManagedNode], executor: Executor) -> None:
    """Go on until every node may end, for a bounded time."""
    deadline_s = time.monotonic() + _LINGER_S
    while time.monotonic() < deadline_s and not all(node.may_end for node in nodes):
        spin(executor, nodes[0])


def _care_for_control(nodes: list[ManagedNode]) -> None:
    """Prefer the process to others; raise the threads of one that only controls above those that compute a model."""
    configs = [node.config for node in nodes]
    nodes[0].get_logger().debug(prefer_process(min(config.nice for config in configs)))
    priorities = [config.realtime_priority for config in configs if isinstance(config, CommandConfig)]
    if priorities and len(priorities) == len(nodes):
        scheduling = raise_helper_threads(priorities[0])
        nodes[0].get_logger().debug(f"threads beside the control thread: {scheduling}")


def _leave(status: int) -> NoReturn:
    """End the process at once.

    The interpreter's own end would walk a model library's objects for seconds, abort where a model still
    computes or loads, and let libraries complain about objects that are still there.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _bring_up(nodes: list[ManagedNode], signals: _Signals) -> bool:
    """Bring every node up; return whether none refused."""
    signals.interrupts = True
    try:
        accepted = [signals.stopping.is_set() or node.bring_up() for node in nodes]
        return all(accepted)
    except _Stop:
        return True
    finally:
        signals.interrupts = False
