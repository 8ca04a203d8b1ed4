"""The command `video2act bench-onnx`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from video2act_ros.cli.output import console
from video2act_ros.ros import environment


def bench_onnx_command(
    bundle: Annotated[str, typer.Argument(help="a bundle's folder, or a name under models/")],
    repeats: Annotated[int, typer.Option(min=1, help="predictions of each backend and case")] = 200,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of both; 0 leaves their own choice")] = 1,
    providers: Annotated[str, typer.Option(help="onnxruntime's providers, best first")] = "CPU",
    device: Annotated[str, typer.Option(help="torch's device: cpu or cuda")] = "cpu",
) -> None:
    """Time System 1 of an exported bundle with torch and with onnxruntime, in turns."""
    from video2act_ros.bundles.bench_onnx import compare_backends

    comparison = compare_backends(environment.resolve_bundle(bundle), repeats, threads, providers, device)
    table = Table("case", "backend", "median", "p99", title=f"System 1, {repeats} predictions each")
    for times in sorted(comparison.times, key=lambda times: times.case):
        durations = f"{1e3 * times.median_s:.2f} ms", f"{1e3 * times.p99_s:.2f} ms"
        table.add_row(times.case, times.backend, *durations)
    console.print(table)
    console.print(f"largest difference of two chunks: {comparison.largest_difference:.1e}")
