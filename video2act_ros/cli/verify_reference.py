"""The command `video2act verify-reference`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from video2act_ros.core.whole_files import write_json

console = Console(width=120)  # whole reasons in a log, which has no width


def verify_reference_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder with manifest.json and its files")],
    report: Annotated[Path | None, typer.Option("--json", help="write the verdicts as JSON")] = None,
) -> None:
    """Run every file of a folder of reference values; exit status 1 if any fails."""
    import torch

    from video2act_ros.bundles.verify_reference import verify_folder

    torch.set_num_threads(1)  # as the values were made; several threads add in another order
    table = Table("file", "error of out.*", "error of mid.*", "tolerance", "")
    verdicts = []
    for verdict in verify_folder(folder):
        verdicts.append(verdict)
        outcome = "[green]pass[/]" if verdict.passed else f"[red]fail[/] {verdict.reason}"
        errors = (verdict.max_error_out, verdict.max_error_mid, verdict.tol)
        table.add_row(verdict.file.removesuffix(".safetensors"), *map(_number, errors), outcome)
    console.print(table)
    failed = sum(not verdict.passed for verdict in verdicts)
    console.print(f"{len(verdicts) - failed} of {len(verdicts)} files pass")
    if report is not None:
        content = [{key: _finite(value) for key, value in dataclasses.asdict(v).items()} for v in verdicts]
        write_json(report, content)
    raise typer.Exit(int(failed > 0))


def _number(error: float | None) -> str:
    return "-" if error is None else f"{error:.1e}" if error else "0"


def _finite(value: object) -> object:
    """Return infinity as text, which JSON has no number for."""
    return str(value) if value == float("inf") else value
