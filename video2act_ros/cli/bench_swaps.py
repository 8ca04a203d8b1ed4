"""The command `video2act bench-swaps`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from video2act_ros.cli.options import (
    DEVELOPMENT_SEED,
    BundleOption,
    NamespaceOption,
    RobotOption,
    SceneSeedOption,
    TaskOption,
)
from video2act_ros.cli.output import console
from video2act_ros.core.config import DEFAULT_BUNDLE, DEFAULT_ROBOT
from video2act_ros.ros import environment


def bench_swaps_command(
    bundle: BundleOption = DEFAULT_BUNDLE,
    swaps: Annotated[int, typer.Option(min=1, help="how many; System 1 and System 2 in turns")] = 50,
    task: TaskOption = "lift",
    robot: RobotOption = DEFAULT_ROBOT,
    pause: Annotated[float, typer.Option(min=0.0, help="driving between two swaps [s]")] = 2.0,
    seed: SceneSeedOption = DEVELOPMENT_SEED,
    report: Annotated[Path, typer.Option(help="where the report goes")] = Path("out/bench_swaps/report.json"),
    namespace: NamespaceOption = "",
) -> None:
    """Swap bundles while the simulated arm is driven; measure missed ticks, holds, limits and memory."""
    environment.prepare(may_restart=True)
    from video2act_ros.nodes.bench_swaps import SwapOptions, run_bench_swaps

    options = SwapOptions(bundle, robot, namespace, task, swaps, pause, seed, report)
    with console.status("starting the stack") as status:
        content = run_bench_swaps(options, lambda done: status.update(f"{done} of {swaps} swaps"))
    console.print_json(data=content)
    console.print(f"report {report}, node logs {report.parent / 'logs'}")
