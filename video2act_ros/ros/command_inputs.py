"""Command messages to what a driver follows: the way back of `command_outputs`, for drivers without hardware."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from video2act_ros.core.errors import InputError
from video2act_ros.core.robot_profile import CommandOutput
from video2act_ros.core.types import NS_PER_S, seconds_to_ns
from video2act_ros.ros.convert import duration_to_s, stamp_to_ns
from video2act_ros.sim.driver import TrajectoryPoint
from video2act_ros.sim.trajectory_controller import JointTrajectoryMessage, Waypoint

Array = NDArray[np.float64]

POSITION_COMMAND_S = 0.02  # a plain set-point is reached this long after it arrives


class CommandReader:
    """Reads the messages of one command output, with the driver's names, in the robot's units."""

    def __init__(self, output: CommandOutput) -> None:
        self._output = output
        self._ours = {output.names.get(joint, joint): joint for joint in output.joints}

    def read(
        self, message: Any, now_s: float, now_ns: int
    ) -> tuple[tuple[str, ...], tuple[TrajectoryPoint, ...]]:
        """Return our names of the joints, and the points that a message asks for.

        Args:
            message: of the output's type.
            now_s: the driver's present time.
            now_ns: the same moment on the clock that stamps the messages.

        Raises:
            InputError: names, positions and velocities differ in number.
        """
        if isinstance(message, JointTrajectory):
            stamp_ns = stamp_to_ns(message.header.stamp)
            start_s = now_s + ((stamp_ns - now_ns) / NS_PER_S if stamp_ns else 0.0)
            names = self._names(message.joint_names)
            return names, tuple(_point(point, len(names), start_s) for point in message.points)
        names, positions = self.set_point(message)
        return names, (TrajectoryPoint(now_s + POSITION_COMMAND_S, positions, np.zeros_like(positions)),)

    def set_point(self, message: Any) -> tuple[tuple[str, ...], Array]:
        """Return our names of the joints and the positions (K,) of a message without times.

        Raises:
            InputError: names and positions differ in number.
        """
        plain = isinstance(message, Float64MultiArray)
        positions = np.array(message.data if plain else message.position, dtype=np.float64)
        names = self._output.joints if plain else self._names(message.name)
        if len(positions) != len(names):
            raise InputError(
                f"'{self._output.topic}' takes {len(names)} positions ({', '.join(names)}), got {len(positions)}"
            )
        return names, positions

    def to_controller(
        self, message: Any, now_s: float, now_ns: int
    ) -> JointTrajectoryMessage | tuple[tuple[str, ...], Array]:
        """Return a message as a controller gets it, with our names of the joints; of a trajectory nothing is judged.

        Args:
            message: of the output's type.
            now_s: the controller's present time; its stamp will be of that clock.
            now_ns: the same moment on the clock that stamps the messages.

        Raises:
            InputError: names and positions of a message without times differ in number.
        """
        if not isinstance(message, JointTrajectory):
            return self.set_point(message)
        stamp_ns = stamp_to_ns(message.header.stamp)
        begins_ns = max(stamp_ns - now_ns + seconds_to_ns(now_s), 1) if stamp_ns else 0
        points = tuple(
            Waypoint(
                stamp_to_ns(point.time_from_start),
                *(np.array(values, dtype=np.float64) for values in _values(point)),
            )
            for point in message.points
        )
        return JointTrajectoryMessage(self._names(message.joint_names), begins_ns, points)

    def _names(self, theirs: Sequence[str]) -> tuple[str, ...]:
        """Return our names; one that the driver does not have stays as it is, and is refused by it."""
        return tuple(self._ours.get(name, f"{name} (unknown to the driver)") for name in theirs)


def _values(point: Any) -> tuple[Sequence[float], ...]:
    return point.positions, point.velocities, point.accelerations, point.effort


def _point(point: Any, count: int, start_s: float) -> TrajectoryPoint:
    positions = np.array(point.positions, dtype=np.float64)
    velocities = np.array(point.velocities) if len(point.velocities) else np.zeros_like(positions)
    if not len(positions) == len(velocities) == count:
        raise InputError(
            f"a trajectory point needs {count} positions (and as many velocities or none), "
            f"got {len(positions)} and {len(velocities)}"
        )
    return TrajectoryPoint(start_s + duration_to_s(point.time_from_start), positions, velocities)
