"""Swaps bundles again and again while the simulated arm is driven, and measures what the arm notices."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_msgs.msg import String

from video2act_msgs.msg import RunState
from video2act_ros.bundles.manifest import read_manifest, write_manifest
from video2act_ros.core.model_swap import BundleStatus
from video2act_ros.core.types import NS_PER_S
from video2act_ros.core.whole_files import write_json
from video2act_ros.nodes.command_watch import CommandWatch
from video2act_ros.nodes.demo_node import DemoNode, StackFailure
from video2act_ros.nodes.sim_stack import simulated_stack
from video2act_ros.ros import environment, qos
from video2act_ros.ros.bundle_switch import SYSTEMS, bundle_status_topic
from video2act_ros.ros.convert import stamp_to_ns
from video2act_ros.ros.runner import StackRunner
from video2act_ros.ros.stack import SIM

STEP_S = 60.0
MISSED_LIMIT = 1e-3  # of all control ticks
MEMORY_POINTS = 10  # of the curve of resident memory


@dataclass(frozen=True, slots=True)
class SwapOptions:
    """What `video2act bench-swaps` was asked for."""

    bundle: str
    robot: str
    namespace: str
    task: str
    swaps: int
    pause_s: float
    seed: int
    report: Path


class SwapWatch:
    """Listens, through a DemoNode, to everything the benchmark judges: commands, run state, bundles."""

    def __init__(self, node: DemoNode, period_s: float) -> None:
        self._node = node
        self.bundles: dict[str, BundleStatus] = {}
        self.commands = CommandWatch(node, period_s)
        self.holds: list[float] = []  # durations [s]
        self._held_since_ns: int | None = None
        self.recording = False
        for system in SYSTEMS:
            node.create_subscription(String, bundle_status_topic(system), self._keeper(system), qos.LATCHED)
        node.create_subscription(RunState, "run_state", self._on_state, qos.LATCHED)
        self._clients = {
            system: node.create_client(SetParameters, f"{system}/set_parameters") for system in SYSTEMS
        }

    def set_bundle(self, system: str, bundle: Path) -> None:
        """Set the parameter; raise StackFailure when it is refused."""
        request = SetParameters.Request(
            parameters=[Parameter("bundle", value=str(bundle)).to_parameter_msg()]
        )
        result = self._node.call(self._clients[system], request).results[0]
        if not result.successful:
            raise StackFailure(f"{system} refused bundle {bundle}: {result.reason}")

    def _keeper(self, system: str) -> Callable[[String], None]:
        def keep(message: String) -> None:
            with self._node.changed:
                self.bundles[system] = BundleStatus.from_json(message.data)
                self._node.changed.notify_all()

        return keep

    def _on_state(self, message: RunState) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        if not self.recording or message.state == "engaged":
            if self._held_since_ns is not None:
                self.holds.append((stamp_ns - self._held_since_ns) / NS_PER_S)
            self._held_since_ns = None
        elif self._held_since_ns is None:
            self._held_since_ns = stamp_ns


def run_bench_swaps(options: SwapOptions, progress: Callable[[int], None]) -> dict[str, Any]:
    """Drive the simulated arm through swaps of System 1 and System 2 in turns; return and write the report.

    Args:
        progress: called with the number of swaps done.

    Raises:
        StackFailure: a process ended, a swap was refused or did not happen, or the arm was not driven on.
    """
    environment.prepare()
    first = environment.resolve_bundle(options.bundle).resolve()
    logs = options.report.parent / "logs"
    with tempfile.TemporaryDirectory() as folder:
        bundles = (first, copy_renamed(first, Path(folder) / first.name))
        both = {"system1_bundle": str(first), "system2_bundle": str(first), "bundle_folders": folder}
        with simulated_stack(options, logs, SIM, **both) as (stack, node):
            report = _measure(options, bundles, stack, node, progress)
    write_json(options.report, report)
    return report


def copy_renamed(bundle: Path, folder: Path) -> Path:
    """Copy a bundle under another name, so that it has another identity and the same features."""
    shutil.copytree(bundle, folder)
    manifest = read_manifest(folder)
    write_manifest(folder, manifest.model_copy(update={"name": f"{manifest.name}_copy"}))
    return folder


def _measure(
    options: SwapOptions,
    bundles: tuple[Path, Path],
    stack: StackRunner,
    node: DemoNode,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    node.wait_for(lambda: bool(node.command_metrics), STEP_S, "the command node's figures")
    watch = SwapWatch(node, node.command_metrics["period_s"])
    node.prepare(options.seed, STEP_S)
    node.engage(STEP_S)
    node.wait_for(lambda: _engaged(node), STEP_S, "the engaged arm")
    node.wait_for(lambda: len(watch.bundles) == len(SYSTEMS), STEP_S, "both systems' bundles")
    watch.recording = watch.commands.recording = True
    memory, before = [_memory(stack, 0)], node.state
    for index in range(options.swaps):
        system = SYSTEMS[index % len(SYSTEMS)]
        _swap(watch, node, stack, system, bundles[(index // len(SYSTEMS) + 1) % 2])
        node.reached(lambda: bool(stack.failed()), options.pause_s)  # drive on for a while
        progress(index + 1)
        if index + 1 in _memory_points(options.swaps):
            memory.append(_memory(stack, index + 1))
    after = node.state
    watch.recording = watch.commands.recording = False
    assert before is not None
    assert after is not None
    return _report(options, watch, (before, after), memory, node.command_metrics)


def _swap(watch: SwapWatch, node: DemoNode, stack: StackRunner, system: str, bundle: Path) -> None:
    """Swap one system's bundle, and wait until the arm is driven by it."""
    old, epoch = watch.bundles[system].bundle_id, node.state.epoch if node.state else 0
    watch.set_bundle(system, bundle)
    node.wait_for(
        lambda: bool(stack.failed()) or watch.bundles[system].bundle_id != old, STEP_S, f"{system}'s swap"
    )
    node.wait_for(
        lambda: node.state is not None and node.state.epoch > epoch and _engaged(node),
        STEP_S,
        f"the arm to go on after {system}'s swap",
    )


