"""The command `video2act compare`: what several bundles would have done on a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from video2act_ros.cli.bag_reading import reading
from video2act_ros.cli.options import BagArgument, RecordedNamespaceOption, RecordedRobotOption, StrictOption
from video2act_ros.cli.output import console, print_skipped
from video2act_ros.core.config import DEFAULT_ROBOT
from video2act_ros.ros import environment


def compare_command(
    bag: BagArgument,
    bundle: Annotated[list[str], typer.Option("--bundle", help="one to compare; give it several times")],
    output: Annotated[Path, typer.Option(help="the report: an .html file, or a folder for it")] = Path(
        "out/compare"
    ),
    robot: RecordedRobotOption = DEFAULT_ROBOT,
    namespace: RecordedNamespaceOption = "",
    partial: Annotated[bool, typer.Option(help="take a bag whose clock jumped nevertheless")] = False,
    strict: StrictOption = False,
) -> None:
    """Compute a bag's observations with each bundle; writes one HTML file with figures, plots and images."""
    from video2act_ros.core.robot_profile import load_robot_profile
    from video2act_ros.recording.compare import compare_page, compare_plots
    from video2act_ros.recording.compare.compare import compare

    compare_plots.pyplot()  # says at once that it is missing
    report = output if output.suffix == ".html" else output / f"{bag.stem}.html"
    profile = load_robot_profile(environment.resolve_profile(robot))
    folders = [environment.resolve_bundle(name) for name in bundle]
    with console.status(f"computing {bag} with {', '.join(bundle)}"):
        roots = (environment.share_path() / "models",)
        comparison = compare(bag, profile, folders, roots, namespace or None, partial, reading(strict=strict))
        compare_page.write_report(comparison, report)
    runs = [comparison.recorded, *comparison.runs]
    table = Table("", *(run.label for run in runs), title=f"{len(comparison.times_s)} chunks")
    for name, values in compare_page.figures(comparison, runs):
        table.add_row(name, *values)
    console.print(table)
    print_skipped(comparison.unusable)
    console.print(f"report {report}")
