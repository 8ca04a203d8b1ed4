"""Injects faults into the real processes of a stack with the simulated robot, one after the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from video2act_ros.core.errors import ConfigurationError, unknown_choice
from video2act_ros.core.priority import run_at_once
from video2act_ros.core.whole_files import write_json
from video2act_ros.nodes.demo_node import StackFailure
from video2act_ros.nodes.fault_bench import JUDGE_PRIORITY, Bench
from video2act_ros.nodes.fault_catalogue import FAULTS, NAMES, Fault
from video2act_ros.nodes.fault_trial import NO_REACTION, FaultResult, run_trial
from video2act_ros.nodes.fault_watch import FaultWatch
from video2act_ros.nodes.sim_stack import simulated_stack
from video2act_ros.ros import environment
from video2act_ros.ros.stack import COMMAND, SIM

FAULTY = "faulty_command_node"  # the command node, with what makes it go wrong
STEP_S = 60.0
UNSTEPPED_S = 15.0  # simulated time before a clock may step back by 10 s
_BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"  # not longer than this process
TABLE_BEGIN, TABLE_END = "<!-- faults: begin -->", "<!-- faults: end -->"


@dataclass(frozen=True, slots=True)
class FaultOptions:
    """What `video2act faults` was asked for; no `names` means every fault."""

    names: tuple[str, ...]
    bundle: str
    robot: str
    namespace: str
    task: str
    seed: int
    logs: Path
    params_file: str = ""
    load: int = 0
    """Busy processes that run beside the stack."""
    repeat: int = 1
    """Sweeps in a row."""


def choose_faults(names: tuple[str, ...]) -> tuple[Fault, ...]:
    """Return the named faults, in the catalogue's order; all of them for no name.

    Raises:
        ConfigurationError: a name is unknown; lists the known ones.
    """
    for name in names:
        if name not in NAMES:
            raise ConfigurationError(unknown_choice("fault", name, NAMES))
    return tuple(fault for fault in FAULTS if not names or fault.name in names)


def run_faults(
    options: FaultOptions, progress: Callable[[str, FaultResult | None], None]
) -> list[FaultResult]:
    """Run one trial per fault and sweep; trials share a stack as long as it recovers from them.

    Args:
        progress: called as (name, None) before and (name, result) after each trial.

    Raises:
        StackFailure: a stack did not come up.
        ConfigurationError: an option is wrong.
    """
    with busy_processes(options.load):
        return [result for _ in range(options.repeat) for result in _sweep(options, progress)]


def _sweep(options: FaultOptions, progress: Callable[[str, FaultResult | None], None]) -> list[FaultResult]:
    faults = choose_faults(options.names)
    results = []
    for sim_time in (False, True):
        waiting = [fault for fault in faults if fault.sim_time == sim_time]
        while waiting:
            with open_bench(options, sim_time=sim_time) as bench:
                intact = True
                while waiting and intact:
                    fault = waiting.pop(0)
                    progress(fault.name, None)
                    results.append(judge_fault(fault, bench, options.seed))
                    progress(fault.name, results[-1])
                    intact = results[-1].recovered and not fault.operated
    return results


@contextmanager
def busy_processes(count: int) -> Iterator[tuple[int, ...]]:
    """Keep so many processes busy meanwhile, each in a session of its own; yield their ids."""
    processes = [
        subprocess.Popen([sys.executable, "-c", _BUSY], stdin=subprocess.DEVNULL, start_new_session=True)
        for _ in range(count)
    ]
    try:
        yield tuple(process.pid for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def worst_of(results: list[FaultResult]) -> list[FaultResult]:
    """Return one result per fault, in the order of their first ones: one that was not borne, else the slowest."""

    def badness(result: FaultResult) -> tuple[bool, float]:
        return not result.passed, result.stopped_within_s or 0.0

    by_name: dict[str, list[FaultResult]] = {}
    for result in results:
        by_name.setdefault(result.name, []).append(result)
    return [max(group, key=badness) for group in by_name.values()]


def judge_fault(fault: Fault, bench: Bench, seed: int) -> FaultResult:
    """Run a trial; one in which the stack fails is a result too."""
    try:
        return run_trial(fault, bench, seed)
    except StackFailure as error:
        violations, bound_s = bench.watch.violations, round(fault.bound_s(bench.node.profile), 3)
        reason = f"the trial failed: {bench.stack.failed() or error}"
        return FaultResult(fault.name, NO_REACTION, None, bound_s, violations, reason, recovered=False)


@contextmanager
def open_bench(options: FaultOptions, *, sim_time: bool) -> Iterator[Bench]:
    """Start the simulated stack and what listens to it; stop both at the end."""
    environment.prepare(shared_memory=False)  # what becomes of that must not blind the judge
    arguments = {"use_sim_time": str(sim_time).lower(), "params_file": options.params_file}
    specs = tuple(replace(spec, program=FAULTY) if spec is COMMAND else spec for spec in SIM)
    with simulated_stack(options, options.logs, specs, **arguments) as (runner, node):
        node.wait_for(lambda: bool(node.command_metrics), STEP_S, "the command node's figures")
        if sim_time:
            node.wait_for(
                lambda: node.state is not None and node.state.header.stamp.sec >= UNSTEPPED_S,
                STEP_S,
                f"{UNSTEPPED_S:g} s of simulated time",
            )
        node.get_logger().debug(run_at_once(JUDGE_PRIORITY))
        yield Bench(runner, node, FaultWatch(node, node.command_metrics["period_s"]))


def write_results(path: Path, results: list[FaultResult]) -> None:
    """Write a list with one object per fault."""
    entries = [asdict(result) for result in results]
    for entry in entries:
        del entry["detail"]
    write_json(path, entries)


def write_markdown(path: Path, results: list[FaultResult], machine: str) -> None:
    """Write the table between the markers of `path`, or as a new file.

    Raises:
        ConfigurationError: the file exists and lacks the markers.
    """
    table = f"{TABLE_BEGIN}\n{markdown_table(results, machine)}\n{TABLE_END}"
    text = path.read_text() if path.is_file() else f"{TABLE_BEGIN}{TABLE_END}\n"
    before, begin, rest = text.partition(TABLE_BEGIN)
    _, end, after = rest.partition(TABLE_END)
    if not (begin and end):
        raise ConfigurationError(f"{path} has no lines '{TABLE_BEGIN}' and '{TABLE_END}' to write between")
    path.write_text(before + table + after)


def markdown_table(results: list[FaultResult], machine: str) -> str:
    """Return the results as a Markdown table."""
    whats = {fault.name: fault.what for fault in FAULTS}
    lines = [
        f"Measured on {machine}.",
        "",
        "| Fault | What happens | Outcome | Stopped within | Bound | Violations | Recovered | Reason reported |",
        "|---|---|---|---:|---:|---:|---|---|",
    ]
    for result in results:
        stopped = "–" if result.stopped_within_s is None else f"{result.stopped_within_s:.2f} s"
        reason = result.reason_reported.replace("\n", " ").replace("|", "\\|")
        cells = (
            f"`{result.name}`",
            whats[result.name],
            result.outcome.replace("_", " "),
            stopped,
            f"{result.bound_s:.2f} s",
            str(result.limit_violations),
            "yes" if result.recovered else "**no**",
            reason,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
