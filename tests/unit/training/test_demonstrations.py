from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from video2act_ros.core.errors import ConfigurationError, DatasetError
from video2act_ros.core.images import resize_image
from video2act_ros.core.robot_profile import RobotProfile, load_robot_profile
from video2act_ros.sim.episode import SimEpisode
from video2act_ros.sim.graphics import gl_problem
from video2act_ros.sim.tasks import get_task
from video2act_ros.training.dataset import load_demonstrations
from video2act_ros.training.demonstrations import HELD_OUT_SEED, collect
from video2act_ros.training.expert_episode import TAIL_STEPS, execution_noise, image_kinds, record_episode

needs_gl = pytest.mark.skipif(gl_problem() is not None, reason=str(gl_problem()))
ROBOTS = Path(__file__).parents[3] / "config" / "robots"


@pytest.fixture(scope="module")
def profile() -> RobotProfile:
    return load_robot_profile(ROBOTS / "aloha_sim.yaml")


@pytest.fixture(scope="module")
def episode(profile: RobotProfile) -> Iterator[SimEpisode]:
    with SimEpisode(get_task("lift"), profile) as episode:
        yield episode


@pytest.fixture(scope="module")
def dataset(profile: RobotProfile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demonstrations")
    return collect("lift", 3, 0, folder, profile, show_progress=False, shard_seeds=2)


def noisy_seed() -> int:
    for seed in range(100):
        random = np.random.default_rng((seed, 1))
        if random.random() < 0.5:
            random.normal(size=14)
        if execution_noise(random, 10, 14)[1] > 0.01:
            return seed
    raise AssertionError("no noisy episode among 100")


@needs_gl
def test_images_are_what_serving_makes_of_the_same_camera_image(episode: SimEpisode) -> None:
    """Stored images equal the camera's image resized once by the shared function, for every stored size."""
    recorded = record_episode(episode, 0, image_kinds(left_wrist=True))
    assert recorded is not None
    episode.reset(0, joint_offset=recorded["joints"][0].astype(np.float64) - start_joints(episode))
    seen = episode.observe(("cam_high", "cam_right_wrist", "cam_left_wrist")).images
    for name, kind in image_kinds(left_wrist=True).items():
        expected = resize_image(seen[kind.camera], kind.size, kind.size)
        difference = np.abs(recorded[name][0].astype(int) - expected)
        assert difference.mean() < 0.01  # the offset went through float32


def start_joints(episode: SimEpisode) -> np.ndarray:
    episode.reset(0)
    return episode.joints()


@needs_gl
def test_labels_are_clean_and_execution_is_noisy(episode: SimEpisode) -> None:
    """Recorded targets are the expert's plan without noise, while the robot moved with noise."""
    seed = noisy_seed()
    recorded = record_episode(episode, seed, {})
    assert recorded is not None
    assert recorded["noise_std"][0] > 0.01
    acceleration = np.diff(recorded["targets"], n=2, axis=0)
    assert np.abs(acceleration).max() < 0.01  # minimum jerk; 14-dimensional noise would exceed it
    assert np.abs(np.diff(recorded["joints"][:, :6], axis=0)).max() > 1e-3  # the idle arm was shaken


@needs_gl
def test_every_image_has_a_whole_chunk_after_it(dataset: Path) -> None:
    """The tail holds the last target, so that 64 steps of the same episode follow every image."""
    loaded = load_demonstrations(dataset)
    last = loaded.step_start[loaded.image_episode + 1]
    assert np.all(loaded.image_row + 64 <= last)
    for episode in range(loaded.episodes):
        tail = loaded.targets[loaded.step_start[episode + 1] - TAIL_STEPS : loaded.step_start[episode + 1]]
        assert np.all(tail == tail[0])


@needs_gl
def test_what_is_stored_is_what_is_loaded(dataset: Path) -> None:
    """Shapes, rates and units of a loaded dataset."""
    loaded = load_demonstrations(dataset)
    assert loaded.task == "lift"
    assert loaded.episodes >= 3
    assert (loaded.control_hz, loaded.image_hz) == (50.0, 10.0)
    assert loaded.images["cam_high"].shape[1:] == loaded.images["cam_right_wrist"].shape[1:] == (96, 96, 3)
    assert loaded.images["cam_high_64"].shape[1:] == (64, 64, 3)
    assert loaded.joints.shape == loaded.targets.shape == (loaded.step_start[-1], 14)
    assert len(loaded.cube) == len(loaded.image_row) == loaded.image_start[-1]
    grippers = loaded.targets[:, [6, 13]]
    assert grippers.min() >= 0.0
    assert grippers.max() <= 1.0


@needs_gl
def test_an_interrupted_collection_continues_to_the_same_data(
    profile: RobotProfile, dataset: Path, tmp_path: Path
) -> None:
    """Finished shards are kept, leftovers removed, and the rest is recorded as if nothing had happened."""
    first = collect("lift", 1, 0, tmp_path, profile, show_progress=False, shard_seeds=2)
    (shard,) = tmp_path.glob("*.safetensors")
    written = shard.stat().st_mtime_ns
    (tmp_path / "seeds_000002.77.partial").write_bytes(b"half")
    collect("lift", 3, 0, first, profile, show_progress=False, shard_seeds=2)
    assert shard.stat().st_mtime_ns == written
    assert not list(tmp_path.glob("*.partial"))
    for expected in dataset.glob("*.safetensors"):
        found, wanted = load_file(tmp_path / expected.name), load_file(expected)
        assert set(found) == set(wanted)
        assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


@needs_gl
@pytest.mark.slow
def test_the_number_of_workers_does_not_change_the_data(
    profile: RobotProfile, dataset: Path, tmp_path: Path
) -> None:
    """Episodes depend on their seeds only."""
    collect("lift", 3, 0, tmp_path, profile, workers=2, show_progress=False, shard_seeds=2)
    expected = load_demonstrations(dataset, 3)
    found = load_demonstrations(tmp_path, 3)
    np.testing.assert_array_equal(found.targets, expected.targets)
    np.testing.assert_array_equal(found.images["cam_high"], expected.images["cam_high"])


@needs_gl
def test_another_recipe_is_refused(profile: RobotProfile, dataset: Path) -> None:
    """Data of two recipes never mix in one folder."""
    with pytest.raises(DatasetError, match="another recipe"):
        collect("lift", 3, 0, dataset, profile, left_wrist=True, show_progress=False, shard_seeds=2)


@pytest.mark.parametrize(
    ("first", "episodes"), [(HELD_OUT_SEED, 1), (HELD_OUT_SEED - 1, 2), (-1, 5), (1_000_000, 1)]
)
def test_held_out_seeds_are_refused(profile: RobotProfile, tmp_path: Path, first: int, episodes: int) -> None:
    """Seeds from 900000 on are for evaluation; no demonstration may use one."""
    with pytest.raises(ConfigurationError, match="900000"):
        collect("lift", episodes, first, tmp_path, profile, show_progress=False)
    assert not list(tmp_path.iterdir())


def test_an_unknown_task_is_refused_with_the_choices(profile: RobotProfile, tmp_path: Path) -> None:
    """Unknown names are answered with the valid ones."""
    with pytest.raises(ConfigurationError, match="lift, transfer"):
        collect("juggle", 1, 0, tmp_path, profile)


def test_execution_noise_varies_per_episode_and_is_sometimes_off() -> None:
    """Some episodes are clean, the others differ in strength; noise starts at zero and is correlated."""
    drawn = [execution_noise(np.random.default_rng(seed), 255, 14) for seed in range(200)]
    stds = np.array([std for _, std in drawn])
    assert 20 <= np.count_nonzero(stds == 0.0) <= 60
    assert len(np.unique(stds)) > 100
    noise, std = next(item for item in drawn if item[1] > 0.015)
    assert np.all(noise[0] == 0.0)
    late = noise[100:]
    assert 0.5 * std < late.std() < 1.5 * std
    assert np.mean(late[1:] * late[:-1]) > 0.6 * np.mean(late**2)


def test_no_dataset_says_how_to_record_one(tmp_path: Path) -> None:
    """A missing dataset names the command that makes it."""
    with pytest.raises(DatasetError, match="video2act demonstrate"):
        load_demonstrations(tmp_path)


@needs_gl
def test_a_damaged_shard_is_named(profile: RobotProfile, tmp_path: Path) -> None:
    """A truncated file is an error that names the file and the remedy."""
    folder = collect("lift", 1, 0, tmp_path, profile, show_progress=False, shard_seeds=2)
    name = json.loads((folder / "manifest.json").read_text())["shards"][0]
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    with pytest.raises(DatasetError, match=name):
        load_demonstrations(folder)
