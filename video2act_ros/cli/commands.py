"""Every command, in the order of `video2act --help`."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer
from rich.console import Console
from rich.markup import escape

from video2act_ros.cli.bench_control import bench_control_command
from video2act_ros.cli.bench_controllers import bench_controllers_command
from video2act_ros.cli.bench_onnx import bench_onnx_command
from video2act_ros.cli.bench_record import bench_record_command
from video2act_ros.cli.bench_splices import bench_splices_command
from video2act_ros.cli.bench_swaps import bench_swaps_command
from video2act_ros.cli.check_arguments import check_arguments_command
from video2act_ros.cli.compare import compare_command
from video2act_ros.cli.demo import demo_command
from video2act_ros.cli.doctor import doctor_command
from video2act_ros.cli.evaluate import evaluate_command
from video2act_ros.cli.export import export_command
from video2act_ros.cli.faults import faults_command
from video2act_ros.cli.health import health_command
from video2act_ros.cli.import_bundles import encode_instruction_command, import_command
from video2act_ros.cli.new_robot import new_robot_command
from video2act_ros.cli.operate import (
    disengage_command,
    engage_command,
    estop_command,
    instruct_command,
    move_to_start_command,
    reset_command,
)
from video2act_ros.cli.record import bag_app, record_command
from video2act_ros.cli.replay import replay_command
from video2act_ros.cli.run import run_command
from video2act_ros.cli.train import bundle_command, demonstrate_command, train_app
from video2act_ros.cli.verify_reference import verify_reference_command
from video2act_ros.core.errors import Video2ActError

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo_command,
    "run": run_command,
    "engage": engage_command,
    "disengage": disengage_command,
    "move-to-start": move_to_start_command,
    "estop": estop_command,
    "instruct": instruct_command,
    "reset": reset_command,
    "demonstrate": demonstrate_command,
    "bundle": bundle_command,
    "eval": evaluate_command,
    "bench-splices": bench_splices_command,
    "import": import_command,
    "encode-instruction": encode_instruction_command,
    "export": export_command,
    "bench-onnx": bench_onnx_command,
    "verify-reference": verify_reference_command,
    "bench-control": bench_control_command,
    "bench-controllers": bench_controllers_command,
    "doctor": doctor_command,
    "check-arguments": check_arguments_command,
    "health": health_command,
    "new-robot": new_robot_command,
    "faults": faults_command,
    "replay": replay_command,
    "compare": compare_command,
    "record": record_command,
    "bench-record": bench_record_command,
    "bench-swaps": bench_swaps_command,
}
GROUPS = {"train": train_app, "bag": bag_app}


def _app() -> typer.Typer:
    typer_app = typer.Typer(
        no_args_is_help=True, add_completion=False, help="The real-robot stack of Video2Act."
    )
    for name, command in COMMANDS.items():
        typer_app.command(name)(command)
    for name, group in GROUPS.items():
        typer_app.add_typer(group, name=name)
    return typer_app


app = _app()


def main() -> None:
    """Run the command; an expected error is one line and exit status 1."""
    try:
        app()
    except Video2ActError as error:
        text = f"[red]error:[/] {escape(str(error))}"
        Console(stderr=True).print(text, highlight=False, soft_wrap=True)
        sys.exit(1)
