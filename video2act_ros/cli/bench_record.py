"""The command `video2act bench-record`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from video2act_ros.cli.options import ImagesOption, QualityOption
from video2act_ros.cli.output import console, two_columns
from video2act_ros.core.whole_files import write_json
from video2act_ros.ros import environment


def bench_record_command(
    seconds: Annotated[float, typer.Option(min=1.0, help="how long")] = 60.0,
    images: ImagesOption = "raw",
    jpeg_quality: QualityOption = 90,
    cameras: Annotated[int, typer.Option(min=1, help="how many")] = 3,
    rate: Annotated[float, typer.Option(help="of each camera [Hz]")] = 30.0,
    width: Annotated[int, typer.Option(help="of the images [px]")] = 640,
    height: Annotated[int, typer.Option(help="of the images [px]")] = 480,
    bag: Annotated[Path, typer.Option(help="folder of the bag; removed afterwards")] = Path(
        "out/bench_record/bag"
    ),
    kill: Annotated[bool, typer.Option(help="kill the recorder meanwhile; tell what is lost")] = False,
    report: Annotated[Path | None, typer.Option("--json", help="write the figures as JSON")] = None,
) -> None:
    """Measure the recorder: publishers as processes, what is in the bag, what it costs."""
    environment.prepare(may_restart=True)
    from video2act_ros.nodes.bench_record import RecordBenchOptions, run_bench_record

    options = RecordBenchOptions(seconds, images, jpeg_quality, cameras, rate, width, height, bag, kill)
    with console.status(f"recording for {seconds:g} s"):
        figures = run_bench_record(options)
    rows = {
        name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in figures.items()
    }
    console.print(two_columns(f"{cameras} cameras, {width}x{height}, {rate:g} Hz, {images}", rows))
    if report is not None:
        write_json(report, figures)
        console.print(f"report {report}")
