"""Any robot without its hardware: drivers that follow commands within the limits of a robot profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import NS_PER_S, seconds_to_ns
from video2act_ros.sim.controlled_robot import ControlledRobot, SetPoint
from video2act_ros.sim.driver import ArmDriver, TrajectoryPoint
from video2act_ros.sim.trajectory_controller import JointTrajectoryMessage

Array = NDArray[np.float64]


class MockDrivers(Protocol):
    """Drivers of a whole robot, in explicit time. One thread."""

    def set_active(self, active: bool) -> None:
        """Act on commands, or judge them only and leave every joint to itself."""

    def step(self, now_s: float) -> tuple[Array, Array]:
        """Move on to `now_s`; return positions and velocities, (J,) each."""

    def abandoned_s(self, now_s: float) -> float | None:
        """Return for how long [s] commands have failed to come in mid-motion; None: all is well."""

    def is_idle(self, now_s: float) -> bool:
        """Return whether every joint stands and nobody commands any."""


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
        self._active = True

    def set_active(self, active: bool) -> None:
        """Act on commands, or judge them only; a joint in motion brakes then as when its commands stop."""
        self._active = active

    def command(
        self, output: int, names: Sequence[str], points: Sequence[TrajectoryPoint], now_s: float
    ) -> None:
        """Let the driver of one command output follow `points`, given for the joints `names`.

        Raises:
            InputError: the command does not fit the driver's joints; nothing changes.
        """
        driver = self._drivers[output]
        if self._active:
            driver.command(names, points, now_s)
        else:
            driver.check(names, points)

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


class ControlledMockRobot:
    """The robot of a profile with `mock: {controller: joint_trajectory_controller}`, its controllers in step with time.

    Every controller makes its updates at the profile's rate, also those that fell due between two calls. None has a
    time-out: a trajectory controller holds after its last point, the others hold at once. One thread.
    """

    def __init__(self, profile: RobotProfile, timeout_s: float) -> None:
        """Stand at `start`, at time 0; commands in mid-motion count as missing after `timeout_s`."""
        mock, start = profile.mock, profile.array("start")
        self._robot = ControlledRobot(
            profile,
            start,
            profile.mock_lag_s,
            mock.rate_hz,
            start_from=mock.start_from,
            splice_at_stamp=mock.splice_at_stamp,
        )
        self._period_ns = round(NS_PER_S / mock.rate_hz)
        self._next_ns = 0
        self._timeout_s = timeout_s
        self._commanded_s = -np.inf

    def set_active(self, active: bool) -> None:
        """Activate or deactivate the controllers: an inactive one judges its messages, and its last command stands."""
        self._robot.set_active(active)

    def receive(self, output: int, message: JointTrajectoryMessage | SetPoint, now_s: float) -> None:
        """Give one output's controller a message; stamps are ns of the clock of `now_s`.

        Raises:
            InputError: the controller refuses it; nothing changes.
        """
        self._update(seconds_to_ns(now_s))
        self._robot.receive(output, message, seconds_to_ns(now_s))
        self._commanded_s = now_s

    def step(self, now_s: float) -> tuple[Array, Array]:
        """Move on to `now_s`; return positions and velocities, (J,) each."""
        self._update(seconds_to_ns(now_s))
        return self._robot.measured(seconds_to_ns(now_s))

    def abandoned_s(self, now_s: float) -> float | None:
        """Return for how long [s] commands have failed to come in mid-motion; None: all is well."""
        self._update(seconds_to_ns(now_s))
        silent_s = now_s - self._commanded_s
        return silent_s if silent_s > self._timeout_s and self._robot.moves else None

    def is_idle(self, now_s: float) -> bool:
        """Return whether every joint stands and nobody commands any."""
        return now_s - self._commanded_s > self._timeout_s and not np.any(self.step(now_s)[1])

    def _update(self, now_ns: int) -> None:
        """Make every update that has fallen due."""
        while self._next_ns <= now_ns:
            self._robot.update(self._next_ns)
            self._next_ns += self._period_ns
