"""The command `video2act export`: a bundle as ONNX graphs, or bags as a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from video2act_ros.cli.bag_reading import reading
from video2act_ros.cli.options import RecordedNamespaceOption, RecordedRobotOption, StrictOption
from video2act_ros.cli.output import console, print_skipped
from video2act_ros.core.config import DEFAULT_ROBOT
from video2act_ros.core.errors import ConfigurationError, unknown_choice
from video2act_ros.ros import environment

if TYPE_CHECKING:
    from video2act_ros.bundles.verify_onnx import GraphError
    from video2act_ros.recording.datasets.dataset_episodes import ExportOptions, ExportReport

FORMATS = ("onnx", "lerobot", "training")


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
    robot: RecordedRobotOption = DEFAULT_ROBOT,
    namespace: RecordedNamespaceOption = "",
    partial: Annotated[
        bool,
        typer.Option("--partial", help="also take unlabelled episodes, parts between holes, damaged bags"),
    ] = False,
    strict: StrictOption = False,
) -> None:
    """Add System 1 to a bundle as ONNX graphs, or write bags as a LeRobot dataset or as training data."""
    if kind not in FORMATS:
        raise ConfigurationError(unknown_choice("format", kind, FORMATS))
    if kind == "onnx":
        if len(sources) != 1:
            raise ConfigurationError(
                f"--format onnx takes one bundle, got {len(sources)}; for bags give --format"
            )
        _export_onnx(sources[0], out, max_error)
        return
    if out is None:
        raise ConfigurationError("say where the dataset goes: --output DIR")
    from video2act_ros.core.robot_profile import load_robot_profile
    from video2act_ros.recording.datasets.dataset_episodes import ExportOptions

    bags = tuple(Path(source).expanduser() for source in sources)
    profile = load_robot_profile(environment.resolve_profile(robot))
    options = ExportOptions(bags, profile, rate, task, namespace or None, partial, reading(strict=strict))
    _export_bags(kind, options, out)


def _export_bags(kind: str, options: ExportOptions, out: Path) -> None:
    """Write bags as a dataset; tell what was left out."""
    with console.status("reading bags"):
        report = _dataset(kind, options, out)
    for problem in report.problems:
        console.print(f"[yellow]left out:[/] {problem}", highlight=False)
    print_skipped(report.skipped)
    console.print(
        f"{report.episodes} episodes, {report.frames} samples ({report.seconds:.1f} s, "
        f"{report.external_frames} driven by an external source) in {out}"
    )


def _export_onnx(bundle: str, out: Path | None, max_error: float) -> None:
    """Add System 1 to a bundle as ONNX graphs, verified against torch."""
    from video2act_ros.bundles.export_onnx import export_onnx

    folder = environment.resolve_bundle(bundle)
    export_onnx(folder, out, max_error, _print_error)
    console.print(f"ONNX graphs in {out or folder}; system1 runs them with backend:=onnxruntime")


def _print_error(error: GraphError) -> None:
    text = f"{error.graph:<8} {error.output:<14} max abs error {error.max_abs:.1e}, cosine {error.cosine:.7f}"
    console.print(text, soft_wrap=True, highlight=False)


def _dataset(kind: str, options: ExportOptions, out: Path) -> ExportReport:
    if kind == "lerobot":
        from video2act_ros.recording.datasets.export_lerobot import export_lerobot

        return export_lerobot(options, out)
    from video2act_ros.training.bag_demonstrations import export_training

    return export_training(options, out)
