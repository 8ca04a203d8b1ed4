"""The command `video2act eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from video2act_ros.cli.options import (
    DEVELOPMENT_SEED,
    BundleOption,
    EpisodeSeedOption,
    EpisodesOption,
    RobotOption,
    TaskOption,
)
from video2act_ros.cli.output import console
from video2act_ros.core.config import DEFAULT_BUNDLE, DEFAULT_ROBOT
from video2act_ros.core.whole_files import write_json
from video2act_ros.ros import environment


def evaluate_command(
    bundle: BundleOption = DEFAULT_BUNDLE,
    task: TaskOption = "lift",
    episodes: EpisodesOption = 100,
    seed: EpisodeSeedOption = DEVELOPMENT_SEED,
    report: Annotated[Path | None, typer.Option(help="write the outcomes as JSON")] = None,
    blind: Annotated[bool, typer.Option(help="replace the video latents by zeros")] = False,
    chunk_period: Annotated[float, typer.Option(help="time between two chunks [s]")] = 0.24,
    splice: Annotated[str, typer.Option(help="replace, blend, ensemble or rtc")] = "ensemble",
    average_decay: Annotated[
        float, typer.Option(help="weight of each older chunk in splice mode ensemble")
    ] = 0.8,
    robot: RobotOption = DEFAULT_ROBOT,
) -> None:
    """Evaluate a bundle in lock-step with the simulation: fixed latencies, no wall clock, no ROS."""
    from video2act_ros.training.evaluate import Timing
    from video2act_ros.training.runs import evaluate_run

    timing = Timing(system1_period_s=chunk_period, splice=splice, average_decay=average_decay, blind=blind)
    outcomes = evaluate_run(
        environment.resolve_bundle(bundle), task, episodes, seed, environment.resolve_profile(robot), timing
    )
    failed = [outcome.seed for outcome in outcomes if not outcome.success]
    successes = len(outcomes) - len(failed)
    console.print(f"{successes} of {len(outcomes)} succeeded; failed seeds: {failed or 'none'}")
    if report is not None:
        write_json(report, {"episodes": len(outcomes), "successes": successes, "failed_seeds": failed})
