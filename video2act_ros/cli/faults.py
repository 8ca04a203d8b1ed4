"""The command `video2act faults`: break the running stack in every known way and see the arm stop."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from video2act_ros.cli.options import (
    DEVELOPMENT_SEED,
    BundleOption,
    NamespaceOption,
    ParamsFileOption,
    RobotOption,
    SceneSeedOption,
)
from video2act_ros.cli.output import console
from video2act_ros.core.config import DEFAULT_BUNDLE, DEFAULT_ROBOT
from video2act_ros.ros import environment

if TYPE_CHECKING:
    from video2act_ros.nodes.fault_trial import FaultResult
    from video2act_ros.nodes.faults import FaultOptions

FOLDER = Path("out/faults")


def faults_command(
    only: Annotated[list[str] | None, typer.Option(help="a fault's name; repeat for several")] = None,
    json_file: Annotated[Path, typer.Option("--json", help="where the list of results goes")] = FOLDER
    / "faults.json",
    markdown: Annotated[
        Path | None, typer.Option(help="file that gets the table too, between its markers")
    ] = None,
    bundle: BundleOption = DEFAULT_BUNDLE,
    robot: RobotOption = DEFAULT_ROBOT,
    namespace: NamespaceOption = "",
    seed: SceneSeedOption = DEVELOPMENT_SEED,
    params_file: ParamsFileOption = "",
    load: Annotated[int, typer.Option(help="busy processes beside the stack", min=0, max=64)] = 0,
    repeat: Annotated[
        int, typer.Option(help="sweeps in a row; the table shows each fault's worst", min=1)
    ] = 1,
) -> None:
    """Inject faults into the real processes while the simulated arm moves; exit with 1 if one is not borne.

    Each must stop the arm within its bound (or slow it down), within all limits, with a reason, and the
    stack must go on once the fault is over.
    """
    environment.prepare(
        may_restart=True, shared_memory=False
    )  # what becomes of that must not blind the judge
    from video2act_ros.nodes.faults import FaultOptions, worst_of, write_markdown

    options = FaultOptions(
        names=tuple(only or ()),
        bundle=bundle,
        robot=robot,
        namespace=namespace,
        task="lift",
        seed=seed,
        logs=FOLDER / "logs",
        params_file=params_file,
        load=load,
        repeat=repeat,
    )
    results = _run(options, json_file)
    worst, measured_on = worst_of(results), machine(load, repeat)
    if markdown is not None:
        write_markdown(markdown, worst, measured_on)
    console.print(_table(worst, measured_on))
    console.print(f"results {json_file}, node logs {options.logs}")
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def _run(options: FaultOptions, json_file: Path) -> list[FaultResult]:
    """Inject the faults; tell each result and write it at once, so that an interrupted run leaves what it has."""
    from video2act_ros.nodes.faults import choose_faults, run_faults, write_results

    total = len(choose_faults(options.names)) * options.repeat
    results: list[FaultResult] = []
    with console.status("starting the stack") as status:

        def progress(name: str, result: FaultResult | None) -> None:
            if result is None:
                status.update(f"{name}, {len(results) + 1} of {total}")
                return
            results.append(result)
            write_results(json_file, results)
            word = "[green]ok[/]" if result.passed else "[red]failed[/]"
            console.print(f"{name}: {result.outcome}, {word}: {result.reason_reported}", highlight=False)
            if result.detail:
                console.print(f"  {result.detail}", highlight=False)
            status.update("starting the next")

        run_faults(options, progress)
    return results


def machine(load: int = 0, repeat: int = 1) -> str:
    """Return what the figures were measured on: beside `load` busy processes of ours, in `repeat` sweeps."""
    text = f"{os.cpu_count()} CPU cores ({platform.machine()}), load {os.getloadavg()[1]:.1f}"
    text += f", {load} busy processes beside the stack" if load else ""
    return text + (f"; the worst of {repeat} sweeps" if repeat > 1 else "")


def _table(results: list[FaultResult], measured_on: str) -> Table:
    borne = f"{sum(result.passed for result in results)} of {len(results)} faults borne"
    table = Table(title=f"{borne} ({measured_on})")
    for heading in ("fault", "outcome", "stopped \\[s]", "bound \\[s]", "violations", "recovered"):
        table.add_column(heading, justify="right" if "[s]" in heading else "left")
    for result in results:
        stopped = "–" if result.stopped_within_s is None else f"{result.stopped_within_s:.2f}"
        table.add_row(
            result.name,
            result.outcome,
            stopped,
            f"{result.bound_s:.2f}",
            str(result.limit_violations),
            "yes" if result.recovered else "no",
            style="" if result.passed else "red",
        )
    return table
