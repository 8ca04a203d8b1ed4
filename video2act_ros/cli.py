"""The `video2act` command: the demo, demonstrations, training, evaluation, and the stack without `ros2 launch`.

Heavy libraries are imported by the command that needs them, so that `--help` and errors come at once.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from video2act_ros.cli_bench_control import bench_control_command
from video2act_ros.cli_check_arguments import check_arguments_command
from video2act_ros.cli_compare import compare_command
from video2act_ros.cli_doctor import doctor_command
from video2act_ros.cli_export import export_command
from video2act_ros.cli_faults import faults_command
from video2act_ros.cli_health import health_command
from video2act_ros.cli_import import encode_instruction_command, import_command
from video2act_ros.cli_new_robot import new_robot_command
from video2act_ros.cli_onnx import bench_onnx_command
from video2act_ros.cli_record import bag_app, bench_record_command, record_command
from video2act_ros.cli_replay import replay_command
from video2act_ros.cli_verify import verify_reference_command
from video2act_ros.core.errors import Video2ActError
from video2act_ros.ros import environment

if TYPE_CHECKING:
    from video2act_ros.nodes.demo_node import EpisodeResult

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The real-robot stack of Video2Act.")
train_app = typer.Typer(no_args_is_help=True, help="Train the parts of a small bundle.")
app.add_typer(train_app, name="train")
console = Console()

STARTED_S = time.monotonic()

TaskOption = Annotated[str, typer.Option("--task", help="lift or transfer")]
BundleOption = Annotated[str, typer.Option("--bundle", help="a bundle's folder, or a name under models/")]
RobotOption = Annotated[str, typer.Option("--robot", help="a profile's file, or a name under config/robots/")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu or cuda")]
DemosOption = Annotated[Path, typer.Option("--demos", help="folder of demonstrations")]
VideoOption = Annotated[Path, typer.Option("--video", help="folder of the trained video model")]
WorkOption = Annotated[Path, typer.Option("--out", help="folder of the training's state")]
NamespaceOption = Annotated[str, typer.Option("--namespace", help="namespace of every node and topic")]

DEMO_FOLDER = Path("out/demo")
DEVELOPMENT_SEED = 800_000  # from here to 899999: neither trained on nor held out


@app.command()
def demo(
    task: TaskOption = "lift",
    episodes: Annotated[int, typer.Option(min=1, help="how many")] = 5,
    seed: Annotated[int, typer.Option(help="episode i uses seed SEED + i")] = 900_000,
    report: Annotated[Path, typer.Option(help="where the report goes")] = DEMO_FOLDER / "report.json",
    video: Annotated[bool, typer.Option(help="film the first episode")] = True,
    bundle: BundleOption = "aloha_lift",
    robot: RobotOption = "aloha_sim",
    namespace: NamespaceOption = "",
    record: Annotated[str, typer.Option(help="folder of a new bag of the whole run")] = "",
) -> None:
    """Run episodes on the simulated robot with both systems as processes, and report what was measured."""
    environment.prepare(may_restart=True)
    from video2act_ros.nodes.demo import DemoOptions, run_demo

    film = DEMO_FOLDER / "episode.mp4" if video else None
    logs = DEMO_FOLDER / "logs"
    options = DemoOptions(
        task, episodes, seed, report, film, bundle, robot, namespace, logs, STARTED_S, record
    )
    with console.status("starting the stack") as status:

        def progress(index: int, result: EpisodeResult | None) -> None:
            if result is None:
                status.update(f"episode {index + 1} of {episodes}, seed {seed + index}")
                return
            word = "[green]success[/]" if result.success else "[yellow]failure[/]"
            console.print(f"episode {index + 1}: seed {result.seed} {word} after {result.duration_s:.1f} s")

        content = run_demo(options, progress)
    console.print(_summary(content))
    written = {"report": report, "film": film, "bag": record, "node logs": logs}
    console.print(", ".join(f"{name} {path}" for name, path in written.items() if path))


def _summary(report: dict) -> Table:  # type: ignore[type-arg]
    """Return the report as a table of one screen."""
    table = Table(
        show_header=False, title=f"{report['successes']} of {report['episodes']} episodes succeeded"
    )
    error = report["control_period_error_s"]
    ticks, missed = report["control_ticks"], report["missed_ticks"]
    rows = {
        "System 1": f"{report['system1_chunks_hz']:.1f} chunks/s",
        "System 2": f"{report['system2_updates_hz']:.1f} updates/s",
        "age of the observation in use": _percentiles(report["observation_age_s"]),
        "age of the latents in use": _percentiles(report["latent_age_s"]),
        "control ticks": f"{ticks}, {missed} missed ({100 * missed / max(ticks, 1):.2f} %)",
        "control period error": _percentiles(error) + f", max {1e3 * error['max']:.1f} ms",
        "scheduling": report["scheduling"],
        "first motion": f"{report['first_motion_s'] or float('nan'):.1f} s after the command",
        "real-time factor": f"{report['realtime_factor']:.3f}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _percentiles(values: dict[str, float]) -> str:
    return f"p50 {1e3 * values['p50']:.1f} ms, p99 {1e3 * values['p99']:.1f} ms"


@app.command()
def run(
    stack: Annotated[str, typer.Argument(help="real_robot, sim or mock")] = "real_robot",
    namespace: NamespaceOption = "",
    robot: RobotOption = "aloha_sim",
    system1_bundle: Annotated[str, typer.Option(help="bundle of System 1")] = "aloha_lift",
    system2_bundle: Annotated[str, typer.Option(help="bundle of System 2")] = "aloha_lift",
    instruction: Annotated[str, typer.Option(help="what to do; empty: the bundle's first instruction")] = "",
    params_file: Annotated[str, typer.Option(help="YAML file of node parameters")] = "",
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


@app.command()
def engage(namespace: NamespaceOption = "") -> None:
    """Let the policy drive the arm of a running stack."""
    environment.prepare(may_restart=True)
    from video2act_ros.nodes import operator

    console.print(operator.engage(namespace))


@app.command()
def disengage(namespace: NamespaceOption = "") -> None:
    """Brake the arm to a hold and stop sending commands."""
    environment.prepare(may_restart=True)
    from video2act_ros.nodes import operator

    console.print(operator.disengage(namespace))


@app.command("move-to-start")
def move_to_start(namespace: NamespaceOption = "") -> None:
    """Bring the arm of a stack in shadow slowly to its start pose."""
    environment.prepare(may_restart=True)
    from video2act_ros.nodes import operator

    console.print(operator.move_to_start(namespace))


@app.command()
def estop(namespace: NamespaceOption = "") -> None:
    """Emergency stop: brake at once; only disengage and then engage lead back."""
    environment.prepare(may_restart=True)
    from video2act_ros.nodes import operator

    console.print(operator.emergency_stop(namespace))


@app.command()
def instruct(
    instruction: Annotated[str, typer.Argument(help="one that the bundle knows")],
    namespace: NamespaceOption = "",
) -> None:
    """Give a running stack another instruction."""
    environment.prepare(may_restart=True)
    from video2act_ros.nodes import operator

    console.print(operator.instruct(instruction, namespace) or "instruction changed")


@app.command()
def reset(
    seed: Annotated[int | None, typer.Option(help="of the cube's pose; the next one by default")] = None,
    namespace: NamespaceOption = "",
) -> None:
    """Put the simulated arms and the cube back, and begin a new episode."""
    environment.prepare(may_restart=True)
    from video2act_ros.nodes import operator

    console.print(operator.reset_simulation(seed, namespace))


@app.command()
def demonstrate(
    task: TaskOption = "lift",
    episodes: Annotated[int, typer.Option(min=1, help="successful episodes to reach")] = 1200,
    seed: Annotated[int, typer.Option(help="first seed; all stay below 900000")] = 0,
    out: Annotated[Path | None, typer.Option(help="folder of the dataset")] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    robot: RobotOption = "aloha_sim",
) -> None:
    """Record scripted demonstrations; an interrupted run continues where it stopped."""
    from video2act_ros.core.robot_profile import load_robot_profile
    from video2act_ros.training.demonstrations import collect

    folder = out or Path("out/demonstrations") / task
    collect(task, episodes, seed, folder, load_robot_profile(environment.resolve_profile(robot)), workers)
    console.print(f"demonstrations in {folder}")


@train_app.command("video")
def train_video_command(
    demos: DemosOption = Path("out/demonstrations/lift"),
    out: WorkOption = Path("out/training/video"),
    minutes: Annotated[float, typer.Option(help="training time")] = 12.0,
    device: DeviceOption = "cpu",
) -> None:
    """Train the small video model (System 2); an interrupted run continues where it stopped."""
    from video2act_ros.training.runs import train_video_run

    train_video_run(demos, out, minutes, device, console)


@train_app.command("policy")
def train_policy_command(
    demos: DemosOption = Path("out/demonstrations/lift"),
    video: VideoOption = Path("out/training/video"),
    out: WorkOption = Path("out/training/policy"),
    steps: Annotated[int, typer.Option(help="optimiser steps of the whole schedule")] = 3800,
    episodes: Annotated[
        int | None, typer.Option(help="use the first so many episodes; all by default")
    ] = None,
    robot: RobotOption = "aloha_sim",
    device: DeviceOption = "cpu",
) -> None:
    """Train the policy (System 1) on the frozen video features; an interrupted run continues."""
    from video2act_ros.training.runs import train_policy_run

    train_policy_run(demos, video, out, steps, environment.resolve_profile(robot), device, console, episodes)


@app.command()
def bundle(
    name: Annotated[str, typer.Argument(help="the bundle's folder")],
    task: TaskOption = "lift",
    video: VideoOption = Path("out/training/video"),
    policy: Annotated[Path, typer.Option("--policy", help="folder of the trained policy")] = Path(
        "out/training/policy"
    ),
    robot: RobotOption = "aloha_sim",
    measured: Annotated[list[str] | None, typer.Option(help="KEY=VALUE figures for the manifest")] = None,
) -> None:
    """Assemble a bundle from the trained video model and policy."""
    from video2act_ros.training.runs import bundle_run

    figures = dict(item.split("=", 1) for item in measured or [])
    bundle_run(Path(name), task, video, policy, environment.resolve_profile(robot), figures)
    console.print(f"bundle {name}")


@app.command("eval")
def evaluate_command(
    bundle: BundleOption = "aloha_lift",
    task: TaskOption = "lift",
    episodes: Annotated[int, typer.Option(min=1, help="how many")] = 100,
    seed: Annotated[int, typer.Option(help="episode i uses seed SEED + i")] = DEVELOPMENT_SEED,
    report: Annotated[Path | None, typer.Option(help="write the outcomes as JSON")] = None,
    blind: Annotated[bool, typer.Option(help="replace the video latents by zeros")] = False,
    chunk_period: Annotated[float, typer.Option(help="time between two chunks [s]")] = 0.24,
    splice: Annotated[str, typer.Option(help="replace, blend, ensemble or rtc")] = "ensemble",
    average_decay: Annotated[
        float, typer.Option(help="weight of each older chunk in splice mode ensemble")
    ] = 0.8,
    robot: RobotOption = "aloha_sim",
) -> None:
    """Evaluate a bundle in lock-step with the simulation: fixed latencies, no wall clock, no ROS."""
    from video2act_ros.training.evaluate import Timing
    from video2act_ros.training.runs import evaluate_run

    timing = Timing(system1_period_s=chunk_period, splice=splice, average_decay=average_decay, blind=blind)
    outcomes = evaluate_run(
        environment.resolve_bundle(bundle), task, episodes, seed, environment.resolve_profile(robot), timing
    )
    failed = [outcome.seed for outcome in outcomes if not outcome.success]
    console.print(
        f"{len(outcomes) - len(failed)} of {len(outcomes)} succeeded; failed seeds: {failed or 'none'}"
    )
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "episodes": len(outcomes),
            "successes": len(outcomes) - len(failed),
            "failed_seeds": failed,
        }
        report.write_text(json.dumps(content, indent=2) + "\n")


@app.command("bench-splices")
def bench_splices_command(
    bundle: BundleOption = "aloha_lift",
    task: TaskOption = "lift",
    episodes: Annotated[int, typer.Option(min=1, help="how many")] = 50,
    seed: Annotated[int, typer.Option(help="episode i uses seed SEED + i")] = DEVELOPMENT_SEED,
    report: Annotated[Path, typer.Option("--json", help="where the report goes")] = Path(
        "out/bench_splices.json"
    ),
    robot: RobotOption = "aloha_sim",
) -> None:
    """Compare jerk, reaction and success of the splice modes with blocking, open-loop execution, in lock-step."""
    from video2act_ros.training.runs import compare_run

    content = compare_run(
        environment.resolve_bundle(bundle), task, episodes, seed, environment.resolve_profile(robot)
    )
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(content, indent=2) + "\n")
    table = Table(
        "way", "success", "peak jerk", "RMS jerk", "measured peak", "reaction", title=f"{task}, medians"
    )
    for row in content["ways"]:
        medians = [
            row[name]["median"]
            for name in ("peak_jerk", "rms_jerk", "measured_peak_jerk", "reaction_median_s")
        ]
        jerks = [f"{value:.0f} rad/s³" for value in medians[:3]]
        table.add_row(row["way"], f"{row['successes']} of {row['episodes']}", *jerks, f"{medians[3]:.2f} s")
    console.print(table)
    console.print(f"report {report}")


app.command("import")(import_command)
app.command("encode-instruction")(encode_instruction_command)


app.command("export")(export_command)
app.command("bench-onnx")(bench_onnx_command)
app.command("verify-reference")(verify_reference_command)
app.command("bench-control")(bench_control_command)
app.command("doctor")(doctor_command)
app.command("check-arguments")(check_arguments_command)
app.command("health")(health_command)
app.command("new-robot")(new_robot_command)
app.command("faults")(faults_command)
app.command("replay")(replay_command)
app.command("compare")(compare_command)
app.command("record")(record_command)
app.command("bench-record")(bench_record_command)
app.add_typer(bag_app, name="bag")


@app.command("bench-swaps")
def bench_swaps_command(
    bundle: BundleOption = "aloha_lift",
    swaps: Annotated[int, typer.Option(min=1, help="how many; System 1 and System 2 in turns")] = 50,
    task: TaskOption = "lift",
    robot: RobotOption = "aloha_sim",
    pause: Annotated[float, typer.Option(min=0.0, help="driving between two swaps [s]")] = 2.0,
    seed: Annotated[int, typer.Option(help="seed of the scene")] = DEVELOPMENT_SEED,
    report: Annotated[Path, typer.Option(help="where the report goes")] = Path("out/bench_swaps/report.json"),
    namespace: NamespaceOption = "",
) -> None:
    """Swap bundles while the simulated arm is driven; measure missed ticks, holds, limits and memory."""
    environment.prepare(may_restart=True)
    from video2act_ros.nodes.bench_swaps import SwapOptions, run_bench_swaps

    options = SwapOptions(bundle, robot, namespace, task, swaps, pause, seed, report)
    with console.status("starting the stack") as status:
        content = run_bench_swaps(options, lambda done: status.update(f"{done} of {swaps} swaps"))
    console.print_json(data=content)
    console.print(f"report {report}, node logs {report.parent / 'logs'}")


def main() -> None:
    """Run the command; an expected error is one line and exit status 1."""
    try:
        app()
    except Video2ActError as error:
        text = f"[red]error:[/] {escape(str(error))}"
        Console(stderr=True).print(text, highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
