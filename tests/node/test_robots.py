"""Every shipped robot profile comes to shadow and to engaged with the mock driver and real nodes."""

from pathlib import Path

import numpy as np
import pytest
from compressed_profile import write_compressed_profile
from drafts import fill_in
from mock_stack import MockStack
from rclpy.parameter import Parameter
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory
from typer.testing import CliRunner

from video2act_msgs.msg import Latents
from video2act_ros.cli import app
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.nodes.mock_driver_node import MockDriverNode
from video2act_ros.ros import qos

PROFILES = sorted((Path(__file__).parents[2] / "config" / "robots").glob("*.yaml"))


@pytest.fixture
def make_robot(make_node, spinner, context, still_bundle_of):
    def make(path):
        return MockStack(make_node, spinner, context, path, still_bundle_of(load_robot_profile(path)))

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


def test_a_compressed_head_camera_comes_to_engaged(make_robot, tmp_path):
    """System 2 makes latents of the images that the driver compresses, and nobody needs them raw."""
    robot = make_robot(write_compressed_profile("franka_fr3", tmp_path))
    operator, head = robot.operator, robot.profile.cameras[0]
    latents = []
    operator.create_subscription(Latents, "latents/spatial", operator.keep_in(latents), qos.LATENTS)
    operator.wait_for_state("shadow")
    operator.engage()
    operator.wait_for_state("engaged")
    operator.wait_for(lambda: len(latents) >= 3, "latents")
    types = dict(operator.get_topic_names_and_types())
    assert types[f"/{head.topic.lstrip('/')}"] == ["sensor_msgs/msg/CompressedImage"]
    robot.silence(head.name)
    operator.wait_for_state("holding", head.name)
    robot.silence("")
    operator.wait_for_state("engaged")
    check_commands(robot)


URDF = """<robot name="drafted">
  <joint name="shoulder" type="revolute"><limit lower="-1.5" upper="1.5" velocity="1.0" effort="9"/></joint>
  <joint name="elbow" type="continuous"/>
  <joint name="finger" type="prismatic"><limit lower="0.0" upper="0.04" velocity="0.2" effort="5"/></joint>
</robot>
"""
TOPICS = """\
/arm_controller/joint_trajectory [trajectory_msgs/msg/JointTrajectory]
/gripper_position_controller/commands [std_msgs/msg/Float64MultiArray]
/joint_states [sensor_msgs/msg/JointState]
/camera/color/image_raw [sensor_msgs/msg/Image]
/wrist_camera/image_raw/compressed [sensor_msgs/msg/CompressedImage]
"""


def test_a_drafted_profile_comes_to_engaged(make_robot, tmp_path):
    """Round trip: a URDF and a topic list make a profile whose robot the mock driver is, and that can be driven."""
    (tmp_path / "arm.urdf").write_text(URDF)
    (tmp_path / "topics.txt").write_text(TOPICS)
    path = tmp_path / "drafted.yaml"
    files = [str(tmp_path / "arm.urdf"), "--topics", str(tmp_path / "topics.txt"), "--output", str(path)]
    result = CliRunner().invoke(app, ["new-robot", *files])
    assert result.exit_code == 0, result.output
    path.write_text(fill_in(path.read_text()))
    robot = make_robot(path)
    robot.operator.engage()
    robot.operator.wait_for_state("engaged")
    robot.operator.wait_for(
        lambda: all(len(messages) >= 5 for messages in robot.operator.commands.values()), "commands"
    )
    check_commands(robot)


def test_only_what_the_profile_has_can_be_silenced(make_node):
    """A wrong name is refused with the choices, at the start and at run time."""
    node = make_node(MockDriverNode)
    (result,) = node.set_parameters([Parameter("silent", value="cam_low")])
    assert not result.successful
    assert "choose one of: joints, cameras, cam_high, cam_right_wrist, cam_left_wrist" in result.reason
