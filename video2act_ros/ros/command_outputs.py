"""Commands to messages: the topics and types that a robot profile names."""

from __future__ import annotations

import array
import contextlib
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from video2act_ros.control.command import Command
from video2act_ros.core.config import CommandConfig
from video2act_ros.core.drivers import DriverFinding
from video2act_ros.core.robot_profile import CommandOutput, RobotProfile
from video2act_ros.core.types import seconds_to_ns
from video2act_ros.ros import qos
from video2act_ros.ros.command_listeners import CommandListeners
from video2act_ros.ros.convert import ns_to_duration, ns_to_stamp

Vector = NDArray[np.float64]
REPLAY_PREFIX = "replay/"
"""Stands before every command topic of a stack that replays a bag, where no driver listens."""

_STANDING_S = 0.2
"""How far ahead every trajectory reaches: controllers refuse one that is over when it arrives."""

MESSAGE_TYPES = {
    "joint_trajectory": JointTrajectory,
    "forward_position": Float64MultiArray,
    "joint_state": JointState,
}


class CommandConverter:
    """Turns a command into the message of one output, in the robot's units, order and names."""

    def __init__(self, profile: RobotProfile, output: CommandOutput, period_s: float) -> None:
        self._type = output.type
        self._sends_velocities = output.velocities
        self._period_s = period_s
        self._names = [output.names.get(joint, joint) for joint in output.joints]
        self._indices = np.array([profile.joint_names.index(joint) for joint in output.joints])
        zeros = np.zeros(len(profile.joints))
        self._offset = profile.to_robot(zeros)[self._indices]
        self._scale = profile.to_robot(zeros + 1.0)[self._indices] - self._offset

    def message(self, command: Command) -> Any:
        """Return the output's message for one tick."""
        stamp = ns_to_stamp(command.stamp_ns)
        if self._type == "joint_trajectory":
            return self._trajectory(stamp, command)
        positions = self._positions(command.state.positions)
        if self._type == "forward_position":
            return Float64MultiArray(data=positions)
        message = JointState(name=self._names, position=positions)
        if self._sends_velocities:
            message.velocity = self._rates(command.state.velocities)
        message.header.stamp = stamp
        return message

    def _trajectory(self, stamp: Time, command: Command) -> JointTrajectory:
        """Return the motion from the stamp on: what is settled, then the way to rest.

        A trajectory controller bridges the time before the first point by a motion of its own, so that point is due at
        the stamp itself. It refuses a message in which two points are due in the same nanosecond, and a last point that
        moves. Between points it interpolates: with accelerations as smoothly as the motion was planned.
        """
        first = [] if command.start is None else [(0.0, command.start)]
        later = [(self._period_s + after_s, state) for after_s, state in command.braking]
        states = [*first, (self._period_s, command.state), *later]
        if first and states[-1][0] < _STANDING_S:  # a point of its own: the way to rest keeps its time
            states.append((_STANDING_S, states[-1][1]))
        due_ns = [seconds_to_ns(after_s) for after_s, _ in states]
        points = [
            JointTrajectoryPoint(
                positions=self._positions(state.positions),
                velocities=self._rates(state.velocities),
                accelerations=self._rates(state.accelerations),
                time_from_start=ns_to_duration(due),
            )
            for due, following, (_, state) in zip(due_ns, [*due_ns[1:], None], states, strict=True)
            if following is None or due < following
        ]
        message = JointTrajectory(joint_names=self._names, points=points)
        message.header.stamp = stamp
        return message

    # Message fields take arrays of this type as they are; lists would be checked value by value.

    def _positions(self, positions: Vector) -> array.array[float]:
        return array.array("d", (positions[self._indices] * self._scale + self._offset).tobytes())

    def _rates(self, rates: Vector) -> array.array[float]:
        return array.array("d", (rates[self._indices] * self._scale).tobytes())


class CommandPublishers:
    """Publishes each command on every output of the profile. Called by the control thread alone.

    With `replay` on topics that no driver listens to.
    """

    def __init__(self, node: Node, profile: RobotProfile, period_s: float, *, replay: bool = False) -> None:
        self._node = node
        self._outputs = [
            (
                CommandConverter(profile, output, period_s),
                node.create_publisher(MESSAGE_TYPES[output.type], _topic(output, replay), qos.COMMAND),
            )
            for output in profile.commands
        ]
        heard = (
            ()
            if replay
            else tuple(zip(profile.commands, (publisher for _, publisher in self._outputs), strict=True))
        )
        self._listeners = CommandListeners(node, heard)

    def publish(self, command: Command) -> None:
        """Send one set-point to the arm; an output that fails costs no other one its command.

        Raises:
            Exception: the first output's error, once all were tried.
        """
        failure: Exception | None = None
        for converter, publisher in self._outputs:
            try:
                publisher.publish(converter.message(command))
            except Exception as error:  # noqa: BLE001  the other outputs' joints must brake with the arm
                failure = failure or error
        if failure is not None:
            raise failure

    def shared_topics(self) -> dict[str, str]:
        """Return the command topics that somebody else publishes, too: who, and the remedy, in words.

        Not for the control thread.
        """
        topics = [publisher.topic_name for _, publisher in self._outputs]
        return {
            topic: self._others(topic, topics.count(topic))
            for topic in dict.fromkeys(topics)
            if self._node.count_publishers(topic) > topics.count(topic)
        }

    def _others(self, topic: str, own: int) -> str:
        """Name the publishers of `topic` except for `own` of this node's."""
        names = sorted(
            f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            for info in self._node.get_publishers_info_by_topic(topic)
        )
        for _ in range(own):
            with contextlib.suppress(ValueError):
                names.remove(self._node.get_fully_qualified_name())
        return "; ".join(self._remedy(name) for name in dict.fromkeys(names)) or "it is gone again"

    def _remedy(self, name: str) -> str:
        if name == self._node.get_fully_qualified_name():
            return (
                f"a second {name}, so two stacks share this ROS domain and namespace; end one, or start it with "
                "another namespace:=NAME or ROS_DOMAIN_ID"
            )
        if name.endswith(f"/{CommandConfig.NODE_NAME}"):
            return f"{name} of another stack; name topics of its own, without a leading /, in each robot's profile"
        return f"{name}; stop it"

    def drivers(self) -> tuple[DriverFinding, ...]:
        """Look who takes each output's commands; in the profile's order. Not for the control thread."""
        return self._listeners.look()

    def close(self) -> None:
        """Give up what was subscribed to know the drivers; the next look subscribes again."""
        self._listeners.close()


def _topic(output: CommandOutput, replay: bool) -> str:
    return REPLAY_PREFIX + output.topic.lstrip("/") if replay else output.topic


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
