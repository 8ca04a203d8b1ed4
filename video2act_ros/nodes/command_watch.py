"""Listens to every joint command that a stack sends and judges it against the limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from trajectory_msgs.msg import JointTrajectory

from video2act_ros.control.limit_check import LimitCheck
from video2act_ros.control.limiter import JointLimits
from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_profile import CommandOutput, RobotProfile
from video2act_ros.nodes.demo_node import DemoNode
from video2act_ros.ros import qos
from video2act_ros.ros.convert import stamp_to_ns

INTRUDER = "intruder"
"""`header.frame_id` of commands that are not the command node's own and are not judged."""


class CommandWatch:
    """Judges commands while it is `recording`; it listens through a DemoNode, in its executor's thread."""

    def __init__(self, node: DemoNode, period_s: float) -> None:
        """Subscribe; `period_s` is the command node's control period.

        Raises:
            ConfigurationError: the profile sends commands that carry no stamps.
        """
        self._node = node
        self._period_s = period_s
        self.recording = False
        self.begin()
        for output in node.profile.commands:
            if output.type != "joint_trajectory":
                raise ConfigurationError(
                    f"only joint_trajectory commands can be judged, '{output.topic}' is of type {output.type}"
                )
            node.create_subscription(JointTrajectory, output.topic, self._judge(output), qos.DATA)

    def begin(self) -> None:
        """Forget what was judged."""
        profile = self._node.profile
        self.checks = {
            output.topic: LimitCheck(_limits_of(profile, _indices(profile, output)), self._period_s)
            for output in profile.commands
        }

    @property
    def commands(self) -> int:
        """How many commands were judged."""
        return sum(check.commands for check in self.checks.values())

    @property
    def outside(self) -> int:
        """How many left a limit."""
        return sum(check.outside for check in self.checks.values())

    def _judge(self, output: CommandOutput) -> Callable[[JointTrajectory], None]:
        profile = self._node.profile
        indices = _indices(profile, output)

        def judge(message: JointTrajectory) -> None:
            if self.recording and message.header.frame_id != INTRUDER:
                positions = np.zeros(len(profile.joints))
                positions[indices] = message.points[0].positions
                with self._node.changed:
                    check = self.checks[output.topic]
                    check.add(stamp_to_ns(message.header.stamp), profile.to_policy(positions)[indices])
                    self._node.changed.notify_all()

        return judge


def _indices(profile: RobotProfile, output: CommandOutput) -> NDArray[np.int64]:
    return np.array([profile.joint_names.index(joint) for joint in output.joints])


def _limits_of(profile: RobotProfile, indices: NDArray[np.int64]) -> JointLimits:
    limits = JointLimits.of(profile)
    return JointLimits(*(getattr(limits, name)[indices] for name in JointLimits.__slots__))
