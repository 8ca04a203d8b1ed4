"""The commands `video2act record` and `video2act bag repair`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from video2act_ros.cli.options import ImagesOption, QualityOption
from video2act_ros.cli.output import console
from video2act_ros.core.config import DEFAULT_ROBOT, ParameterValue
from video2act_ros.ros import environment

bag_app = typer.Typer(no_args_is_help=True, help="Bags as files.")


def record_command(
    folder: Annotated[Path, typer.Argument(help="folder of a new bag; of several with --ring")],
    robot: Annotated[str, typer.Option(help="a profile's file, or a name")] = DEFAULT_ROBOT,
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
    from video2act_ros.nodes.record import run_recorder

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
