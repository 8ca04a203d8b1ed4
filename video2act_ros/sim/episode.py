"""One simulated episode in lock-step: what demonstrations and policy evaluation share."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

import numpy as np

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import Observation, seconds_to_ns
from video2act_ros.sim.aloha import JOINT_NAMES, START_POSITIONS, AlohaSim, Array
from video2act_ros.sim.cameras import (
    CAMERA_NAMES,
    DEFAULT_HEIGHT,
    DEFAULT_NOISE_STD,
    DEFAULT_WIDTH,
    SceneRenderer,
)
from video2act_ros.sim.expert import CONTROL_STEP_S, Expert
from video2act_ros.sim.scene import PHYSICS_STEP_S
from video2act_ros.sim.tasks import SuccessMonitor, Task

_SUBSTEPS = round(CONTROL_STEP_S / PHYSICS_STEP_S)


class SimEpisode:
    """The simulated robot stepped at 50 Hz on demand; positions are in policy units at this API.

    Single-threaded: the thread that constructs it renders. Close it, or use it as a context manager.

    Args:
        task: cube poses, time limit and success.
        profile: maps the robot's units to policy units; its joints must be the simulated robot's.
        width, height, noise_std: the cameras, as the simulated robot publishes them.
    """

    def __init__(
        self,
        task: Task,
        profile: RobotProfile,
        width: int = DEFAULT_WIDTH,
        height: int = DEFAULT_HEIGHT,
        noise_std: float = DEFAULT_NOISE_STD,
    ) -> None:
        if profile.joint_names != JOINT_NAMES:
            raise ConfigurationError(
                f"robot profile '{profile.name}' does not describe the simulated ALOHA robot; "
                f"its joints must be: {', '.join(JOINT_NAMES)}"
            )
        self.task = task
        self.profile = profile
        self.sim = AlohaSim()
        self._expert = Expert(self.sim)
        self._monitor = SuccessMonitor(task)
        self._renderer = SceneRenderer(self.sim.model, width, height, noise_std)
        self._frame = 0

    def reset(self, seed: int, joint_offset: Array | None = None) -> None:
        """Start the episode of `seed`: its cube pose and its sensor noise.

        Args:
            seed: episode number, from 0.
            joint_offset: (14,) added to the start pose, in policy units.
        """
        start = START_POSITIONS
        if joint_offset is not None:
            start = self.profile.to_robot(self.profile.to_policy(start) + joint_offset)
        self.sim.reset(self.task.sample_cube(seed), start)
        self._monitor.reset()
        self._renderer.seed = seed
        self._frame = 0

    def plan(self) -> Array:
        """Return the expert's joint targets (T, 14) in policy units; row 0 is due now."""
        return self.profile.to_policy(self._expert.plan(self.task.name))

    def joints(self) -> Array:
        """Return the measured joints (14,) in policy units."""
        return self.profile.to_policy(self.sim.positions())

    def observe(self, cameras: Iterable[str] = CAMERA_NAMES) -> Observation:
        """Render `cameras`; return them with the joints of that instant, stamped with simulated time."""
        images = self._renderer.render(self.sim.snapshot(), self._frame, cameras)
        self._frame += 1
        stamp_ns = seconds_to_ns(self.sim.time_s)
        return Observation(
            stamp_ns=stamp_ns,
            images=images,
            image_stamps_ns=dict.fromkeys(images, stamp_ns),
            joints=self.joints(),
            joint_stamp_ns=stamp_ns,
            instruction=self.task.instruction,
        )

    def step(self, targets: Array) -> bool:
        """Hold `targets` (14,) in policy units for one control period (20 ms); return `succeeded`."""
        self.sim.set_targets(self.profile.to_robot(np.asarray(targets, dtype=np.float64)))
        self.sim.step(_SUBSTEPS)
        return self._monitor.update(self.sim)

    @property
    def succeeded(self) -> bool:
        """Whether the goal has held long enough at any time since the reset."""
        return self._monitor.succeeded

    @property
    def timed_out(self) -> bool:
        """Whether the task's time limit has passed."""
        return self.sim.time_s >= self.task.time_limit_s

    def close(self) -> None:
        """Free the renderer, in the thread that constructed the episode."""
        self._renderer.close()

    def __enter__(self) -> SimEpisode:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
