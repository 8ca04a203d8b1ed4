"""The bundle that ships with the project: whole, small, made for the simulated robot, and not blind."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from video2act_ros.bundles.load import load_encoder, load_policy
from video2act_ros.bundles.manifest import check_robot, read_manifest
from video2act_ros.bundles.self_test import policy_stages
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.sim.episode import SimEpisode
from video2act_ros.sim.graphics import gl_problem
from video2act_ros.sim.tasks import TASKS, get_task
from video2act_ros.training.evaluate import ClosedLoop, Timing, evaluate

ROOT = Path(__file__).parents[3]
BUNDLE = ROOT / "models" / "aloha_lift"
SEED = 800_000
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def profile():
    return load_robot_profile(ROOT / "config" / "robots" / "aloha_sim.yaml")


def test_it_is_small_and_holds_no_pickle():
    """Safetensors and YAML only, under 40 MB."""
    files = [path for path in BUNDLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40 * MEGABYTE
    assert {path.suffix for path in files} <= {".safetensors", ".yaml"}


def test_it_loads_for_the_simulated_robot_and_passes_its_self_test(profile):
    """Loading verifies hashes, weights and both self-tests on this machine."""
    check_robot(read_manifest(BUNDLE), profile)
    policy, encoder = load_policy(BUNDLE, "cpu"), load_encoder(BUNDLE, "cpu")
    assert policy.section.features_id == encoder.section.features_id


def test_it_knows_the_tasks_wordings():
    """The main instruction comes first, the paraphrases follow."""
    task = TASKS["lift"]
    assert read_manifest(BUNDLE).instructions == (task.instruction, *task.paraphrases)


def test_zeroed_video_latents_change_the_actions():
    """System 1 uses what System 2 sees: without it the joints go elsewhere by more than a milliradian."""
    loaded = load_policy(BUNDLE, "cpu")
    stored = load_file(BUNDLE / loaded.section.self_test)
    blind = stored | {name: torch.zeros_like(stored[name]) for name in ("input.spatial", "input.motion")}
    difference = policy_stages(loaded.policy, stored)["chunk"] - policy_stages(loaded.policy, blind)["chunk"]
    assert difference.abs().max() > 1e-3


@pytest.mark.skipif(gl_problem() is not None, reason=str(gl_problem()))
def test_evaluation_in_lock_step_is_repeatable(profile):
    """The same seeds give the same outcomes to the last control step, whatever the machine's load."""
    task = dataclasses.replace(get_task("lift"), time_limit_s=1.5)
    policy, encoder = load_policy(BUNDLE, "cpu"), load_encoder(BUNDLE, "cpu")
    ends = []
    for _ in range(2):
        with SimEpisode(task, profile) as episode:
            loop = ClosedLoop(episode, profile, policy, encoder, Timing(), task.instruction)
            list(evaluate(loop, [SEED]))
            ends.append(episode.joints())
    np.testing.assert_array_equal(*ends)
    assert np.abs(ends[0] - profile.limits("start")).max() > 0.1
