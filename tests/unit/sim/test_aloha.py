from __future__ import annotations

import numpy as np
import pytest

from video2act_ros.core.errors import InputError
from video2act_ros.sim.aloha import GRIPPERS, JOINT_NAMES, START_POSITIONS, AlohaSim

ARM_JOINTS = np.delete(np.arange(14), GRIPPERS)


@pytest.fixture(scope="module")
def sim() -> AlohaSim:
    return AlohaSim()


def test_the_robot_has_the_papers_fourteen_joints_in_order(sim: AlohaSim) -> None:
    """Joint order is left arm, left gripper, right arm, right gripper."""
    assert len(sim.joint_names) == 14
    assert sim.joint_names[0] == "left_waist"
    assert sim.joint_names[6] == "left_gripper"
    assert sim.joint_names[7] == "right_waist"
    assert sim.joint_names[13] == "right_gripper"


def test_each_joint_follows_its_own_target_only(sim: AlohaSim) -> None:
    """A target at index i moves the joint named at index i and no other: the order is one and the same."""
    for index in range(len(JOINT_NAMES)):
        sim.reset()
        targets = START_POSITIONS.copy()
        targets[index] += 0.015 if index in (6, 13) else 0.2
        sim.set_targets(targets)
        sim.step(500)
        moved = sim.positions() - START_POSITIONS
        assert moved[index] == pytest.approx(targets[index] - START_POSITIONS[index], abs=0.02)
        others = np.delete(moved, index)
        assert np.abs(others).max() < 0.02


def test_velocities_are_those_of_the_named_joints(sim: AlohaSim) -> None:
    """Velocities agree with the change of positions."""
    sim.reset()
    sim.set_targets(START_POSITIONS + np.where(np.arange(14) % 7 == 6, 0.01, 0.2))
    sim.step(20)
    before = sim.positions()
    sim.step(1)
    np.testing.assert_allclose(sim.velocities(), (sim.positions() - before) / sim.step_s, atol=1e-6)


def test_the_cube_rests_on_the_table_where_it_was_put(sim: AlohaSim) -> None:
    """Reset places the cube at the asked pose, at rest on the table, and restarts time."""
    sim.step(10)
    sim.reset(np.array([0.05, 0.45, 0.02, 1.0, 0.0, 0.0, 0.0]))
    assert sim.time_s == 0.0
    sim.step(200)
    np.testing.assert_allclose(sim.cube_position(), (0.05, 0.45, 0.02), atol=1e-3)
    assert sim.cube_on_table()
    assert sim.fingers_on_cube("right") == 0


def test_contacts_are_told_as_torques_on_the_joints_that_they_push(sim: AlohaSim) -> None:
    """Nothing in the air; an arm that is pressed on the table feels it in the shoulder, the other arm does not."""
    sim.reset()
    sim.step(50)
    assert np.abs(sim.contact_torques()[ARM_JOINTS]).max() < 0.01
    pressing = START_POSITIONS.copy()
    pressing[8] = 1.2
    sim.set_targets(pressing)
    sim.step(500)
    torques = np.abs(sim.contact_torques())
    assert torques[8] > 5.0
    assert torques[:6].max() < 0.01


def test_targets_are_clipped_to_the_servos(sim: AlohaSim) -> None:
    """No target leaves the position range of the model's servos."""
    sim.reset()
    sim.set_targets(np.full(14, 10.0))
    assert sim.targets()[1] == pytest.approx(1.25664)
    assert sim.targets()[13] == pytest.approx(0.057)


@pytest.mark.parametrize("bad", [np.zeros(13), np.full(14, np.nan)])
def test_bad_targets_are_refused(sim: AlohaSim, bad: np.ndarray) -> None:
    """A wrong number of joints or NaN is an error that says what is expected."""
    with pytest.raises(InputError, match="14 finite joint positions"):
        sim.set_targets(bad)


def test_an_unknown_arm_is_refused_with_the_choices(sim: AlohaSim) -> None:
    """Unknown names are answered with the valid ones."""
    with pytest.raises(InputError, match="left, right"):
        sim.fingers_on_cube("middle")


def test_a_snapshot_does_not_follow_the_physics(sim: AlohaSim) -> None:
    """A snapshot is a copy, safe to hand to the rendering thread."""
    sim.reset()
    snapshot = sim.snapshot()
    kept = snapshot.copy()
    sim.set_targets(START_POSITIONS + 0.01)
    sim.step(50)
    np.testing.assert_array_equal(snapshot, kept)


def test_the_same_targets_give_the_same_motion() -> None:
    """Physics is deterministic: two simulations stay bitwise equal."""
    first, second = AlohaSim(), AlohaSim()
    for sim in (first, second):
        sim.reset()
        sim.set_targets(START_POSITIONS + 0.01)
        sim.step(100)
    np.testing.assert_array_equal(first.snapshot(), second.snapshot())


def test_without_power_the_arms_fall_and_with_it_they_go_to_their_targets():
    """A fault of the simulated robot: servos off, then on again. What is commanded meanwhile counts then."""
    sim = AlohaSim()
    start, friction = sim.positions(), sim.model.dof_frictionloss.copy()
    sim.set_power(False)
    sim.set_targets(start)
    for _ in range(20):
        sim.step(25)
    assert np.abs(sim.positions() - start).max() > 0.5
    assert np.array_equal(sim.targets(), start)
    sim.set_power(True)
    for _ in range(20):
        sim.step(25)
    assert np.allclose(sim.positions()[:6], start[:6], atol=0.05)
    assert np.array_equal(sim.model.dof_frictionloss, friction)
