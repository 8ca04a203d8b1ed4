"""Measures the control thread's period error at several rates while both models and the simulation run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from video2act_ros.core.config import CommandConfig
from video2act_ros.core.whole_files import write_json
from video2act_ros.doctor.machine import ThisMachine
from video2act_ros.doctor.timing_checks import PROC_STAT, stolen_share
from video2act_ros.nodes.demo_node import DemoNode, StackFailure
from video2act_ros.nodes.sim_stack import simulated_stack
from video2act_ros.ros import environment
from video2act_ros.ros.runner import StackRunner
from video2act_ros.sim.tasks import get_task

STEP_S = 60.0
STARTUP_S = 15.0  # of one episode
REFUSALS = 3  # episodes of one run that may fail to begin
P99_LIMIT_S = 1e-3
MISSED_LIMIT = 1e-3  # of all control ticks


@dataclass(frozen=True, slots=True)
class ControlBenchOptions:
    """What `video2act bench-control` was asked for; episode i of each run uses seed `seed + i`."""

    rates_hz: tuple[float, ...]
    priorities: tuple[int, ...]  # SCHED_FIFO; 0 is the normal class
    seconds: float  # driven, for each row
    bundle: str
    robot: str
    namespace: str
    task: str
    seed: int
    folder: Path  # logs and parameter files go here


@dataclass(frozen=True, slots=True)
class ControlBenchRow:
    """One run: the period error is |time between two ticks - period| since the control thread's start."""

    rate_hz: float
    scheduling: str
    seconds: float
    control_ticks: int
    missed_ticks: int
    period_error_p50_s: float
    period_error_p99_s: float
    period_error_max_s: float
    system1_chunks_hz: float
    system2_updates_hz: float
    realtime_factor: float
    episodes: int
    stolen_share: float | None  # of all CPUs' time, by the host of a virtual machine

    @property
    def missed_share(self) -> float:
        """Missed deadlines as a share of all that were due."""
        return self.missed_ticks / max(self.control_ticks + self.missed_ticks, 1)

    @property
    def passed(self) -> bool:
        """Whether p99 and the missed share lie within the limits."""
        return self.period_error_p99_s < P99_LIMIT_S and self.missed_share <= MISSED_LIMIT


def run_bench_control(
    options: ControlBenchOptions, progress: Callable[[str], None]
) -> tuple[ControlBenchRow, ...]:
    """Run the simulated stack once for each rate and priority, rates in the outer loop.

    Args:
        progress: called with what is being run.

    Raises:
        StackFailure: a process ended or the stack stopped answering.
    """
    environment.prepare()
    rows = []
    for rate_hz in options.rates_hz:
        for priority in options.priorities:
            progress(f"{rate_hz:g} Hz, {f'SCHED_FIFO {priority}' if priority else 'normal class'}")
            rows.append(_run(options, rate_hz, priority))
    return tuple(rows)


def write_rows(path: Path, rows: tuple[ControlBenchRow, ...]) -> None:
    """Write the rows as JSON; durations are in seconds."""
    content = [asdict(row) | {"missed_share": row.missed_share, "passed": row.passed} for row in rows]
    write_json(path, {"p99_limit_s": P99_LIMIT_S, "missed_limit": MISSED_LIMIT, "rows": content})


def parameters_text(rate_hz: float, priority: int) -> str:
    """Return a ROS parameter file that sets the command node's rate and SCHED_FIFO priority."""
    values = {"rate_hz": float(rate_hz), "realtime_priority": priority}
    return yaml.safe_dump({f"/**/{CommandConfig.NODE_NAME}": {"ros__parameters": values}})


def _run(options: ControlBenchOptions, rate_hz: float, priority: int) -> ControlBenchRow:
    folder = options.folder / f"{rate_hz:g}hz_priority{priority}"
    folder.mkdir(parents=True, exist_ok=True)
    parameters = folder / "command.yaml"
    parameters.write_text(parameters_text(rate_hz, priority))
    time_limit_s = get_task(options.task).time_limit_s
    with simulated_stack(options, folder / "logs", params_file=str(parameters)) as (stack, node):
        _restart_control(node)
        return _drive(options, rate_hz, time_limit_s, stack, node)


def _restart_control(node: DemoNode) -> None:
    """Deactivate and activate the command node: its figures begin anew, without the loading of the others."""
    client = node.create_client(ChangeState, f"{CommandConfig.NODE_NAME}/change_state")
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        if not node.call(client, request, STEP_S).success:
            raise StackFailure("the command node refused to be restarted; see the node logs")


def _drive(
    options: ControlBenchOptions, rate_hz: float, time_limit_s: float, stack: StackRunner, node: DemoNode
) -> ControlBenchRow:
    """Run episode after episode for the given time, then read the command node's newest figures."""
    started_s, chunks, updates, episodes, refused = time.monotonic(), node.chunks, node.updates, 0, 0
    cpu_times = _cpu_times()
    while (left_s := options.seconds - (time.monotonic() - started_s)) > 0:
        if failure := stack.failed():
            raise StackFailure(failure)
        try:
            node.run_episode(options.seed + episodes, min(time_limit_s, left_s), STARTUP_S)
        except StackFailure:  # a busy machine may let a scene's first chunk come too late
            refused += 1
            if stack.failed() or refused > REFUSALS:
                raise
        episodes += 1
    elapsed_s = time.monotonic() - started_s
    before = node.command_metrics
    node.wait_for(lambda: node.command_metrics is not before, STEP_S, "the command node's figures")
    metrics = node.command_metrics
    error = metrics["control_period_error_s"]
    return ControlBenchRow(
        rate_hz=rate_hz,
        scheduling=metrics["scheduling"],
        seconds=round(elapsed_s, 1),
        control_ticks=metrics["control_ticks"],
        missed_ticks=metrics["missed_ticks"],
        period_error_p50_s=error["p50"],
        period_error_p99_s=error["p99"],
        period_error_max_s=error["max"],
        system1_chunks_hz=round((node.chunks - chunks) / elapsed_s, 2),
        system2_updates_hz=round((node.updates - updates) / elapsed_s, 2),
        realtime_factor=round(node.sim_metrics["realtime_factor"], 3),
        episodes=episodes,
        stolen_share=stolen_share(cpu_times, _cpu_times()),
    )


def _cpu_times() -> str | None:
    return ThisMachine().read(PROC_STAT)
