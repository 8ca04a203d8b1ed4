"""The command `video2act run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from video2act_ros.cli.options import NamespaceOption, ParamsFileOption, RobotOption
from video2act_ros.core.config import DEFAULT_BUNDLE, DEFAULT_ROBOT
from video2act_ros.ros import environment


def run_command(
    stack: Annotated[str, typer.Argument(help="real_robot, sim or mock")] = "real_robot",
    namespace: NamespaceOption = "",
    robot: RobotOption = DEFAULT_ROBOT,
    system1_bundle: Annotated[str, typer.Option(help="bundle of System 1")] = DEFAULT_BUNDLE,
    system2_bundle: Annotated[str, typer.Option(help="bundle of System 2")] = DEFAULT_BUNDLE,
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
    raise typer.Exit(run_stack(stack, {key: value for key, value in arguments.items() if value}, logs))
