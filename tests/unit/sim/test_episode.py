from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.sim.episode import SimEpisode
from video2act_ros.sim.graphics import gl_problem
from video2act_ros.sim.tasks import get_task

pytestmark = pytest.mark.skipif(gl_problem() is not None, reason=str(gl_problem()))
ROBOTS = Path(__file__).parents[3] / "config" / "robots"


@pytest.fixture(scope="module")
def episode() -> Iterator[SimEpisode]:
    with SimEpisode(get_task("lift"), load_robot_profile(ROBOTS / "aloha_sim.yaml"), 160, 120) as episode:
        yield episode


def test_the_expert_succeeds_in_lock_step(episode: SimEpisode) -> None:
    """Targets in policy units at 50 Hz lift the cube within the time limit, and success latches."""
    episode.reset(7)
    assert not episode.succeeded
    for targets in episode.plan():
        episode.step(targets)
    assert episode.succeeded
    assert not episode.timed_out


def test_observations_are_stamped_with_simulated_time(episode: SimEpisode) -> None:
    """After n control steps the stamp is n x 20 ms; images and joints are of that instant."""
    episode.reset(0)
    for targets in episode.plan()[:10]:
        episode.step(targets)
    seen = episode.observe(["cam_high"])
    assert seen.stamp_ns == seen.joint_stamp_ns == seen.image_stamps_ns["cam_high"] == 200_000_000
    assert seen.images["cam_high"].shape == (120, 160, 3)
    np.testing.assert_array_equal(seen.joints, episode.joints())


def test_a_seed_fixes_the_whole_episode(episode: SimEpisode) -> None:
    """The same seed gives the same images and motion; another seed another cube."""
    runs = []
    for seed in (3, 3, 4):
        episode.reset(seed)
        first = episode.observe(["cam_high"]).images["cam_high"]
        for targets in episode.plan()[:20]:
            episode.step(targets)
        runs.append((first, episode.joints()))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    assert np.abs(runs[0][1] - runs[2][1]).max() > 0


def test_a_start_offset_is_in_policy_units(episode: SimEpisode) -> None:
    """An offset moves the start pose by so much, within the servos' range."""
    offset = np.full(14, 0.05)
    episode.reset(0)
    start = episode.joints()
    episode.reset(0, joint_offset=offset)
    np.testing.assert_allclose(episode.joints() - start, offset, atol=1e-9)


def test_another_robots_profile_is_refused() -> None:
    """The simulated robot only runs under its own profile."""
    with pytest.raises(ConfigurationError, match="its joints must be: left_waist"):
        SimEpisode(get_task("lift"), load_robot_profile(ROBOTS / "agilex_cobot_magic.yaml"))
