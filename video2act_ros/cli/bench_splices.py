"""The command `video2act bench-splices`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

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


def bench_splices_command(
    bundle: BundleOption = DEFAULT_BUNDLE,
    task: TaskOption = "lift",
    episodes: EpisodesOption = 50,
    seed: EpisodeSeedOption = DEVELOPMENT_SEED,
    report: Annotated[Path, typer.Option("--json", help="where the report goes")] = Path(
        "out/bench_splices.json"
    ),
    robot: RobotOption = DEFAULT_ROBOT,
) -> None:
    """Compare jerk, reaction and success of the splice modes with blocking, open-loop execution, in lock-step."""
    from video2act_ros.training.runs import compare_run

    content = compare_run(
        environment.resolve_bundle(bundle), task, episodes, seed, environment.resolve_profile(robot)
    )
    write_json(report, content)
    console.print(_table(content["ways"], task))
    console.print(f"report {report}")


def _table(ways: list[dict[str, Any]], task: str) -> Table:
    headings = ("way", "success", "peak jerk", "RMS jerk", "measured peak", "reaction")
    table = Table(*headings, title=f"{task}, medians")
    for row in ways:
        jerks = (row[name]["median"] for name in ("peak_jerk", "rms_jerk", "measured_peak_jerk"))
        table.add_row(
            row["way"],
            f"{row['successes']} of {row['episodes']}",
            *(f"{value:.0f} rad/s³" for value in jerks),
            f"{row['reaction_median_s']['median']:.2f} s",
        )
    return table
