"""Collecting demonstrations: shards of recorded episodes, resumable, in one or several processes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from safetensors.numpy import save_file

from video2act_ros.core.errors import ConfigurationError, DatasetError, SimulationError
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.whole_files import write_json
from video2act_ros.sim.episode import SimEpisode
from video2act_ros.sim.tasks import get_task
from video2act_ros.training.dataset import FORMAT, MANIFEST_NAME, shard_episodes
from video2act_ros.training.expert_episode import IMAGE_EVERY, image_kinds, record_episode

HELD_OUT_SEED = 900_000  # seeds from here on are for evaluation only

SHARD_SEEDS = 50


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the caller chose about a dataset; one folder holds episodes of one recipe."""

    task: str
    first_seed: int
    left_wrist: bool = False
    image_width: int = 320
    image_height: int = 240
    image_noise: float = 2.0
    shard_seeds: int = SHARD_SEEDS

    def __post_init__(self) -> None:
        get_task(self.task)
        check_seeds(self.first_seed, self.first_seed + 1)


def check_seeds(first: int, stop: int) -> None:
    """Raise ConfigurationError unless the seeds first … stop-1 are training seeds."""
    if first < 0 or stop > HELD_OUT_SEED:
        raise ConfigurationError(
            f"demonstration seeds {first} to {stop - 1} are not all in [0, {HELD_OUT_SEED}); seeds from "
            f"{HELD_OUT_SEED} on are held out for evaluation: choose a smaller first seed or fewer episodes"
        )


def shard_path(folder: Path, first_seed: int) -> Path:
    """Return the file of the shard whose first seed is `first_seed`."""
    return folder / f"seeds_{first_seed:06d}.safetensors"


def write_shard(
    folder: Path,
    recipe: Recipe,
    profile: RobotProfile,
    first_seed: int,
    on_episode: Callable[[bool], None] = lambda success: None,
) -> int:
    """Record one shard, its file whole or not at all; return its successes.

    The shard holds what succeeds of the recipe's `shard_seeds` seeds from `first_seed` on.
    """
    cv2.setNumThreads(1)  # the images are small; a pool of threads only costs
    kinds = image_kinds(recipe.left_wrist)
    episodes = []
    with SimEpisode(
        get_task(recipe.task), profile, recipe.image_width, recipe.image_height, recipe.image_noise
    ) as episode:
        for seed in range(first_seed, first_seed + recipe.shard_seeds):
            recorded = record_episode(episode, seed, kinds)
            if recorded is not None:
                episodes.append(recorded)
            on_episode(recorded is not None)
    if not episodes:
        raise SimulationError(f"the expert failed on all of the seeds {first_seed} to {seed}")
    arrays = {name: np.concatenate([item[name] for item in episodes]) for name in episodes[0]}
    target = shard_path(folder, first_seed)
    partial = target.with_suffix(f".{os.getpid()}.partial")
    save_file(arrays, partial, metadata={"episodes": str(len(episodes)), "format": str(FORMAT)})
    os.replace(partial, target)
    return len(episodes)


def collect(
    task: str,
    episodes: int,
    first_seed: int,
    out_dir: Path,
    profile: RobotProfile,
    workers: int = 1,
    left_wrist: bool = False,
    show_progress: bool = True,
    shard_seeds: int = SHARD_SEEDS,
) -> Path:
    """Record successful episodes of `task` into `out_dir` until it holds at least `episodes`.

    Seeds are tried in order from `first_seed`, so the same call gives the same data whatever the number
    of workers. Shards that exist are kept: an interrupted collection continues where it stopped.

    Args:
        task: name of the task.
        episodes: successful episodes to reach (rounded up to whole shards).
        first_seed: first seed to try; all seeds must stay below 900000.
        out_dir: folder of the dataset, created when missing.
        profile: the simulated robot's profile.
        workers: processes to record with; more than the machine's free cores makes it slower.
        left_wrist: also store the left wrist's camera.
        show_progress: draw a progress bar.
        shard_seeds: seeds tried per file; what an interruption can lose.

    Returns:
        The dataset's folder.
    """
    recipe = Recipe(task=task, first_seed=first_seed, left_wrist=left_wrist, shard_seeds=shard_seeds)
    if episodes < 1 or workers < 1:
        raise ConfigurationError(f"episodes and workers must be at least 1, got {episodes} and {workers}")
    check_seeds(first_seed, first_seed + episodes)
    out_dir.mkdir(parents=True, exist_ok=True)
    _check_same_recipe(out_dir, recipe)
    for leftover in out_dir.glob("*.partial"):
        leftover.unlink()
    with _progress_bar(show_progress) as progress:
        bar = progress.add_task(f"demonstrations of '{task}'", total=episodes)
        for shards in _grow(out_dir, recipe, profile, episodes, workers, lambda: progress.advance(bar)):
            progress.update(bar, completed=sum(shards.values()))
            _write_manifest(out_dir, recipe, profile, shards)
    return out_dir


def _progress_bar(show: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), disable=not show)


def _grow(
    folder: Path,
    recipe: Recipe,
    profile: RobotProfile,
    episodes: int,
    workers: int,
    advance: Callable[[], None],
) -> Iterator[dict[int, int]]:
    """Record shards until `episodes` are there; yield {first seed: successes} after each round."""
    shards: dict[int, int] = {}
    while True:
        while (first := recipe.first_seed + recipe.shard_seeds * len(shards)) in (done := _finished(folder)):
            shards[first] = done[first]
            if sum(shards.values()) >= episodes:
                break
        yield dict(shards)
        missing = episodes - sum(shards.values())
        if missing <= 0:
            return
        count = min(workers, -(-missing // recipe.shard_seeds))
        firsts = [first + recipe.shard_seeds * index for index in range(count)]
        check_seeds(firsts[0], firsts[-1] + recipe.shard_seeds)
        if workers == 1:
            write_shard(folder, recipe, profile, first, lambda success: advance() if success else None)
            continue
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            todo = [item for item in firsts if item not in done]
            jobs = [pool.submit(write_shard, folder, recipe, profile, item) for item in todo]
            for job in as_completed(jobs):
                job.result()


def _finished(folder: Path) -> dict[int, int]:
    """Return {first seed: episodes} of every shard in `folder`."""
    paths = sorted(folder.glob("seeds_*.safetensors"))
    return {int(path.stem.split("_")[1]): shard_episodes(path) for path in paths}


def _check_same_recipe(folder: Path, recipe: Recipe) -> None:
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return
    stored = json.loads(path.read_text()).get("recipe")
    if stored != asdict(recipe):
        raise DatasetError(
            f"{folder} holds demonstrations of another recipe ({stored}, asked for {asdict(recipe)}); "
            "delete that folder or choose another one"
        )


def _write_manifest(folder: Path, recipe: Recipe, profile: RobotProfile, shards: dict[int, int]) -> None:
    task = get_task(recipe.task)
    manifest = {
        "format": FORMAT,
        "recipe": asdict(recipe),
        "robot": profile.name,
        "joint_names": profile.joint_names,
        "instruction": task.instruction,
        "paraphrases": task.paraphrases,
        "episodes": sum(shards.values()),
        "seeds_tried": recipe.shard_seeds * len(shards),
        "shards": [shard_path(folder, first).name for first in shards],
        "control_hz": 50,
        "image_every": IMAGE_EVERY,
        "image_sizes": {name: kind.size for name, kind in image_kinds(recipe.left_wrist).items()},
        "versions": {name: version(name) for name in ("mujoco", "gym-aloha", "numpy")},
    }
    write_json(folder / MANIFEST_NAME, manifest)
