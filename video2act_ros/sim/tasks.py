"""What the simulated robot can be asked to do, and when it has done it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from video2act_ros.core.errors import ConfigurationError, unknown_choice
from video2act_ros.sim.aloha import CUBE_REST_HEIGHT_M, AlohaSim, Array

# The benchmark's region of the table for the cube's centre [m].
CUBE_X_M, CUBE_Y_M = (0.0, 0.2), (0.4, 0.6)


@dataclass(frozen=True, slots=True)
class Task:
    """A task: its instruction, its time limit and its test of success."""

    name: str
    instruction: str
    paraphrases: tuple[str, ...]
    time_limit_s: float
    succeeded_now: Callable[[AlohaSim], bool]

    def sample_cube(self, seed: int) -> Array:
        """Return the cube's (7,) start pose for `seed`: uniform over the region, axes aligned."""
        random = np.random.default_rng(seed)
        x_m, y_m = random.uniform(*CUBE_X_M), random.uniform(*CUBE_Y_M)
        return np.array([x_m, y_m, CUBE_REST_HEIGHT_M, 1.0, 0.0, 0.0, 0.0])

    def success(self, sim: AlohaSim) -> bool:
        """Return whether the goal holds at this instant."""
        return self.succeeded_now(sim)


class SuccessMonitor:
    """Latches a task's success once the goal has held without a break for `hold_s` of simulated time."""

    def __init__(self, task: Task, hold_s: float = 0.3) -> None:
        self._task = task
        self._hold_s = hold_s
        self.reset()

    def reset(self) -> None:
        """Forget everything; a new episode starts."""
        self._since_s: float | None = None
        self.succeeded = False

    def update(self, sim: AlohaSim) -> bool:
        """Look at `sim` once (every control step) and return whether the task has succeeded."""
        if not self._task.success(sim):
            self._since_s = None
        elif self._since_s is None:
            self._since_s = sim.time_s
        elif sim.time_s - self._since_s >= self._hold_s:
            self.succeeded = True
        return self.succeeded


def _lifted(sim: AlohaSim) -> bool:
    """Both right fingers hold the cube more than 8 cm above the table."""
    return sim.cube_position()[2] > 0.08 and sim.fingers_on_cube("right") == 2


def _transferred(sim: AlohaSim) -> bool:
    """Both left fingers hold the cube more than 10 cm up, and the right ones have let go."""
    held = sim.cube_position()[2] > 0.10 and sim.fingers_on_cube("left") == 2
    return held and sim.fingers_on_cube("right") == 0


TASKS = {
    task.name: task
    for task in (
        Task(
            name="lift",
            instruction="lift the red cube with the right arm",
            paraphrases=("pick up the red cube on the right", "raise the red block with your right arm"),
            time_limit_s=6.0,
            succeeded_now=_lifted,
        ),
        Task(
            name="transfer",
            instruction="hand the red cube from the right arm to the left arm",
            paraphrases=("pass the red cube to the left gripper", "transfer the red block to your left arm"),
            time_limit_s=9.0,
            succeeded_now=_transferred,
        ),
    )
}


def get_task(name: str) -> Task:
    """Return the task called `name`.

    Raises:
        ConfigurationError: no such task; the message lists the known ones.
    """
    if name not in TASKS:
        raise ConfigurationError(unknown_choice("task", name, TASKS))
    return TASKS[name]
