from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.sim.aloha import AlohaSim
from video2act_ros.sim.tasks import CUBE_X_M, CUBE_Y_M, TASKS, SuccessMonitor, Task, get_task


@given(st.integers(0, 10**6))
def test_cube_poses_are_fixed_by_the_seed_and_on_the_table(seed: int) -> None:
    """A seed names one cube pose, inside the benchmark's region."""
    task = get_task("lift")
    pose = task.sample_cube(seed)
    np.testing.assert_array_equal(pose, task.sample_cube(seed))
    assert CUBE_X_M[0] <= pose[0] <= CUBE_X_M[1]
    assert CUBE_Y_M[0] <= pose[1] <= CUBE_Y_M[1]
    assert pose[2] == pytest.approx(0.02)
    assert np.linalg.norm(pose[3:]) == pytest.approx(1.0)


def test_an_unknown_task_is_refused_with_the_choices() -> None:
    """Unknown names are answered with the valid ones."""
    with pytest.raises(ConfigurationError, match="lift, transfer"):
        get_task("juggle")


def test_every_task_has_an_instruction_and_paraphrases() -> None:
    """Each task can be told in more than one way."""
    for task in TASKS.values():
        assert task.instruction
        assert len({task.instruction, *task.paraphrases}) >= 2
    assert get_task("lift").time_limit_s == 6.0


def test_a_cube_in_the_air_that_nobody_holds_is_no_success() -> None:
    """Height alone does not count: both fingers must hold the cube."""
    sim = AlohaSim()
    sim.reset(np.array([0.1, 0.5, 0.2, 1.0, 0.0, 0.0, 0.0]))
    assert not any(task.success(sim) for task in TASKS.values())


def test_success_needs_the_goal_to_hold_without_a_break() -> None:
    """A goal met for a moment does not count; once held long enough, success stays."""
    goal = [False]
    task = Task("fake", "do", (), 1.0, lambda sim: goal[0])
    sim = AlohaSim()
    monitor = SuccessMonitor(task, hold_s=0.1)

    def run(value: bool, steps: int) -> bool:
        goal[0] = value
        for _ in range(steps):
            sim.step(10)
            monitor.update(sim)
        return monitor.succeeded

    assert not run(True, 5)
    assert not run(False, 1)
    assert not run(True, 5)
    assert run(True, 2)
    assert run(False, 3)
    monitor.reset()
    assert not monitor.succeeded
