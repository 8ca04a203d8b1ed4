"""Runs a stack as plain processes, where `ros2 launch` is not installed: same nodes, same parameter files."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType

from video2act_ros.core.errors import ConfigurationError, unknown_choice
from video2act_ros.recording.writing.bag_records import CLOSE_S
from video2act_ros.ros import environment
from video2act_ros.ros.argument_values import check_values
from video2act_ros.ros.deployment import Deployment
from video2act_ros.ros.launch_arguments import check_arguments, check_new_bag
from video2act_ros.ros.node_names import check_names
from video2act_ros.ros.shared_memory import remove_dead_segments
from video2act_ros.ros.stack import MOCK_DRIVER, RECORDER, SIM_ROBOT, STACKS, NodeSpec
from video2act_ros.ros.stack_parameters import default_parameters, overrides, parameter_file

_STOP_S = 1.5  # for the nodes, while the simulated robot still runs
_KILL_S = 5.0  # then for what is left: leaving a transport beside killed processes can take seconds
_RECORDER_STOP_S = CLOSE_S + 2.0  # what waits must reach the disk
_LAST_LINES = 5

log = logging.getLogger("video2act")


class StackRunner:
    """Starts the processes of a stack, watches them and stops them. A context manager.

    Each node's output goes to `logs/<executable>.log`. The nodes are process groups of their own: Ctrl-C in a
    terminal reaches only this process, which tells them in order. Should this process die, they stop by
    themselves.
    """

    def __init__(self, specs: tuple[NodeSpec, ...], arguments: Mapping[str, str], logs: Path) -> None:
        check_arguments(specs, arguments)
        check_new_bag(arguments)
        check_values(specs, arguments)
        self._specs = specs
        self._arguments = dict(arguments)
        self._logs = logs
        self._parameters = logs / "parameters.yaml"
        self._processes: dict[NodeSpec, subprocess.Popen[bytes]] = {}
        self._watchers: list[threading.Condition] = []
        self._stopping = False

    def __enter__(self) -> StackRunner:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start every process.

        Raises:
            ConfigurationError: one of the nodes runs already in this domain and namespace.
        """
        machine = self._arguments.get("machine") or environment.machine()
        deployment = Deployment.of(self._specs, self._arguments | {"machine": machine})
        check_names(deployment.full_names, os.environ)
        remove_dead_segments()
        if (problem := environment.shared_memory_problem(machine)) is not None:
            log.warning("%s", problem)
        self._logs.mkdir(parents=True, exist_ok=True)
        self._parameters.write_text(parameter_file(overrides(self._specs, self._arguments)))
        for spec in deployment.processes:
            self._log_file(spec).unlink(missing_ok=True)
            self._spawn(spec)

    def restart(self, executable: str) -> None:
        """Start a process that has ended once more; its log goes on."""
        spec = next(spec for spec in self._processes if spec.executable == executable)
        self._processes[spec].wait(_KILL_S)
        self._spawn(spec)

    def _spawn(self, spec: NodeSpec) -> None:
        environ = os.environ | {environment.RUNNER_VARIABLE: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
        if machine := self._arguments.get("machine"):
            environ[environment.MACHINE_VARIABLE] = machine
        with self._log_file(spec).open("ab") as output:
            process = subprocess.Popen(
                self.command(spec, self._parameters),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ,
                start_new_session=True,
            )
        self._processes[spec] = process
        threading.Thread(target=self._wait, args=(spec, process), name=spec.executable, daemon=True).start()

    def command(self, spec: NodeSpec, parameters: Path) -> list[str]:
        """Return the command line of one node."""
        files = [str(default_parameters()), self._arguments.get("params_file", ""), str(parameters)]
        line = [sys.executable, "-m", spec.module, "--ros-args"]
        for file in filter(None, files):
            line += ["--params-file", file]
        if namespace := self._arguments.get("namespace", "").strip("/"):
            line += ["-r", f"__ns:=/{namespace}"]
        return [*line, "--log-level", self._arguments.get("log_level", "info")]

    def pid(self, executable: str) -> int:
        """Return the process id of one node."""
        return next(process.pid for spec, process in self._processes.items() if spec.executable == executable)

    def watch(self, condition: threading.Condition) -> None:
        """Notify `condition` whenever a process ends."""
        self._watchers.append(condition)

    def running(self) -> tuple[str, ...]:
        """Return the executables that run."""
        return tuple(spec.executable for spec, process in self._processes.items() if process.poll() is None)

    def statuses(self) -> dict[str, int | None]:
        """Return each executable's exit status; None while it runs."""
        return {spec.executable: process.poll() for spec, process in self._processes.items()}

    def failed(self) -> str | None:
        """Return what ended on its own, with the last lines it wrote, or None.

        The recorder does not count: the stack runs without it. Its end is told in the log.
        """
        for spec, process in self._processes.items():
            status = process.poll()
            if status is not None and not self._stopping and spec is not RECORDER:
                how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
                lines = self._log_file(spec).read_text(errors="replace").splitlines()[-_LAST_LINES:]
                return f"{spec.executable} {how}; the end of {self._log_file(spec)}:\n" + "\n".join(lines)
        return None

    def stop(self) -> None:
        """Stop every process; the robot's stand-in then, to see the arm brought to a hold, the recorder last."""
        self._stopping = True
        last = {SIM_ROBOT: _STOP_S, MOCK_DRIVER: _STOP_S, RECORDER: _RECORDER_STOP_S}
        _terminate([process for spec, process in self._processes.items() if spec not in last], _STOP_S)
        for spec, timeout_s in last.items():
            _terminate([process for other, process in self._processes.items() if other is spec], timeout_s)
        for process in self._processes.values():
            if not _ended(process, _KILL_S):
                log.warning("process %s did not stop and is killed", process.args)
                process.kill()
                process.wait()

    def _wait(self, spec: NodeSpec, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        if spec is RECORDER and not self._stopping:
            log.warning("the recorder ended with status %s; see %s", status, self._log_file(spec))
        for condition in self._watchers:
            with condition:
                condition.notify_all()

    def _log_file(self, spec: NodeSpec) -> Path:
        return self._logs / f"{spec.executable}.log"


def run_stack(stack: str, arguments: Mapping[str, str], logs: Path) -> int:
    """Run a stack by name until SIGINT or SIGTERM; return the exit status.

    A process that ends is reported while the others go on: without System 1 or 2 the arm holds.

    Raises:
        ConfigurationError: unknown stack or argument.
    """
    if stack not in STACKS:
        raise ConfigurationError(unknown_choice("stack", stack, STACKS))
    environment.prepare()
    changed, stopping = threading.Condition(), threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stopping.set()

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    status = 0
    try:
        with StackRunner(STACKS[stack], arguments, logs) as runner:
            runner.watch(changed)
            while not stopping.wait(0.2) and runner.running():
                if status == 0 and (failure := runner.failed()) is not None:
                    log.error("%s", failure)
                    status = 1
            if not stopping.is_set() and (failure := runner.failed()) is not None and status == 0:
                log.error("%s", failure)
                status = 1
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return status


def _terminate(group: list[subprocess.Popen[bytes]], timeout_s: float) -> None:
    """Ask processes to stop, and wait for all of them up to `timeout_s`."""
    for process in group:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    deadline_s = time.monotonic() + timeout_s
    for process in group:
        _ended(process, max(0.0, deadline_s - time.monotonic()))


def _ended(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True
