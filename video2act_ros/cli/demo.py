"""The command `video2act demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from video2act_ros.cli.options import (
    BundleOption,
    EpisodeSeedOption,
    EpisodesOption,
    NamespaceOption,
    RobotOption,
    TaskOption,
)
from video2act_ros.cli.output import console, two_columns
from video2act_ros.core.config import DEFAULT_BUNDLE, DEFAULT_ROBOT
from video2act_ros.ros import environment

if TYPE_CHECKING:
    from video2act_ros.nodes.demo_node import EpisodeResult

STARTED_S = time.monotonic()

FOLDER = Path("out/demo")


def demo_command(
    task: TaskOption = "lift",
    episodes: EpisodesOption = 5,
    seed: EpisodeSeedOption = 900_000,
    report: Annotated[Path, typer.Option(help="where the report goes")] = FOLDER / "report.json",
    video: Annotated[bool, typer.Option(help="film the first episode")] = True,
    bundle: BundleOption = DEFAULT_BUNDLE,
    robot: RobotOption = DEFAULT_ROBOT,
    namespace: NamespaceOption = "",
    record: Annotated[str, typer.Option(help="folder of a new bag of the whole run")] = "",
) -> None:
    """Run episodes on the simulated robot with both systems as processes, and report what was measured."""
    environment.prepare(may_restart=True)
    from video2act_ros.nodes.demo import DemoOptions, run_demo

    film = FOLDER / "episode.mp4" if video else None
    logs = FOLDER / "logs"
    options = DemoOptions(
        task, episodes, seed, report, film, bundle, robot, namespace, logs, STARTED_S, record
    )
    with console.status("starting the stack") as status:

        def progress(index: int, result: EpisodeResult | None) -> None:
            if result is None:
                status.update(f"episode {index + 1} of {episodes}, seed {seed + index}")
                return
            word = "[green]success[/]" if result.success else "[yellow]failure[/]"
            console.print(f"episode {index + 1}: seed {result.seed} {word} after {result.duration_s:.1f} s")

        content = run_demo(options, progress)
    console.print(_summary(content))
    written = {"report": report, "film": film, "bag": record, "node logs": logs}
    console.print(", ".join(f"{name} {path}" for name, path in written.items() if path))


def _summary(report: dict[str, Any]) -> Table:
    """Return the report as a table of one screen."""
    error = report["control_period_error_s"]
    ticks, missed = report["control_ticks"], report["missed_ticks"]
    rows = {
        "System 1": f"{report['system1_chunks_hz']:.1f} chunks/s",
        "System 2": f"{report['system2_updates_hz']:.1f} updates/s",
        "age of the observation in use": _percentiles(report["observation_age_s"]),
        "age of the latents in use": _percentiles(report["latent_age_s"]),
        "control ticks": f"{ticks}, {missed} missed ({100 * missed / max(ticks, 1):.2f} %)",
        "control period error": _percentiles(error) + f", max {1e3 * error['max']:.1f} ms",
        "scheduling": report["scheduling"],
        "first motion": f"{report['first_motion_s'] or float('nan'):.1f} s after the command",
        "real-time factor": f"{report['realtime_factor']:.3f}",
    }
    return two_columns(f"{report['successes']} of {report['episodes']} episodes succeeded", rows)


def _percentiles(values: dict[str, float]) -> str:
    return f"p50 {1e3 * values['p50']:.1f} ms, p99 {1e3 * values['p99']:.1f} ms"
