"""The command `video2act run`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from video2act_ros.cli.options import NamespaceOption, ParamsFileOption, RobotOption
from video2act_ros.cli.output import print_line
from video2act_ros.core.config import DEFAULT_BUNDLE, DEFAULT_ROBOT
from video2act_ros.core.safe_source import MOCK_IMAGES_WORDS, SAFE_SOURCE_WORDS
from video2act_ros.ros import environment

_BUNDLE_HELP = f"empty: {DEFAULT_BUNDLE}; with mock: no policy, the built-in safe source"


def run_command(
    stack: Annotated[str, typer.Argument(help="real_robot, sim or mock")] = "real_robot",
    namespace: NamespaceOption = "",
    robot: RobotOption = DEFAULT_ROBOT,
    system1_bundle: Annotated[str, typer.Option(help=f"bundle of System 1; {_BUNDLE_HELP}")] = "",
    system2_bundle: Annotated[str, typer.Option(help=f"bundle of System 2; empty: {DEFAULT_BUNDLE}")] = "",
    instruction: Annotated[str, typer.Option(help="what to do; empty: the bundle's first instruction")] = "",
    params_file: ParamsFileOption = "",
    record: Annotated[str, typer.Option(help="folder of a new bag; true: named by time; standby")] = "",
    machine: Annotated[str, typer.Option(help="what this computer runs: all, robot or gpu_host")] = "",
    logs: Annotated[Path, typer.Option(help="where the nodes' logs go")] = Path("out/run/logs"),
) -> None:
    """Run the stack until Ctrl-C, as the launch files do, where `ros2 launch` is not installed."""
    environment.prepare(may_restart=True)
    from video2act_ros.ros.runner import run_stack

    arguments = {
        "namespace": namespace,
        "robot": robot,
        "system1_bundle": system1_bundle,
        "system2_bundle": system2_bundle,
        "instruction": instruction,
        "params_file": params_file,
        "record": record,
        "machine": machine,
    }
    if stack == "mock":
        print_line(MOCK_IMAGES_WORDS if system1_bundle else SAFE_SOURCE_WORDS)
        print_line(
            f"once it is up, in a second terminal: {_engage(namespace)}   (Ctrl-C here ends the stack)"
        )
    raise typer.Exit(run_stack(stack, {key: value for key, value in arguments.items() if value}, logs))


def _engage(namespace: str) -> str:
    """Return the command that engages the stack."""
    return f"video2act engage --namespace {shlex.quote(namespace)}" if namespace else "video2act engage"
