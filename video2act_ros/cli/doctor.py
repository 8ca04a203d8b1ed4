"""The command `video2act doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from video2act_ros.cli.output import console
from video2act_ros.core.errors import ConfigurationError, unknown_choice
from video2act_ros.core.whole_files import write_json
from video2act_ros.doctor.findings import Finding, Level
from video2act_ros.doctor.machine import Machine, ThisMachine
from video2act_ros.doctor.ros_checks import check_ros
from video2act_ros.doctor.timing_checks import check_timing
from video2act_ros.ros import environment

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


def doctor_command(
    report: Annotated[Path | None, typer.Option("--json", help="write the findings as JSON")] = None,
    robot: Annotated[
        list[str] | None,
        typer.Option(help="also check this robot profile: a file, or a name; may be repeated"),
    ] = None,
    part: Annotated[
        str,
        typer.Option("--machine", help="what this computer runs: all, robot or gpu_host; two need one time"),
    ] = "",
    models: Annotated[bool, typer.Option("--models", help="also import torch and tell its device")] = False,
) -> None:
    """Tell what this machine grants the stack; status 1 only when something keeps it from running."""
    with console.status("looking at this machine"):
        profiles = [environment.resolve_profile(name) for name in robot or ()]
        findings = list(diagnose(_this_machine(part), environment.share_path(), profiles, models=models))
    console.print(_table(findings))
    counts = {level: sum(item.level is level for item in findings) for level in Level}
    console.print(", ".join(f"{count} {level.value}" for level, count in counts.items()))
    if report is not None:
        write_json(report, {"findings": [asdict(item) | {"level": item.level.value} for item in findings]})
    raise typer.Exit(1 if counts[Level.PROBLEM] else 0)


def diagnose(
    machine: Machine, share: Path, profiles: Iterable[Path] = (), *, models: bool
) -> Iterator[Finding]:
    """Yield every finding; those that import heavy libraries come last.

    Args:
        machine: what to look at.
        share: the package's share folder.
        profiles: robot profiles to check beside those of the share folder.
        models: also import torch.
    """
    from video2act_ros.doctor.clock_checks import check_clock_synchronisation
    from video2act_ros.doctor.stack_checks import check_device, check_profile, check_stack

    yield from check_timing(machine)
    yield from check_ros(machine, share)
    yield check_clock_synchronisation(machine)
    yield from check_stack(machine, share)
    for path in profiles:
        yield from check_profile(path)
    if models:
        yield check_device()


def _this_machine(part: str) -> ThisMachine:
    """Return this machine, running that part of a stack; empty: what the environment says."""
    if part and part not in environment.MACHINES:
        raise ConfigurationError(unknown_choice("machine", part, environment.MACHINES))
    return ThisMachine({environment.MACHINE_VARIABLE: part} if part else {})


def _table(findings: list[Finding]) -> Table:
    table = Table("", "what", Column("found", overflow="fold"), Column("remedy", overflow="fold"))
    for item in findings:
        word = f"[{_COLOURS[item.level]}]{item.level.value}[/]"
        table.add_row(word, escape(item.topic), escape(item.text), escape(item.remedy))
    return table
