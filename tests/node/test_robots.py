"""Every shipped robot profile comes to shadow and to engaged with the mock driver and real nodes."""

import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import write_tiny_bundle
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from video2act_msgs.msg import RunState
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.nodes.mock_driver_node import MockDriverNode
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.ros import qos
from video2act_ros.ros.command_outputs import MESSAGE_TYPES

TIMEOUT_S = 30.0
PROFILES = sorted((Path(__file__).parents[2] / "config" / "robots").glob("*.yaml"))


class Operator(Node):
    """Sees the run state and every command, and calls the operator's services."""

    def __init__(self, context, profile):
        super().__init__("operator", context=context)
        self.changed = threading.Condition()
        self.state = None
        self.problems = {}
        self.commands = {output.topic: [] for output in profile.commands}
        self.create_subscription(RunState, "run_state", self.on_state, qos.LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, qos.DATA)
        for output in profile.commands:
            self.create_subscription(
                MESSAGE_TYPES[output.type], output.topic, self.keeper(output.topic), qos.DATA
            )

    def on_state(self, message):
        with self.changed:
            self.state = message
            self.changed.notify_all()

    def on_diagnostics(self, message):
        with self.changed:
            self.problems.update({status.name: status.message for status in message.status})
            self.changed.notify_all()

    def keeper(self, topic):
        def keep(message):
            with self.changed:
                self.commands[topic].append(message)
                self.changed.notify_all()

        return keep

    def sent(self):
        return sum(len(messages) for messages in self.commands.values())

    def wait_for(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT_S), (
                f"waited for {what}; {self.state}; told: {self.problems}"
            )

    def wait_for_state(self, name, words=""):
        self.wait_for(
            lambda: self.state is not None and self.state.state == name and words in self.state.reason,
            f"{name} {words}",
        )

    def call(self, name):
        client = self.create_client(Trigger, name)
        assert client.wait_for_service(TIMEOUT_S)
        response = client.call(Trigger.Request(), timeout_sec=TIMEOUT_S)
        self.destroy_client(client)
        return response

    def engage(self):
        """Call `engage` with each new run state until nothing is in its way."""
        last = []

        def engaged():
            last[:] = [self.call("engage")]
            return last[0].success

        self.wait_for(lambda: self.state is not None and self.state.chunk_age >= 0.0, "a chunk")
        for _ in range(100):
            if engaged():
                return
            stamp = self.state.header.stamp
            self.wait_for(lambda stamp=stamp: self.state.header.stamp != stamp, "another run state")
        pytest.fail(last[0].message)


class Robot:
    """The nodes of the mock stack in this process."""

    def __init__(self, make_node, spinner, context, path, bundle):
        self.profile = load_robot_profile(path)
        self.operator = spinner.add(Operator(context, self.profile))
        common = {"robot": str(path), "diagnostics_period_s": 0.1}
        models = common | {"bundle": str(bundle), "rate_hz": 10.0}
        self.driver = make_node(MockDriverNode, image_width=64, image_height=48, **common)
        self.system2 = make_node(System2Node, **models)
        self.system1 = make_node(System1Node, **models)
        self.command = make_node(CommandNode, realtime_priority=0, **common)
        nodes = (self.driver, self.system2, self.system1, self.command)
        assert all(node.came_up for node in nodes), [node.health for node in nodes]

    def silence(self, what):
        (result,) = self.driver.set_parameters([Parameter("silent", value=what)])
        assert result.successful, result.reason


@pytest.fixture(scope="session")
def still_bundle_of(tmp_path_factory):
    """Write, once per robot, a bundle that leaves its arm joints where they are."""
    folders = {}

    def of(profile):
        if profile.name not in folders:
            folder = tmp_path_factory.mktemp("models") / profile.name
            folders[profile.name] = write_tiny_bundle(folder, action_std=0.0, robot=profile)
        return folders[profile.name]

    return of


@pytest.fixture
def make_robot(make_node, spinner, context, still_bundle_of):
    def make(path):
        return Robot(make_node, spinner, context, path, still_bundle_of(load_robot_profile(path)))

    return make


def positions(output, message):
    """Return the names (None: the message carries none) and the first positions of a command."""
    if isinstance(message, JointTrajectory):
        return list(message.joint_names), np.array(message.points[0].positions)
    if isinstance(message, Float64MultiArray):
        return None, np.array(message.data)
    return list(message.name), np.array(message.position)


def check_commands(robot):
    """Every command has the driver's own names, in its order, and lies inside the limits, in its unit."""
    profile = robot.profile
    for output in profile.commands:
        theirs = [output.names.get(joint, joint) for joint in output.joints]
        joints = [profile.joints[profile.joint_names.index(name)] for name in output.joints]
        low = np.array([joint.position_min for joint in joints]) - 1e-9
        high = np.array([joint.position_max for joint in joints]) + 1e-9
        for message in list(robot.operator.commands[output.topic]):
            names, values = positions(output, message)
            assert names in (theirs, None)
            assert np.all((low <= values) & (values <= high)), (output.topic, values)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_shipped_profile_comes_to_shadow_and_to_engaged(make_robot, path):
    """Nothing is commanded in shadow; engaged, every output is; silence of joints or a camera holds, and ends."""
    robot = make_robot(path)
    operator = robot.operator
    operator.wait_for_state("shadow")
    operator.wait_for(lambda: operator.state.chunk_age >= 0.0, "a chunk")
    assert operator.sent() == 0
    operator.engage()
    operator.wait_for_state("engaged")
    operator.wait_for(
        lambda: all(len(messages) >= 5 for messages in operator.commands.values()), "commands on every output"
    )
    robot.silence("joints")
    operator.wait_for_state("holding", "joint state too old")
    robot.silence("")
    operator.wait_for_state("engaged")
    camera = robot.profile.camera_names[-1]
    robot.silence(camera)
    operator.wait_for_state("holding", camera)
    robot.silence("")
    operator.wait_for_state("engaged")
    check_commands(robot)
    assert operator.call("disengage").success
    operator.wait_for_state("shadow")


def test_only_what_the_profile_has_can_be_silenced(make_node):
    """A wrong name is refused with the choices, at the start and at run time."""
    node = make_node(MockDriverNode)
    (result,) = node.set_parameters([Parameter("silent", value="cam_low")])
    assert not result.successful
    assert "choose one of: joints, cameras, cam_high, cam_right_wrist, cam_left_wrist" in result.reason
