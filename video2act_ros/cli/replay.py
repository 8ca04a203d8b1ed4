"""The command `video2act replay`: a bag through the live nodes, or computed again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from video2act_ros.cli.options import BagArgument, RecordedNamespaceOption, RecordedRobotOption, StrictOption
from video2act_ros.cli.output import console, print_skipped, two_columns
from video2act_ros.cli.replay_exact import ExactArguments, exact_replay
from video2act_ros.core.config import DEFAULT_BUNDLE, DEFAULT_ROBOT
from video2act_ros.core.errors import ConfigurationError
from video2act_ros.ros import environment

FOLDER = Path("out/replay")


def replay_command(
    bag: BagArgument,
    exact: Annotated[
        bool, typer.Option("--exact", help="compute every chunk and latent again, offline")
    ] = False,
    report: Annotated[Path | None, typer.Option("--json", help="where the report goes")] = None,
    rate: Annotated[float, typer.Option(min=0.0, help="speed; 0: as fast as possible")] = 1.0,
    start: Annotated[float, typer.Option(min=0.0, help="begin so many seconds after the bag's begin")] = 0.0,
    duration: Annotated[float, typer.Option(min=0.0, help="seconds of the bag; 0: to its end")] = 0.0,
    loop: Annotated[bool, typer.Option("--loop", help="begin again at the end, until Ctrl-C")] = False,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="also publish recorded chunks and latents, on recorded/…")
    ] = False,
    system1_bundle: Annotated[str, typer.Option(help="System 1's; with --exact found by itself")] = "",
    system2_bundle: Annotated[str, typer.Option(help="System 2's; with --exact found by itself")] = "",
    instruction: Annotated[str, typer.Option(help="what to do; empty: the bundle's first")] = "",
    robot: RecordedRobotOption = DEFAULT_ROBOT,
    namespace: RecordedNamespaceOption = "",
    live_namespace: Annotated[str, typer.Option(help="of the live nodes and their topics")] = "",
    params_file: Annotated[str, typer.Option(help="YAML file of the live nodes' parameters")] = "",
    logs: Annotated[Path, typer.Option(help="where the live nodes' logs go")] = FOLDER / "logs",
    threads: Annotated[
        int | None, typer.Option(min=0, help="--exact: CPU threads; as recorded, else 1, by default")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="--exact: take a bag whose clock jumped nevertheless")
    ] = False,
    strict: StrictOption = False,
) -> None:
    """Replay a bag through the live nodes, which move no arm; with --exact compare bit by bit what they computed."""
    if exact:
        words = ExactArguments(robot, namespace, system1_bundle, system2_bundle, threads, partial, strict)
        raise typer.Exit(exact_replay(bag, report, words))
    if strict:
        raise ConfigurationError(
            "--strict goes with --exact; a live replay skips such messages and tells them"
        )
    environment.prepare(may_restart=True)
    from video2act_ros.nodes.replay import run_replay

    arguments = {
        "bag": str(bag.expanduser().resolve()),
        "rate": str(rate),
        "start": str(start),
        "duration": str(duration),
        "loop": str(loop).lower(),
        "recorded": str(recorded).lower(),
        "recorded_namespace": namespace,
        "namespace": live_namespace,
        "robot": robot,
        "system1_bundle": system1_bundle or DEFAULT_BUNDLE,
        "system2_bundle": system2_bundle or system1_bundle or DEFAULT_BUNDLE,
        "instruction": instruction,
        "params_file": params_file,
    }
    file = report or FOLDER / "report.json"
    with console.status(f"replaying {bag}"):
        content = run_replay({key: value for key, value in arguments.items() if value}, file, logs)
    console.print(_summary(content))
    print_skipped(content["unusable"])
    console.print(f"report {file}, node logs {logs}")


def _summary(report: dict[str, Any]) -> Table:
    rows = {name: f"{count} messages" for name, count in report["messages"].items()}
    delays = (f"{name} {1e3 * report[f'delay_{name}_s']:.2f} ms" for name in ("p50", "p99", "max"))
    rows |= {
        "publish timing error": ", ".join(delays),
        "not sent, left out": f"{report['unsent']}, {report['skipped']}",
        "episodes": str(report["episodes"]),
        "System 1, live": f"{report['chunks']} chunks",
        "System 2, live": f"{report['updates']} updates",
    }
    title = f"{report['recorded_s']:.1f} s replayed at {report['speed']:.2f} × real time"
    return two_columns(title, rows)
