"""The mock driver with the rules of ros2_control's controllers, and with controllers that are not active."""

import threading

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from video2act_ros.nodes.mock_driver_node import MockDriverNode
from video2act_ros.ros import qos
from video2act_ros.ros.convert import ns_to_duration, ns_to_stamp

TIMEOUT_S = 20.0
NAMES = ["shoulder", "elbow", "gripper"]
TARGET = [0.2, -0.1, 0.02]


QUIET = {"joint_rate_hz": 20.0, "camera_rate_hz": 1.0, "image_width": 32, "image_height": 32}
"""Little to do besides: driver and commander share one thread."""


class Commander(Node):
    """Sends trajectories, sees the joints and what is told on /diagnostics."""

    def __init__(self, context):
        super().__init__("commander", context=context)
        self.changed = threading.Condition()
        self.joints, self.told = [], []
        self.publisher = self.create_publisher(JointTrajectory, "commands", qos.COMMAND)
        self.create_subscription(JointState, "arm/joint_states", self.on_joints, qos.SOURCE)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, qos.DATA)

    def on_joints(self, message):
        with self.changed:
            self.joints.append(list(message.position))
            self.changed.notify_all()

    def on_diagnostics(self, message):
        with self.changed:
            self.told += [status.message for status in message.status if status.message not in self.told]
            self.changed.notify_all()

    def wait_for(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT_S), f"waited for {what}; told: {self.told}"

    def wait_for_refusal(self, words):
        self.wait_for(lambda: any(words in text for text in self.told), words)

    def connect(self):
        self.wait_for(lambda: len(self.joints) > 2, "joint states")
        self.wait_for(lambda: self.publisher.get_subscription_count() > 0, "the driver")

    def send(self, *after_s, positions=TARGET):
        """Send a trajectory whose points all stand at `positions`."""
        points = [
            JointTrajectoryPoint(
                positions=positions, velocities=[0.0] * 3, time_from_start=ns_to_duration(round(1e9 * time_s))
            )
            for time_s in after_s
        ]
        message = JointTrajectory(joint_names=NAMES, points=points)
        message.header.stamp = ns_to_stamp(self.get_clock().now().nanoseconds)
        self.publisher.publish(message)

    def arrived(self):
        return self.joints[-1] == pytest.approx(TARGET, abs=1e-6)


@pytest.fixture
def make_driver(make_node, spinner, context, robot):
    def make(mock, **parameters):
        robot.write_text(yaml.safe_dump(yaml.safe_load(robot.read_text()) | {"mock": mock}))
        commander = spinner.add(Commander(context))
        driver = make_node(MockDriverNode, robot=str(robot), diagnostics_period_s=0.2, **QUIET, **parameters)
        assert driver.came_up
        commander.connect()
        return driver, commander

    return make


CONTROLLER = {"controller": "joint_trajectory_controller", "lag_s": {"elbow": 0.03}}
SIMPLE = {"controller": "simple"}


def test_it_follows_and_refuses_as_a_trajectory_controller(make_driver):
    """Two points of one time drop the message as a whole, in words on /diagnostics; a good one is followed and held."""
    _, commander = make_driver(CONTROLLER)
    commander.send(0.1, 0.3, 0.3)
    commander.wait_for_refusal("points 1 and 2 must increase, it is 300000000 and 300000000 ns")
    assert commander.joints[-1] == [0.0, 0.0, 0.0]
    commander.send(0.1, 0.3)
    commander.wait_for(commander.arrived, "the target")
    seen = len(commander.joints)
    commander.wait_for(
        lambda: len(commander.joints) > seen + 10, "more joint states"
    )  # no time-out brings it back
    assert commander.arrived()


@pytest.mark.parametrize("mock", [CONTROLLER, SIMPLE], ids=lambda mock: mock["controller"])
def test_inactive_controllers_judge_and_move_nothing(make_driver, mock):
    """As a loaded controller that is not active: it listens, refuses what is wrong, and the arm stays."""
    driver, commander = make_driver(mock, controllers="inactive", command_timeout_s=5.0)
    commander.send(0.1, 0.3)
    commander.send(0.1, positions=TARGET[:2])
    commander.wait_for_refusal("positions")
    seen = len(commander.joints)
    commander.wait_for(lambda: len(commander.joints) > seen + 10, "more joint states")
    assert commander.joints[-1] == [0.0, 0.0, 0.0]
    (result,) = driver.set_parameters([Parameter("controllers", value="active")])
    assert result.successful, result.reason
    commander.send(0.1, 0.3)
    commander.wait_for(commander.arrived, "the target")


def test_an_unknown_state_of_the_controllers_is_refused(make_driver):
    """With the choices; nothing changes."""
    driver, _ = make_driver(CONTROLLER)
    (result,) = driver.set_parameters([Parameter("controllers", value="asleep")])
    assert not result.successful
    assert "active, inactive" in result.reason
    assert driver.config.controllers == "active"
