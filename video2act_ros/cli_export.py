"""`video2act export`: a bundle as ONNX graphs, or bags as a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from video2act_ros.cli_onnx import export_onnx_command
from video2act_ros.core.errors import ConfigurationError, unknown_choice
from video2act_ros.ros import environment

if TYPE_CHECKING:
    from video2act_ros.recording.datasets.dataset_episodes import ExportOptions, ExportReport

FORMATS = ("onnx", "lerobot", "training")

console = Console()


def export_command(
    sources: Annotated[list[str], typer.Argument(help="onnx: one bundle; lerobot, training: bags")],
    kind: Annotated[str, typer.Option("--format", help="onnx, lerobot or training")] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option("--out", "--output", help="new folder; onnx: export into a copy of the bundle"),
    ] = None,
    max_error: Annotated[
        float, typer.Option(help="onnx: largest error allowed, relative to each output")
    ] = 1e-3,
    rate: Annotated[float, typer.Option(help="lerobot: samples a second")] = 10.0,
    task: Annotated[str, typer.Option(help="instruction of every episode; as recorded by default")] = "",
    robot: Annotated[str, typer.Option(help="robot profile of the recorded robot")] = "aloha_sim",
    namespace: Annotated[str, typer.Option(help="of the recorded stack; found where there is only one")] = "",
    partial: Annotated[
        bool,
        typer.Option("--partial", help="also take unlabelled episodes, parts between holes, damaged bags"),
    ] = False,
) -> None:
    """Add System 1 to a bundle as ONNX graphs, or write bags as a LeRobot dataset or as training data."""
    if kind not in FORMATS:
        raise ConfigurationError(unknown_choice("format", kind, FORMATS))
    if kind == "onnx":
        if len(sources) != 1:
            raise ConfigurationError(
                f"--format onnx takes one bundle, got {len(sources)}; for bags give --format"
            )
        export_onnx_command(sources[0], out, max_error)
        return
    if out is None:
        raise ConfigurationError("say where the dataset goes: --output DIR")
    from video2act_ros.core.robot_profile import load_robot_profile
    from video2act_ros.recording.datasets.dataset_episodes import ExportOptions

    options = ExportOptions(
        bags=tuple(Path(source).expanduser() for source in sources),
        profile=load_robot_profile(environment.resolve_profile(robot)),
        rate_hz=rate,
        task=task,
        namespace=namespace or None,
        partial=partial,
    )
    with console.status("reading bags"):
        report = _export(kind, options, out)
    for problem in report.problems:
        console.print(f"[yellow]left out:[/] {problem}", highlight=False)
    console.print(
        f"{report.episodes} episodes, {report.frames} samples ({report.seconds:.1f} s, "
        f"{report.external_frames} driven by an external source) in {out}"
    )


def _export(kind: str, options: ExportOptions, out: Path) -> ExportReport:
    if kind == "lerobot":
        from video2act_ros.recording.datasets.export_lerobot import export_lerobot

        return export_lerobot(options, out)
    from video2act_ros.training.bag_demonstrations import export_training

    return export_training(options, out)
