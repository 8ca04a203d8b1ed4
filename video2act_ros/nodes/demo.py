"""The demonstration: starts the stack with the simulated robot, runs episodes, reports and films them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from video2act_ros.core.whole_files import write_json
from video2act_ros.nodes.demo_node import DemoNode, EpisodeResult, Recording, StackFailure
from video2act_ros.nodes.sim_stack import simulated_stack
from video2act_ros.recording.writing.bag_writer import check_new_folder
from video2act_ros.ros import environment
from video2act_ros.ros.runner import StackRunner
from video2act_ros.sim.tasks import get_task


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


def run_demo(options: DemoOptions, progress: Callable[[int, EpisodeResult | None], None]) -> dict[str, Any]:
    """Run the whole demonstration and return the report, which is also written to `options.report`.

    Args:
        progress: called as (episode index, None) before and (episode index, result) after each episode.

    Raises:
        StackFailure: a process ended or the stack stopped answering.
    """
    environment.prepare()
    time_limit_s = get_task(options.task).time_limit_s
    if options.record:
        check_new_folder(Path(options.record))
    with simulated_stack(options, options.logs, record=options.record) as (stack, node):
        return _run_episodes(options, time_limit_s, stack, node, progress)


def _run_episodes(
    options: DemoOptions,
    time_limit_s: float,
    stack: StackRunner,
    node: DemoNode,
    progress: Callable[[int, EpisodeResult | None], None],
) -> dict[str, Any]:
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
    write_json(options.report, report)
    if recording is not None and options.film is not None:
        from video2act_ros.nodes.demo_film import (
            film_episode,  # loads the model library: once the robot is done
        )

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
