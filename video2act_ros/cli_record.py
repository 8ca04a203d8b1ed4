"""The commands that make bags: `record`, `bag repair`, `bench-record`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from video2act_ros.core.config import ParameterValue
from video2act_ros.ros import environment

console = Console()
bag_app = typer.Typer(no_args_is_help=True, help="Bags as files.")

ImagesOption = Annotated[str, typer.Option(help="raw: as they come; jpeg: on <topic>/compressed")]
QualityOption = Annotated[int, typer.Option(help="quality of JPEG images")]


def record_command(
    folder: Annotated[Path, typer.Argument(help="folder of a new bag; of several with --ring")],
    robot: Annotated[str, typer.Option(help="a profile's file, or a name")] = "aloha_sim",
    images: ImagesOption = "raw",
    jpeg_quality: QualityOption = 90,
    compression: Annotated[str, typer.Option(help="of the bag's chunks: none, lz4 or zstd")] = "none",
    topics: Annotated[str, typer.Option(help="regular expression of the topics")] = ".*",
    ring: Annotated[
        float, typer.Option(help="keep so many seconds in memory and save them on a fault, instead")
    ] = 0.0,
    namespace: Annotated[str, typer.Option(help="namespace of the stack")] = "",
) -> None:
    """Record every topic beside a running stack, until Ctrl-C."""
    from video2act_ros.recording.writing.bag_writer import check_new_folder

    if not ring:
        check_new_folder(folder)
    environment.prepare(may_restart=True)
    from video2act_ros.nodes.recorder_node import run_recorder

    parameters: dict[str, ParameterValue] = {
        "robot": robot,
        "bag": "standby" if ring else str(folder),
        "folder": str(folder if ring else folder.parent),
        "images": images,
        "jpeg_quality": jpeg_quality,
        "compression": compression,
        "topics": topics,
        "ring_s": float(ring),
    }
    raise typer.Exit(run_recorder(parameters, namespace))


@bag_app.command("repair")
def repair_command(
    bag: Annotated[Path, typer.Argument(help="folder of a bag, or an .mcap file")],
    out: Annotated[Path | None, typer.Option(help="write the repaired bag here, leave the old one")] = None,
) -> None:
    """Make a good bag of one whose recorder was killed or whose disk was full."""
    from video2act_ros.recording.writing.bag_repair import repair_bag

    report = repair_bag(bag, out)
    console.print(f"{report.folder}: {report.messages} messages of {report.topics} topics")
    if report.cut_bytes or report.damaged_chunks or report.lost_messages:
        console.print(
            f"lost: {report.cut_bytes} bytes at the end, {report.damaged_chunks} damaged chunks, "
            f"{report.lost_messages} messages without their topic"
        )


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
    table = Table(show_header=False, title=f"{cameras} cameras, {width}x{height}, {rate:g} Hz, {images}")
    for name, value in figures.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    console.print(table)
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(figures, indent=2) + "\n")
        console.print(f"report {report}")
