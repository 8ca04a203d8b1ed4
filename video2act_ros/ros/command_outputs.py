"""Commands to messages: the topics and types that a robot profile names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from video2act_ros.control.loop import Command
from video2act_ros.core.robot_profile import CommandOutput, RobotProfile
from video2act_ros.ros import qos
from video2act_ros.ros.convert import ns_to_stamp, s_to_duration

Vector = NDArray[np.float64]
MESSAGE_TYPES = {
    "joint_trajectory": JointTrajectory,
    "forward_position": Float64MultiArray,
    "joint_state": JointState,
}


class CommandConverter:
    """Turns a command into the message of one output, in the robot's units, order and names."""

    def __init__(self, profile: RobotProfile, output: CommandOutput, period_s: float) -> None:
        self._profile = profile
        self._type = output.type
        self._period_s = period_s
        self._names = [output.names.get(joint, joint) for joint in output.joints]
        self._indices = np.array([profile.joint_names.index(joint) for joint in output.joints])
        self._zero = profile.to_robot(np.zeros(len(profile.joints)))

    def message(self, command: Command) -> Any:
        """Return the output's message for one tick."""
        stamp = ns_to_stamp(command.stamp_ns)
        positions = self._positions(command.positions)
        if self._type == "forward_position":
            return Float64MultiArray(data=positions)
        velocities = self._velocities(command.velocities)
        if self._type == "joint_state":
            message = JointState(name=self._names, position=positions, velocity=velocities)
            message.header.stamp = stamp
            return message
        return self._trajectory(stamp, command, positions, velocities)

    def _trajectory(
        self, stamp: Time, command: Command, positions: Sequence[float], velocities: Sequence[float]
    ) -> JointTrajectory:
        """Return the set-point, due one period after the stamp, and the way to rest from there.

        Trajectory controllers refuse a last point that moves, and with the way to rest the arm stops
        smoothly should no other message follow.
        """
        points = [self._point(positions, velocities, self._period_s)]
        if command.rest_after_s > 0.0:
            rest = self._positions(command.rest_positions)
            points.append(self._point(rest, [0.0] * len(rest), self._period_s + command.rest_after_s))
        message = JointTrajectory(joint_names=self._names, points=points)
        message.header.stamp = stamp
        return message

    @staticmethod
    def _point(
        positions: Sequence[float], velocities: Sequence[float], after_s: float
    ) -> JointTrajectoryPoint:
        return JointTrajectoryPoint(
            positions=positions, velocities=velocities, time_from_start=s_to_duration(after_s)
        )

    def _positions(self, positions: Vector) -> list[float]:
        return [float(value) for value in self._profile.to_robot(positions)[self._indices]]

    def _velocities(self, velocities: Vector) -> list[float]:
        in_robot_units = self._profile.to_robot(velocities) - self._zero  # rates have no offset
        return [float(value) for value in in_robot_units[self._indices]]


class CommandPublishers:
    """Publishes each command on every output of the profile. Called by the control thread alone."""

    def __init__(self, node: Node, profile: RobotProfile, period_s: float) -> None:
        self._outputs = [
            (
                CommandConverter(profile, output, period_s),
                node.create_publisher(MESSAGE_TYPES[output.type], output.topic, qos.COMMAND),
            )
            for output in profile.commands
        ]

    def publish(self, command: Command) -> None:
        """Send one set-point to the arm."""
        for converter, publisher in self._outputs:
            publisher.publish(converter.message(command))


class WouldBePublisher:
    """Shows on `command/would_be` what would be sent while in shadow: one trajectory over all joints."""

    def __init__(self, node: Node, profile: RobotProfile, period_s: float) -> None:
        output = CommandOutput(topic="command/would_be", type="joint_trajectory", joints=profile.joint_names)
        self._converter = CommandConverter(profile, output, period_s)
        self._publisher = node.create_publisher(JointTrajectory, output.topic, qos.COMMAND)

    def publish(self, command: Command) -> None:
        """Publish, if anybody listens."""
        if self._publisher.get_subscription_count():
            self._publisher.publish(self._converter.message(command))
