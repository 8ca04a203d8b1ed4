"""The command `video2act bench-control`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from video2act_ros.cli.options import DEVELOPMENT_SEED, BundleOption, NamespaceOption, TaskOption
from video2act_ros.cli.output import console
from video2act_ros.core.config import DEFAULT_BUNDLE, DEFAULT_ROBOT, CommandConfig
from video2act_ros.core.errors import ConfigurationError
from video2act_ros.ros import environment

if TYPE_CHECKING:
    from video2act_ros.nodes.bench_control import ControlBenchRow


def bench_control_command(
    rates: Annotated[str, typer.Option(help="control rates [Hz], separated by commas")] = "50,100,200",
    seconds: Annotated[float, typer.Option(min=1.0, help="driven time of each row [s]")] = 30.0,
    compare: Annotated[bool, typer.Option(help="also without SCHED_FIFO")] = True,
    report: Annotated[Path | None, typer.Option("--json", help="write the rows as JSON")] = None,
    bundle: BundleOption = DEFAULT_BUNDLE,
    robot: Annotated[str, typer.Option(help="a profile's file, or a name")] = DEFAULT_ROBOT,
    task: TaskOption = "lift",
    seed: Annotated[int, typer.Option(help="seed of the first episode")] = DEVELOPMENT_SEED,
    namespace: NamespaceOption = "",
    logs: Annotated[Path, typer.Option(help="where the nodes' logs go")] = Path("out/bench_control"),
) -> None:
    """Measure the control thread's period error while both models drive the simulated arm."""
    rates_hz = parse_rates(rates)
    environment.prepare(may_restart=True)
    from video2act_ros.nodes.bench_control import ControlBenchOptions, run_bench_control, write_rows

    priority = CommandConfig().realtime_priority
    priorities = (priority, 0) if compare else (priority,)
    options = ControlBenchOptions(rates_hz, priorities, seconds, bundle, robot, namespace, task, seed, logs)
    with console.status("starting the stack") as status:
        rows = run_bench_control(options, lambda text: status.update(text))
    console.print(_table(rows))
    if report is not None:
        write_rows(report, rows)
        console.print(f"report {report}")


def parse_rates(text: str) -> tuple[float, ...]:
    """Return the rates [Hz] of a list separated by commas.

    Raises:
        ConfigurationError: one is no number or outside the range of the parameter.
    """
    info = CommandConfig.parameters()["rate_hz"]
    try:
        rates_hz = tuple(float(item) for item in text.split(","))
    except ValueError as error:
        raise ConfigurationError(
            f"rates '{text}' is no list of numbers; write for example 50,100,200"
        ) from error
    for rate_hz in rates_hz:
        info.check("rate_hz", rate_hz)
    return rates_hz


def _table(rows: tuple[ControlBenchRow, ...]) -> Table:
    table = Table(
        title="control period error under both models' load", caption="limits: p99 1 ms, missed 0.1 %"
    )
    for name in (
        "rate",
        "scheduling",
        "ticks",
        "missed",
        "p50",
        "p99",
        "max",
        "System 1",
        "System 2",
        "stolen",
        "",
    ):
        table.add_column(name, justify="left" if name in ("scheduling", "") else "right")
    for row in rows:
        table.add_row(
            f"{row.rate_hz:g} Hz",
            row.scheduling,
            str(row.control_ticks),
            f"{row.missed_ticks} ({row.missed_share:.2%})",
            *(f"{1e3 * value:.3f} ms" for value in _errors_s(row)),
            f"{row.system1_chunks_hz:.1f} Hz",
            f"{row.system2_updates_hz:.1f} Hz",
            "-" if row.stolen_share is None else f"{row.stolen_share:.2%}",
            "[green]within[/]" if row.passed else "[yellow]outside[/]",
        )
    return table


def _errors_s(row: ControlBenchRow) -> tuple[float, float, float]:
    return row.period_error_p50_s, row.period_error_p99_s, row.period_error_max_s