def _engaged(node: DemoNode) -> bool:
    return node.state is not None and node.state.state == "engaged"


def _report(
    options: SwapOptions,
    watch: SwapWatch,
    states: tuple[RunState, RunState],
    memory: list[dict[str, int]],
    metrics: dict[str, Any],
) -> dict[str, Any]:
    """Return the figures; durations in seconds, memory in bytes."""
    before, after = states
    ticks = after.control_ticks - before.control_ticks
    missed = after.missed_ticks - before.missed_ticks
    checks = tuple(watch.commands.checks.values())
    return {
        "swaps": options.swaps,
        "bundle": options.bundle,
        "control_ticks": ticks,
        "missed_ticks": missed,
        "missed_share": missed / max(ticks, 1),
        "scheduling": metrics["scheduling"],
        "control_period_error_s": metrics["control_period_error_s"],
        "commands_judged": watch.commands.commands,
        "commands_outside_limits": watch.commands.outside,
        "largest_velocity_share": max(check.largest_velocity for check in checks),
        "largest_acceleration_share": max(check.largest_acceleration for check in checks),
        "largest_jerk_share": max(check.largest_jerk for check in checks),
        "gaps_in_commands_seen": sum(check.gaps for check in checks),
        "holds": len(watch.holds),
        "longest_hold_s": max(watch.holds, default=0.0),
        "median_hold_s": float(np.median(watch.holds)) if watch.holds else 0.0,
        "memory": memory,
        "passed": bool(watch.commands.commands)
        and missed <= MISSED_LIMIT * ticks
        and not watch.commands.outside,
    }


def _memory_points(swaps: int) -> set[int]:
    """Return after how many swaps memory is read: once both systems have two models behind them, then evenly."""
    step = max(1, swaps // MEMORY_POINTS)
    return {2 * len(SYSTEMS), swaps, *range(step, swaps, step)}


def _memory(stack: StackRunner, swaps: int) -> dict[str, int]:
    """Return both systems' resident memory in bytes after so many swaps."""
    resident = {system: _resident_bytes(stack.pid(f"{system}_node")) for system in SYSTEMS}
    return {"swaps": swaps, **resident}


def _resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise StackFailure(f"process {pid} has ended")
