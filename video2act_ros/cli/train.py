"""The commands that make a small bundle: `demonstrate`, `train video`, `train policy`, `bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from video2act_ros.cli.options import RobotOption, TaskOption
from video2act_ros.cli.output import console
from video2act_ros.core.config import DEFAULT_ROBOT
from video2act_ros.ros import environment

DeviceOption = Annotated[str, typer.Option("--device", help="cpu or cuda")]
DemosOption = Annotated[Path, typer.Option("--demos", help="folder of demonstrations")]
VideoOption = Annotated[Path, typer.Option("--video", help="folder of the trained video model")]
WorkOption = Annotated[Path, typer.Option("--out", help="folder of the training's state")]

DEMONSTRATIONS = Path("out/demonstrations")
VIDEO = Path("out/training/video")
POLICY = Path("out/training/policy")

train_app = typer.Typer(no_args_is_help=True, help="Train the parts of a small bundle.")


def demonstrate_command(
    task: TaskOption = "lift",
    episodes: Annotated[int, typer.Option(min=1, help="successful episodes to reach")] = 1200,
    seed: Annotated[int, typer.Option(help="first seed; all stay below 900000")] = 0,
    out: Annotated[Path | None, typer.Option(help="folder of the dataset")] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    robot: RobotOption = DEFAULT_ROBOT,
) -> None:
    """Record scripted demonstrations; an interrupted run continues where it stopped."""
    from video2act_ros.core.robot_profile import load_robot_profile
    from video2act_ros.training.demonstrations import collect

    folder = out or DEMONSTRATIONS / task
    collect(task, episodes, seed, folder, load_robot_profile(environment.resolve_profile(robot)), workers)
    console.print(f"demonstrations in {folder}")


@train_app.command("video")
def train_video_command(
    demos: DemosOption = DEMONSTRATIONS / "lift",
    out: WorkOption = VIDEO,
    minutes: Annotated[float, typer.Option(help="training time")] = 12.0,
    device: DeviceOption = "cpu",
) -> None:
    """Train the small video model (System 2); an interrupted run continues where it stopped."""
    from video2act_ros.training.runs import train_video_run

    train_video_run(demos, out, minutes, device, console)


@train_app.command("policy")
def train_policy_command(
    demos: DemosOption = DEMONSTRATIONS / "lift",
    video: VideoOption = VIDEO,
    out: WorkOption = POLICY,
    steps: Annotated[int, typer.Option(help="optimiser steps of the whole schedule")] = 3800,
    episodes: Annotated[
        int | None, typer.Option(help="use the first so many episodes; all by default")
    ] = None,
    robot: RobotOption = DEFAULT_ROBOT,
    device: DeviceOption = "cpu",
) -> None:
    """Train the policy (System 1) on the frozen video features; an interrupted run continues."""
    from video2act_ros.training.runs import train_policy_run

    train_policy_run(demos, video, out, steps, environment.resolve_profile(robot), device, console, episodes)


def bundle_command(
    name: Annotated[str, typer.Argument(help="the bundle's folder")],
    task: TaskOption = "lift",
    video: VideoOption = VIDEO,
    policy: Annotated[Path, typer.Option("--policy", help="folder of the trained policy")] = POLICY,
    robot: RobotOption = DEFAULT_ROBOT,
    measured: Annotated[list[str] | None, typer.Option(help="KEY=VALUE figures for the manifest")] = None,
) -> None:
    """Assemble a bundle from the trained video model and policy."""
    from video2act_ros.training.runs import bundle_run

    figures = dict(item.split("=", 1) for item in measured or [])
    bundle_run(Path(name), task, video, policy, environment.resolve_profile(robot), figures)
    console.print(f"bundle {name}")
