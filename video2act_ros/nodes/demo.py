"""The demonstration: starts the stack with the simulated robot, runs episodes, reports and films them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import rclpy
from rclpy.experimental.events_executor import EventsExecutor

from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.nodes.demo_node import DemoNode, EpisodeResult, Recording, StackFailure
from video2act_ros.recording.writing.bag_writer import check_new_folder
from video2act_ros.ros import environment
from video2act_ros.ros.runner import StackRunner
from video2act_ros.ros.stack import SIM
from video2act_ros.sim.tasks import get_task

STARTUP_LIMIT_S = 120.0  # cold imports on a loaded two-core machine


class StackAddress(Protocol):
    """Where a client finds a stack, and what its robot is."""

    @property
    def robot(self) -> str:
        """Robot profile: a name or a file."""

    @property
    def namespace(self) -> str:
        """Namespace of the stack."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What `video2act demo` was asked for; episode i uses seed `seed + i`."""

    task: str
    episodes: int
    seed: int
    report: Path
    film: Path | None
    bundle: str
    robot: str
    namespace: str
    logs: Path
    started_s: float  # monotonic, when the command was given
    record: str = ""  # folder of a new bag; empty: none


@contextmanager
def spinning_node(options: StackAddress) -> Iterator[DemoNode]:
    """Yield a DemoNode whose executor spins in another thread, in a ROS context of its own."""
    context = rclpy.Context()
    rclpy.init(context=context)
    profile = load_robot_profile(environment.resolve_profile(options.robot))
    node = DemoNode(profile, context=context, namespace=options.namespace)
    executor = EventsExecutor(context=context)
    executor.add_node(node)
    stopping = threading.Event()

    def spin() -> None:
        while not stopping.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin, name="demo_executor")
    thread.start()
    try:
        yield node
    finally:
        stopping.set()
        thread.join()
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


def run_demo(options: DemoOptions, progress: Callable[[int, EpisodeResult | None], None]) -> dict[str, Any]:
    """Run the whole demonstration and return the report, which is also written to `options.report`.

    Args:
        progress: called as (episode index, None) before and (episode index, result) after each episode.

    Raises:
        StackFailure: a process ended or the stack stopped answering.
    """
    environment.prepare()
    task = get_task(options.task)
    arguments = {
        "namespace": options.namespace,
        "robot": options.robot,
        "system1_bundle": options.bundle,
        "system2_bundle": options.bundle,
        "instruction": task.instruction,
        "task": options.task,
        "record": options.record,
    }
    if options.record:
        check_new_folder(Path(options.record))
    with StackRunner(SIM, arguments, options.logs) as stack, spinning_node(options) as node:
        return _run_episodes(options, task.time_limit_s, stack, node, progress)


def _run_episodes(
    options: DemoOptions,
    time_limit_s: float,
    stack: StackRunner,
    node: DemoNode,
    progress: Callable[[int, EpisodeResult | None], None],
) -> dict[str, Any]:
    stack.watch(node.changed)
    node.wait_for(lambda: bool(stack.failed()) or node.chunks > 0, STARTUP_LIMIT_S, "System 1's first chunk")
    results: list[EpisodeResult] = []
    recording: Recording | None = None
    started, chunks, updates = time.monotonic(), node.chunks, node.updates
    for index in range(options.episodes):
        if failure := stack.failed():
            raise StackFailure(failure)
        progress(index, None)
        if index == 0 and options.film is not None:
            recording = node.start_recording()
        results.append(node.run_episode(options.seed + index, time_limit_s))
        node.stop_recording()
        progress(index, results[-1])
    elapsed_s = time.monotonic() - started
    rates = ((node.chunks - chunks) / elapsed_s, (node.updates - updates) / elapsed_s)
    report = make_report(options, results, rates, node)
    write_report(options.report, report)
    if recording is not None and options.film is not None:
        from video2act_ros.nodes.demo_film import (
            film_episode,
        )  # needs the model library, once the robot is done

        film_episode(recording, results[0], options.task, options.bundle, options.film)
    return report


def make_report(
    options: DemoOptions, results: list[EpisodeResult], rates: tuple[float, float], node: DemoNode
) -> dict[str, Any]:
    """Return the report's content; every duration is in seconds."""
    command, sim = node.command_metrics, node.sim_metrics
    return {
        "task": options.task,
        "bundle": options.bundle,
        "seed": options.seed,
        "episodes": len(results),
        "successes": sum(result.success for result in results),
        "system1_chunks_hz": round(rates[0], 3),
        "system2_updates_hz": round(rates[1], 3),
        "latent_age_s": command["latent_age_s"],
        "observation_age_s": command["observation_age_s"],
        "control_ticks": command["control_ticks"],
        "control_period_error_s": command["control_period_error_s"],
        "missed_ticks": command["missed_ticks"],
        "scheduling": command["scheduling"],
        "realtime_factor": sim["realtime_factor"],
        "first_motion_s": None if node.first_motion_s is None else node.first_motion_s - options.started_s,
        "results": [asdict(result) for result in results],
    }


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write the report as JSON; the file appears only once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    temporary.write_text(json.dumps(report, indent=2) + "\n")
    temporary.replace(path)
