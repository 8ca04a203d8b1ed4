"""The command `video2act bench-controllers`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from video2act_ros.cli.options import DEVELOPMENT_SEED
from video2act_ros.cli.output import console
from video2act_ros.core.errors import ConfigurationError, unknown_choice
from video2act_ros.ros import environment

if TYPE_CHECKING:
    from video2act_ros.nodes.bench_controllers import PhaseRow
    from video2act_ros.sim.trajectory_controller import StartFrom

STARTS = ("measured", "desired")
OUTPUTS = ("joint_trajectory", "forward_position", "joint_state")


def bench_controllers_command(
    robots: Annotated[
        list[str] | None, typer.Argument(help="profiles' files or names; all shipped ones without")
    ] = None,
    rates: Annotated[str, typer.Option(help="controllers' rates [Hz], separated by commas")] = "200,500",
    starts: Annotated[str, typer.Option(help="what new trajectories start from")] = "measured,desired",
    lags: Annotated[str, typer.Option(help="of the joints behind their controllers [ms]")] = "0,10,50",
    late: Annotated[str, typer.Option(help="messages arrive later by up to [ms]")] = "0,40",
    outputs: Annotated[str, typer.Option(help="take every command output to be of this type")] = "",
    splice: Annotated[bool, typer.Option(help="controllers that splice at the stamp")] = False,
    seed: Annotated[int, typer.Option(help="of motions and delays")] = DEVELOPMENT_SEED,
    everything: Annotated[bool, typer.Option("--all", help="show every row, not each phase's worst")] = False,
    report: Annotated[Path | None, typer.Option("--json", help="write the rows as JSON")] = None,
) -> None:
    """Measure what controllers make of our commands, in explicit time: their output against the profile's limits."""
    environment.prepare(may_restart=True)
    from video2act_ros.core.robot_profile import load_robot_profile
    from video2act_ros.nodes import bench_controllers as bench

    options = bench.ControllerBenchOptions(
        rates_hz=parse_numbers("rates", rates, least=1.0),
        starts=parse_starts(starts),
        lags_s=tuple(lag / 1e3 for lag in parse_numbers("lags", lags)),
        lates_s=tuple(delay / 1e3 for delay in parse_numbers("late", late)),
        seed=seed,
        splice_at_stamp=splice,
    )
    profiles = [
        bench.with_outputs(load_robot_profile(path), parse_output(outputs)) for path in _paths(robots)
    ]
    with console.status("starting") as status:
        rows = bench.run_bench_controllers(profiles, options, lambda text: status.update(text))
    console.print(_table(rows if everything else worst(rows)))
    if report is not None:
        bench.write_rows(report, rows, options)
        console.print(f"report {report}")


def parse_numbers(name: str, text: str, least: float = 0.0) -> tuple[float, ...]:
    """Return the numbers of a list separated by commas.

    Raises:
        ConfigurationError: one is no finite number, or below `least`.
    """
    try:
        values = tuple(float(item) for item in text.split(","))
    except ValueError as error:
        raise ConfigurationError(f"{name} '{text}' is no list of numbers; write for example 10,50") from error
    if not all(least <= value < float("inf") for value in values):
        raise ConfigurationError(f"{name} '{text}': every number must be at least {least:g} and finite")
    return values


def parse_starts(text: str) -> tuple[StartFrom, ...]:
    """Return what trajectories start from, of a list separated by commas.

    Raises:
        ConfigurationError: one is not known.
    """
    starts: list[StartFrom] = []
    for item in text.split(","):
        if (start := item.strip()) not in STARTS:
            raise ConfigurationError(unknown_choice("start", start, STARTS))
        starts.append(start)  # type: ignore[arg-type]  # it is one of them
    return tuple(starts)


def parse_output(text: str) -> str:
    """Return the type of command outputs, or nothing.

    Raises:
        ConfigurationError: it is not known.
    """
    if text and text not in OUTPUTS:
        raise ConfigurationError(unknown_choice("type of command outputs", text, OUTPUTS))
    return text


def _paths(robots: Sequence[str] | None) -> list[Path]:
    """Return the files of the profiles that were asked for, or of all that come with the package."""
    if robots:
        return [environment.resolve_profile(name) for name in robots]
    return sorted((environment.share_path() / "config" / "robots").glob("*.yaml"))


def worst(rows: Sequence[PhaseRow]) -> list[PhaseRow]:
    """Return, for each robot, type of output, lateness and phase, the row with the largest acceleration."""
    found: dict[tuple[object, ...], PhaseRow] = {}
    for row in rows:
        key = (row.profile, row.output, row.setup.late_s, row.phase)
        if key not in found or row.acceleration > found[key].acceleration:
            found[key] = row
    return list(found.values())


def _table(rows: Sequence[PhaseRow]) -> Table:
    table = Table(
        title="largest speed and acceleration of the controllers' output, as shares of the profile's limits",
        caption="limit 1.1 for joint_trajectory; the other outputs step from one set-point to the next",
    )
    for name in ("robot", "rate", "from", "lag", "late", "phase", "speed", "accel.", "refused", ""):
        table.add_column(name, justify="left" if name in ("robot", "from", "phase", "") else "right")
    for row in rows:
        setup = row.setup
        table.add_row(
            row.profile,
            f"{setup.rate_hz:g} Hz",
            setup.start_from if row.judged else "-",
            f"{1e3 * setup.lag_s:g} ms",
            f"{1e3 * setup.late_s:g} ms",
            row.phase,
            f"{row.speed:.2f}",
            f"{row.acceleration:.2f}",
            str(row.refused),
            _judgement(row),
        )
    return table


def _judgement(row: PhaseRow) -> str:
    if not row.judged:
        return row.output
    return "[green]within[/]" if row.within else "[yellow]outside[/]"
