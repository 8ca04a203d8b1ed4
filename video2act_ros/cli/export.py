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
EXPORTS = Path("out/export")
"""Where bundles with ONNX graphs go by default."""


def export_command(
    sources: Annotated[list[str], typer.Argument(help="onnx: one bundle; lerobot, training: bags")],
    kind: Annotated[str, typer.Option("--format", help="onnx, lerobot or training")] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option("--out", "--output", help="new folder; onnx: out/export/NAME by default"),
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place",
            help="onnx: change the bundle itself; bags recorded with it then lack what made them",
        ),
    ] = False,
    max_error: Annotated[
        float, typer.Option(help="onnx: largest error allowed, relative to each output")
    ] = 1e-3,
    rate: Annotated[float, typer.Option(help="lerobot: samples a second")] = 10.0,
    codec: Annotated[
        str,
        typer.Option(
            help="lerobot: h264, or av1 as LeRobot records by default, to merge with its recordings"
        ),
    ] = "h264",
    plain: Annotated[
        bool, typer.Option("--plain", help="lerobot: only the features that LeRobot's own recordings have")
    ] = False,
    task: Annotated[str, typer.Option(help="instruction of every episode; as recorded by default")] = "",
    robot: RecordedRobotOption = DEFAULT_ROBOT,
    namespace: RecordedNamespaceOption = "",
    partial: Annotated[
        bool,
        typer.Option("--partial", help="also take unlabelled episodes, parts between holes, damaged bags"),
    ] = False,
    strict: StrictOption = False,
) -> None:
    """Write a copy of a bundle with System 1 as ONNX graphs, or write bags as a LeRobot dataset or as training data."""
    if kind not in FORMATS:
        raise ConfigurationError(unknown_choice("format", kind, FORMATS))
    if kind == "onnx":
        if len(sources) != 1:
            raise ConfigurationError(
                f"--format onnx takes one bundle, got {len(sources)}; for bags give --format"
            )
        _export_onnx(sources[0], out, max_error, in_place=in_place)
        return
    if in_place:
        raise ConfigurationError("--in-place goes with --format onnx; a dataset is always new")
    if out is None:
        raise ConfigurationError("say where the dataset goes: --output DIR")
    from video2act_ros.core.robot_profile import load_robot_profile
    from video2act_ros.recording.datasets.dataset_episodes import ExportOptions

    bags = tuple(Path(source).expanduser() for source in sources)
    profile = load_robot_profile(environment.resolve_profile(robot))
    options = ExportOptions(bags, profile, rate, task, namespace or None, partial, reading(strict=strict))
    _export_bags(kind, options, out, codec, plain=plain)


def _export_bags(kind: str, options: ExportOptions, out: Path, codec: str, *, plain: bool) -> None:
    """Write bags as a dataset; tell what was left out."""
    with console.status("reading bags"):
        report = _dataset(kind, options, out, codec, plain=plain)
    for problem in report.problems:
        console.print(f"[yellow]left out:[/] {problem}", highlight=False)
    print_skipped(report.skipped)
    console.print(
        f"{report.episodes} episodes, {report.frames} samples ({report.seconds:.1f} s, "
        f"{report.external_frames} driven by an external source) in {out}"
    )


def _export_onnx(bundle: str, out: Path | None, max_error: float, *, in_place: bool) -> None:
    """Write a copy of a bundle with System 1 as ONNX graphs, verified against torch."""
    if in_place and out is not None:
        raise ConfigurationError("--in-place and --out exclude each other; give one")
    from video2act_ros.bundles.export_onnx import export_onnx

    folder = environment.resolve_bundle(bundle)
    target = None if in_place else out or EXPORTS / folder.resolve().name
    export_onnx(folder, target, max_error, _print_error)
    console.print(f"ONNX graphs in {target or folder}; system1 runs them with backend:=onnxruntime")


def _print_error(error: GraphError) -> None:
    text = f"{error.graph:<8} {error.output:<14} max abs error {error.max_abs:.1e}, cosine {error.cosine:.7f}"
    console.print(text, soft_wrap=True, highlight=False)


def _dataset(kind: str, options: ExportOptions, out: Path, codec: str, *, plain: bool) -> ExportReport:
    if kind == "lerobot":
        from video2act_ros.recording.datasets.export_lerobot import export_lerobot

        return export_lerobot(options, out, codec, plain=plain)
    from video2act_ros.training.bag_demonstrations import export_training

    return export_training(options, out)
