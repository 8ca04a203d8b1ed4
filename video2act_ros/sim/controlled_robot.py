"""A robot behind the controllers of ros2_control or a vendor's driver, with joints that follow late."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.sim.delayed_joints import DelayedJoints
from video2act_ros.sim.forward_controller import ForwardController
from video2act_ros.sim.trajectory_controller import JointTrajectoryMessage, StartFrom, TrajectoryController

Array = NDArray[np.float64]
SetPoint = tuple[Sequence[str], Array]
"""Names of joints, and a position for each: a command without times."""


class ControlledRobot:
    """One controller for each command output of a profile, all updated at one rate, and the joints behind them.

    Outputs of the type `joint_trajectory` have a `TrajectoryController`, the others a `ForwardController`. Positions
    are in robot units, times in ns of one clock. One thread.
    """

    def __init__(
        self,
        profile: RobotProfile,
        positions: Array,
        lag_s: Array,
        rate_hz: float,
        *,
        start_from: StartFrom = "measured",
        splice_at_stamp: bool = False,
    ) -> None:
        """Stand at `positions` (J,); `lag_s` (J,) is how late each joint follows its controller."""
        names = profile.joint_names
        self._indices = [
            np.array([names.index(joint) for joint in output.joints]) for output in profile.commands
        ]
        self.controllers = [
            TrajectoryController(
                output.joints,
                positions[indices],
                rate_hz,
                start_from=start_from,
                splice_at_stamp=splice_at_stamp,
            )
            if output.type == "joint_trajectory"
            else ForwardController(output.joints, positions[indices])
            for output, indices in zip(profile.commands, self._indices, strict=True)
        ]
        self._joints = DelayedJoints(positions, lag_s)
        self._commanded = np.array(positions, dtype=np.float64)

    def set_active(self, active: bool) -> None:
        """Activate or deactivate every controller; the last commands stand in either case."""
        for controller in self.controllers:
            if active:
                controller.activate()
            else:
                controller.deactivate()

    @property
    def moves(self) -> bool:
        """Whether a newest command is one of a motion, as far as it tells."""
        return any(controller.moves for controller in self.controllers)

    def receive(self, output: int, message: JointTrajectoryMessage | SetPoint, now_ns: int) -> None:
        """Give one output's controller a message that arrives at `now_ns`, for its next update.

        Raises:
            InputError: the controller refuses it; nothing changes.
        """
        controller = self.controllers[output]
        if isinstance(message, JointTrajectoryMessage):
            assert isinstance(controller, TrajectoryController)
            controller.receive(message, now_ns)
        else:
            assert isinstance(controller, ForwardController)
            controller.receive(*message)

    def measured(self, now_ns: int) -> tuple[Array, Array]:
        """Return where the joints are and how fast, (J,) each."""
        return self._joints.at(now_ns)

    def update(self, now_ns: int) -> Array:
        """Let every controller make its update at `now_ns`; return their commands (J,)."""
        positions, velocities = self._joints.at(now_ns)
        commanded = self._commanded.copy()
        for controller, indices in zip(self.controllers, self._indices, strict=True):
            if isinstance(controller, TrajectoryController):
                commanded[indices] = controller.update(now_ns, positions[indices], velocities[indices])
            else:
                commanded[indices] = controller.update()
        self._joints.command(now_ns, commanded)
        self._commanded = commanded
        return commanded.copy()
