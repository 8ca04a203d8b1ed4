"""`/mock_driver`: stands in for the drivers and cameras of any robot profile, without hardware or physics."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState

from video2act_ros.core.config import MockDriverConfig, NodeConfig
from video2act_ros.core.errors import ConfigurationError, unknown_choice
from video2act_ros.core.robot_profile import CommandOutput, load_robot_profile
from video2act_ros.core.types import CameraFrame
from video2act_ros.ros import qos
from video2act_ros.ros.command_inputs import CommandReader
from video2act_ros.ros.command_outputs import MESSAGE_TYPES
from video2act_ros.ros.convert import ns_to_stamp
from video2act_ros.ros.convert_images import IMAGE_MESSAGES, message_from_frame
from video2act_ros.ros.environment import resolve_profile
from video2act_ros.ros.inputs import now_ns
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.process import run_node
from video2act_ros.sim.mock_cameras import MockCamera
from video2act_ros.sim.mock_robot import ControlledMockRobot, MockRobot

JOINTS, CAMERAS = "joints", "cameras"
ABANDONED = "arm without commands"
"""Name of a problem; none that a topic could have, for what is wrong with a message is told under its topic."""
_READINGS, _SAME_MOMENT_S = 5, 2e-4  # two clocks are read at once within so many tries, so exactly


class MockDriverNode(ManagedNode):
    """Publishes and takes what the profile says, with the drivers' own names, units and message types.

    As ros2_control's mock components do: commands become states, here within the joints' limits, or by the rules of
    ros2_control's own controllers where the profile's `mock` key says so. Everything happens in the executor's thread.
    """

    CONFIG = MockDriverConfig
    config: MockDriverConfig

    def setup(self) -> None:
        """Make the drivers, the cameras and their publishers."""
        config = self.config
        self.profile = profile = load_robot_profile(resolve_profile(config.robot))
        self._check_silent(config)
        simple = profile.mock.controller == "simple"
        make = MockRobot if simple else ControlledMockRobot
        self._robot: MockRobot | ControlledMockRobot = make(profile, config.command_timeout_s)
        self._robot.set_active(config.controllers == "active")
        self._low = profile.array("position_min")
        self._span = profile.array("position_max") - self._low
        self._sources = [
            (
                self.create_publisher(JointState, source.topic, qos.SOURCE),
                [source.names.get(joint, joint) for joint in joints],
                [profile.joint_names.index(joint) for joint in joints],
            )
            for source, joints in zip(profile.joint_states, profile.carried_joints, strict=True)
        ]
        self._cameras = [
            (
                camera,
                self.create_publisher(IMAGE_MESSAGES[camera.transport], camera.topic, qos.SOURCE),
                MockCamera(
                    index, len(profile.joints), config.image_width, config.image_height, config.image_noise
                ),
            )
            for index, camera in enumerate(profile.cameras)
        ]

    def start(self) -> None:
        """Listen to commands and begin to publish."""
        self._started_s = time.monotonic()
        for index, output in enumerate(self.profile.commands):
            self.subscribe(
                MESSAGE_TYPES[output.type], output.topic, self._receiver(index, output), qos.COMMAND
            )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / self.config.joint_rate_hz, self._publish_joints, clock=steady)
        self.create_timer(1.0 / self.config.camera_rate_hz, self._publish_images, clock=steady)

    @property
    def may_end(self) -> bool:
        """Only once the command node has brought the arm to rest and let go of it, as a real arm would stay."""
        return self.state_name != "active" or self._robot.is_idle(self._now_s())

    def check_config(self, config: NodeConfig) -> None:
        """Refuse to silence what the profile does not have."""
        if isinstance(config, MockDriverConfig) and hasattr(self, "profile"):
            self._check_silent(config)

    def config_changed(self, previous: NodeConfig) -> None:
        """Follow the `controllers` parameter."""
        if hasattr(self, "_robot"):
            self._robot.set_active(self.config.controllers == "active")

    def collect_diagnostics(self) -> None:
        """Tell when the drivers had to stop the arm by themselves."""
        if self.state_name != "active":
            return
        silent_s = self._robot.abandoned_s(self._now_s())
        if silent_s is None:
            self.health.resolve(ABANDONED)
        else:
            text = f"no joint command for {silent_s:.1f} s in mid-motion; the drivers hold the arm; "
            self.health.problem(ABANDONED, text + "check the command node")

    def _check_silent(self, config: MockDriverConfig) -> None:
        choices = ("", JOINTS, CAMERAS, *self.profile.camera_names)
        if config.silent not in choices:
            raise ConfigurationError(
                unknown_choice("value of parameter 'silent'", config.silent, choices[1:])
            )

    def _receiver(self, index: int, output: CommandOutput) -> Callable[[Any], None]:
        reader = CommandReader(output)

        def receive(message: Any) -> None:
            robot, (now_s, stamp_ns) = self._robot, self._moment()
            if isinstance(robot, ControlledMockRobot):
                robot.receive(index, reader.to_controller(message, now_s, stamp_ns), now_s)
            else:
                robot.command(index, *reader.read(message, now_s, stamp_ns), now_s)
            self.health.count("commands")

        return receive

    def _publish_joints(self) -> None:
        with self.reporting(JOINTS):
            positions, velocities = self._robot.step(self._now_s())
            if self.config.silent == JOINTS:
                return
            stamp = ns_to_stamp(now_ns(self))
            for publisher, names, indices in self._sources:
                message = JointState(
                    name=names, position=positions[indices].tolist(), velocity=velocities[indices].tolist()
                )
                message.header.stamp = stamp
                publisher.publish(message)

    def _publish_images(self) -> None:
        with self.reporting(CAMERAS):
            positions, _ = self._robot.step(self._now_s())
            stamp_ns, fractions = now_ns(self), np.asarray((positions - self._low) / self._span)
            for camera, publisher, view in self._cameras:
                if self.config.silent in (CAMERAS, camera.name):
                    continue
                frame = CameraFrame(camera.name, stamp_ns, view.render(fractions))
                publisher.publish(message_from_frame(frame, camera.transport))

    def _moment(self) -> tuple[float, int]:
        """Return the present on the drivers' clock [s] and on the one that stamps messages [ns].

        Read anew where this thread was interrupted between the two: a driver would make a jump of that.
        """
        for _ in range(_READINGS):
            before_s, stamp_ns, after_s = self._now_s(), now_ns(self), self._now_s()
            if after_s - before_s < _SAME_MOMENT_S:
                break
        return before_s, stamp_ns

    def _now_s(self) -> float:
        return time.monotonic() - self._started_s


def main() -> int:
    """Run `/mock_driver` until it is told to stop."""
    return run_node(MockDriverNode)


if __name__ == "__main__":
    sys.exit(main())
