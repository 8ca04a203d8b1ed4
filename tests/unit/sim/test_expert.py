from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from video2act_ros.core.errors import ConfigurationError, SimulationError
from video2act_ros.core.robot_profile import RobotProfile, load_robot_profile
from video2act_ros.sim.aloha import GRIPPER_CLOSED_M, GRIPPER_OPEN_M, JOINT_NAMES, START_POSITIONS, AlohaSim
from video2act_ros.sim.expert import CONTROL_STEP_S, Expert, minimum_jerk
from video2act_ros.sim.tasks import get_task

ROBOTS = Path(__file__).parents[3] / "config" / "robots"


@pytest.fixture(scope="module")
def profile() -> RobotProfile:
    return load_robot_profile(ROBOTS / "aloha_sim.yaml")


@pytest.fixture(scope="module")
def sim() -> AlohaSim:
    return AlohaSim()


def succeeds(sim: AlohaSim, task_name: str, seed: int) -> bool:
    task = get_task(task_name)
    sim.reset(task.sample_cube(seed))
    for targets in Expert(sim).plan(task_name):
        sim.set_targets(targets)
        sim.step(10)
    return task.success(sim)


@pytest.mark.parametrize("task", ["lift", "transfer"])
def test_the_expert_succeeds_on_random_cubes(sim: AlohaSim, task: str) -> None:
    """The scripted expert succeeds on at least 49 of 50 cubes of the region."""
    assert sum(succeeds(sim, task, seed) for seed in range(50)) >= 49


@pytest.mark.parametrize("task", ["lift", "transfer"])
def test_the_expert_moves_within_the_profiles_limits(sim: AlohaSim, profile: RobotProfile, task: str) -> None:
    """Expert motion stays inside position, velocity and acceleration limits, so no limiter bends it."""
    expert = Expert(sim)
    for seed in range(20):
        sim.reset(get_task(task).sample_cube(seed))
        targets = np.vstack([sim.targets(), sim.targets(), expert.plan(task)])  # from rest
        velocity = np.diff(targets, axis=0) / CONTROL_STEP_S
        acceleration = np.diff(velocity, axis=0) / CONTROL_STEP_S
        assert np.all(np.abs(velocity).max(axis=0) < 0.9 * profile.array("velocity_max"))
        assert np.all(np.abs(acceleration).max(axis=0) < 0.9 * profile.array("acceleration_max"))
        assert np.all(targets >= profile.array("position_min"))
        assert np.all(targets <= profile.array("position_max"))


def test_the_lifted_cube_is_held_at_the_end(sim: AlohaSim) -> None:
    """The plan ends with about a second at rest with the cube up, from which a policy learns to hold."""
    sim.reset(get_task("lift").sample_cube(0))
    plan = Expert(sim).plan("lift")
    last = plan[-round(0.9 / CONTROL_STEP_S) :]
    assert np.abs(last - last[-1]).max() < 0.01


def test_planning_leaves_the_simulation_alone(sim: AlohaSim) -> None:
    """The expert only reads the simulation."""
    sim.reset(get_task("lift").sample_cube(1))
    before = sim.snapshot()
    Expert(sim).plan("lift")
    np.testing.assert_array_equal(sim.snapshot(), before)


def test_a_cube_out_of_reach_is_named(sim: AlohaSim) -> None:
    """An unreachable way-point is an error, not a wrong motion."""
    sim.reset(np.array([-0.9, 0.5, 0.02, 1.0, 0.0, 0.0, 0.0]))
    with pytest.raises(SimulationError, match="right arm cannot reach"):
        Expert(sim).plan("lift")


def test_an_unknown_task_is_refused_with_the_choices(sim: AlohaSim) -> None:
    """Unknown names are answered with the valid ones."""
    with pytest.raises(ConfigurationError, match="lift, transfer"):
        Expert(sim).plan("juggle")


def test_minimum_jerk_starts_and_ends_at_rest() -> None:
    """0 before, 1 after, monotonic between, with zero slope and curvature at both ends."""
    phase = np.linspace(-0.5, 1.5, 2001)
    value = minimum_jerk(phase)
    assert value[0] == 0.0
    assert value[-1] == pytest.approx(1.0)
    assert np.all(np.diff(value) >= 0.0)
    step = 1e-4
    for end in (0.0, 1.0):
        here = minimum_jerk(np.array([end - step, end, end + step]))
        assert np.abs(np.diff(here)).max() < 1e-10


def test_the_profile_describes_the_simulated_robot(sim: AlohaSim, profile: RobotProfile) -> None:
    """The shipped profile has the model's joints, servo ranges, start pose and gripper convention."""
    assert profile.joint_names == JOINT_NAMES
    np.testing.assert_allclose(profile.array("start"), START_POSITIONS)
    low, high = sim.model.actuator_ctrlrange[[*range(7), *range(8, 15)]].T
    arm = np.array([not joint.gripper for joint in profile.joints])
    np.testing.assert_allclose(profile.array("position_min")[arm], low[arm])
    np.testing.assert_allclose(profile.array("position_max")[arm], high[arm])
    assert set(profile.array("position_min")[~arm]) == {GRIPPER_CLOSED_M}
    assert set(profile.array("position_max")[~arm]) == {GRIPPER_OPEN_M}


def test_the_papers_robot_has_a_profile() -> None:
    """The AgileX pair: 14 joints, two joint-state sources and one command output per arm."""
    profile = load_robot_profile(ROBOTS / "agilex_cobot_magic.yaml")
    assert len(profile.joints) == 14
    assert profile.camera_names == ("cam_high", "cam_right_wrist", "cam_left_wrist")
    assert [output.type for output in profile.commands] == ["joint_state", "joint_state"]
    theirs = [f"joint{index}" for index in range(7)]
    for side, source in zip(("left", "right"), profile.joint_states, strict=True):
        found = profile.order(theirs, source)
        assert found == {f"{side}_joint{index}": index for index in range(7)}
