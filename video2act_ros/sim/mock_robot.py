"""Any robot without its hardware: drivers that follow commands within the limits of a robot profile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.sim.driver import ArmDriver, TrajectoryPoint

Array = NDArray[np.float64]


class MockRobot:
    """One driver per command output; each brakes by itself when its commands stop. One thread.

    The joints are ideal servos: they are where their driver's reference is. Positions are in robot units.
    """

    def __init__(self, profile: RobotProfile, timeout_s: float) -> None:
        self._names = profile.joint_names
        joints = {joint.name: joint for joint in profile.joints}
        self._drivers = [
            ArmDriver([joints[name] for name in output.joints], timeout_s, profile.command_speed)
            for output in profile.commands
        ]
        self._indices = [
            np.array([self._names.index(name) for name in output.joints]) for output in profile.commands
        ]
        self._positions = profile.array("start")
        self._velocities = np.zeros_like(self._positions)
        self._time_s = 0.0

    def command(
        self, output: int, names: Sequence[str], points: Sequence[TrajectoryPoint], now_s: float
    ) -> None:
        """Let the driver of one command output follow `points`, given for the joints `names`.

        Raises:
            InputError: the command does not fit the driver's joints; nothing changes.
        """
        self._drivers[output].command(names, points, now_s)

    def step(self, now_s: float) -> tuple[Array, Array]:
        """Move on to `now_s`; return positions and velocities, (J,) each."""
        positions = self._positions.copy()
        for driver, indices in zip(self._drivers, self._indices, strict=True):
            positions[indices] = driver.update(now_s)
        elapsed_s = now_s - self._time_s
        if elapsed_s > 0:
            self._velocities = (positions - self._positions) / elapsed_s
        self._positions, self._time_s = positions, now_s
        return positions, self._velocities

    def abandoned_s(self, now_s: float) -> float | None:
        """Return for how long [s] commands have failed to come in mid-motion; None: all is well."""
        silent = [value for driver in self._drivers if (value := driver.abandoned_s(now_s)) is not None]
        return max(silent, default=None)

    def is_idle(self, now_s: float) -> bool:
        """Return whether every joint stands and nobody commands any."""
        return all(driver.is_idle(now_s) for driver in self._drivers)
