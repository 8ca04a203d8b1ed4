"""The trainings and evaluations behind the `video2act` command: files in, files out, progress shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.progress import Progress

from video2act_ros.bundles.load import load_encoder, load_policy
from video2act_ros.core.errors import DatasetError
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.sim.episode import SimEpisode
from video2act_ros.sim.tasks import get_task
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.policy import Policy
from video2act_ros.system2.config import VideoEncoderConfig
from video2act_ros.system2.encoder import VideoEncoder, load_video_encoder
from video2act_ros.training import train_video
from video2act_ros.training.compare_splices import Way, compare, report, timings
from video2act_ros.training.dataset import load_demonstrations
from video2act_ros.training.evaluate import ClosedLoop, Outcome, Timing, evaluate
from video2act_ros.training.policy_data import PolicyDataLayout, prepare_policy_data
from video2act_ros.training.small_bundle import (
    CAMERAS,
    HORIZON,
    assemble,
    language_embeddings,
    phrasings,
    small_policy_config,
    text_embeddings,
)
from video2act_ros.training.train_policy import CHECKPOINT_FILE, TrainingOptions, train_policy
from video2act_ros.training.video_trainer import CONFIG_FILE, TRANSFORMER_FILE, VAE_FILE, VideoTraining

POLICY_CONFIG_FILE = "policy.yaml"
FEATURES_FILE = "features.safetensors"


def load_trained_encoder(folder: Path, device: str = "cpu") -> VideoEncoder:
    """Return the encoder that `train_video` left in `folder`.

    Raises:
        DatasetError: there is none.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise DatasetError(f"no trained video model in {folder}; run `video2act train video` first")
    config = VideoEncoderConfig.model_validate(yaml.safe_load(path.read_text()))
    return load_video_encoder(config, folder / TRANSFORMER_FILE, folder / VAE_FILE, device)


def train_video_run(demos: Path, out: Path, minutes: float, device: str, console: Console) -> None:
    """Train the small video model for `minutes`."""
    train_video.run(demos, out, VideoTraining(minutes=minutes, device=device), console)


def train_policy_run(
    demos: Path,
    video: Path,
    out: Path,
    steps: int,
    profile: Path,
    device: str,
    console: Console,
    episodes: int | None = None,
) -> None:
    """Compute the frozen features of all demonstrations, then train the policy on them."""
    torch.set_num_threads(1)  # more spin against each other whenever anything else runs
    data_set = load_demonstrations(demos, episodes)
    encoder = load_trained_encoder(video, device)
    texts = phrasings(data_set)
    config = small_policy_config(data_set, encoder.config, load_robot_profile(profile))
    out.mkdir(parents=True, exist_ok=True)
    (out / POLICY_CONFIG_FILE).write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    layout = PolicyDataLayout(CAMERAS, HORIZON)
    cache = out / FEATURES_FILE
    data = prepare_policy_data(data_set, encoder, text_embeddings(texts, encoder.config), layout, cache)
    torch.manual_seed(0)
    language = torch.from_numpy(language_embeddings(texts))
    train_policy(Policy(config), data, language, TrainingOptions(steps=steps, device=device), out, console)


def bundle_run(
    folder: Path, task: str, video: Path, policy: Path, profile: Path, measured: dict[str, str]
) -> None:
    """Assemble the bundle at `folder` from the trained parts."""
    path = policy / POLICY_CONFIG_FILE
    if not path.is_file():
        raise DatasetError(f"no trained policy in {policy}; run `video2act train policy` first")
    config = PolicyConfig.model_validate(yaml.safe_load(path.read_text()))
    commands = (
        "video2act demonstrate",
        "video2act train video",
        "video2act train policy",
        "video2act bundle",
    )
    assemble(
        folder,
        policy / CHECKPOINT_FILE,
        load_trained_encoder(video),
        config,
        get_task(task),
        load_robot_profile(profile),
        commands,
        measured,
    )


def evaluate_run(
    bundle: Path, task: str, episodes: int, seed: int, profile: Path, timing: Timing
) -> list[Outcome]:
    """Evaluate a bundle over the seeds `seed` … `seed + episodes - 1`, in lock-step."""
    robot = load_robot_profile(profile)
    chosen = get_task(task)
    with SimEpisode(chosen, robot) as episode, Progress() as progress:
        policy, encoder = load_policy(bundle, "cpu"), load_encoder(bundle, "cpu")
        loop = ClosedLoop(episode, robot, policy, encoder, timing, chosen.instruction)
        bar = progress.add_task("episodes", total=episodes)
        outcomes: list[Outcome] = []
        for outcome in evaluate(loop, range(seed, seed + episodes)):
            outcomes.append(outcome)
            rate = sum(item.success for item in outcomes) / len(outcomes)
            progress.update(bar, advance=1, description=f"success {100 * rate:.0f} %")
    return outcomes


def compare_run(bundle: Path, task: str, episodes: int, seed: int, profile: Path) -> dict[str, Any]:
    """Compare the ways of driving over the seeds `seed` … `seed + episodes - 1`; return the report."""
    robot, chosen, base, seeds = (
        load_robot_profile(profile),
        get_task(task),
        Timing(),
        range(seed, seed + episodes),
    )
    with SimEpisode(chosen, robot) as episode, Progress() as progress:
        policy, encoder = load_policy(bundle, "cpu"), load_encoder(bundle, "cpu")

        def make_loop(timing: Timing) -> ClosedLoop:
            return ClosedLoop(episode, robot, policy, encoder, timing, chosen.instruction)

        bar = progress.add_task("ways", total=len(timings(base)))
        ways: list[Way] = []
        for way in compare(make_loop, base, seeds):
            ways.append(way)
            progress.update(bar, advance=1, description=f"{way.name}: {way.successes} of {episodes}")
    return report(ways, base, seeds)
