"""A profile for another robot, or drivers of one: one clear message each, and no arm that is driven."""

import re

import pytest
import rclpy
from mock_stack import MockStack, Operator
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.nodes.mock_driver_node import MockDriverNode
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.ros import qos
from video2act_ros.ros.driver_activity import DriverActivity


@pytest.fixture
def stack(make_node, spinner, context, robot, still_bundle):
    """The test robot's stack, ready to be engaged."""
    return MockStack(make_node, spinner, context, robot, still_bundle)


@pytest.fixture
def stranger(context):
    """A node of another process: Fast DDS lets one participant use a topic with one type only."""
    other = Context()
    rclpy.init(context=other, domain_id=context.get_domain_id())
    node = Node("stranger", context=other)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=other)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda text: text.replace("elbow", "knee"),
            "only the bundle has elbow; only the profile has knee; names and order must be equal",
        ),
        (
            lambda text: text.replace("elbow", "@").replace("shoulder", "elbow").replace("@", "shoulder"),
            "the order differs from number 1 on: the bundle has shoulder there, the profile elbow",
        ),
    ],
)
def test_a_bundle_of_another_robot_is_refused_with_the_difference(make_node, bundle, robot, change, words):
    """Both lists are compared, not only printed; the remedy names the launch argument."""
    robot.write_text(change(robot.read_text()))
    node = make_node(System1Node, bundle=str(bundle), robot=str(robot))
    assert not node.came_up
    told = node.health.report().message
    assert words in told
    assert "robot:=" in told


def test_a_bundle_with_more_joints_than_the_robot_is_refused(make_node, bundle):
    """Fourteen joints are not three: the counts are told as well."""
    node = make_node(System1Node, bundle=str(bundle), robot="aloha_sim")
    assert not node.came_up
    told = node.health.report().message
    assert "moves 3 joints" in told
    assert "'aloha_sim' has 14" in told


def test_the_drivers_of_another_robot_are_named_wherever_one_looks(
    make_node, spinner, context, robot, tmp_path
):
    """Other joint names: run state, the answer of engage and /diagnostics name what the driver carries."""
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text(re.sub(r"(name: |- )(shoulder|elbow|gripper)\b", r"\1other_\2", robot.read_text()))
    operator = spinner.add(Operator(context, load_robot_profile(robot)))
    common = {"diagnostics_period_s": 0.1}
    assert make_node(MockDriverNode, robot=str(theirs), **common).came_up
    make_node(CommandNode, robot=str(robot), realtime_priority=0, **common)
    words = "carries other_shoulder, other_elbow, other_gripper, but not shoulder, elbow"
    operator.wait_for_state("shadow", words)
    answer = operator.call("engage")
    assert not answer.success
    assert words in answer.message
    assert "joint_states[0].names (ours: theirs)" in answer.message
    operator.wait_for(lambda: words in operator.problems.get("/command", ""), "the diagnostics")


def test_a_camera_that_nobody_publishes_is_named_with_its_topic(stack, stranger):
    """No publisher, or one of the other transport: the message names the topic and what to change."""
    operator = stack.operator
    stack.driver.trigger_deactivate()
    stack.driver.trigger_cleanup()
    words = "nobody publishes on /cam_high/image_raw; start the camera's driver"
    operator.wait_for(lambda: words in operator.problems.get("/system1", ""), words)
    stranger.create_publisher(CompressedImage, "/cam_high/image_raw", qos.DATA)
    words = "not sensor_msgs/msg/Image; set transport: compressed of cam_high"
    operator.wait_for(lambda: words in operator.problems.get("/system1", ""), words)


def test_engage_is_refused_while_no_driver_listens(make_node, spinner, context, robot):
    """The arm cannot follow what nobody takes: the topic, its type and the key of the profile are named."""
    operator = spinner.add(Operator(context, load_robot_profile(robot), listens=False))
    make_node(CommandNode, robot=str(robot), realtime_priority=0)
    words = "nobody listens on /commands (trajectory_msgs/msg/JointTrajectory)"
    operator.wait_for_state("shadow", words)
    for service in ("engage", "move_to_start"):
        answer = operator.call(service)
        assert not answer.success
        assert words in answer.message
        assert "correct commands[0].topic in the robot profile" in answer.message


@pytest.mark.parametrize(
    ("message_type", "profile", "words"),
    [
        (
            Float64MultiArray,
            qos.COMMAND,
            "/stranger listens on /commands for std_msgs/msg/Float64MultiArray, but the robot profile sends "
            "trajectory_msgs/msg/JointTrajectory; set commands[0].type: forward_position",
        ),
        (
            JointTrajectory,
            QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL),
            "/stranger listens on /commands with durability transient local",
        ),
    ],
)
def test_a_driver_that_takes_something_else_is_named(
    make_node, spinner, context, robot, stranger, message_type, profile, words
):
    """The likely mistakes: the controller's other message type, and a quality of service that never matches."""
    operator = spinner.add(Operator(context, load_robot_profile(robot), listens=False))
    make_node(CommandNode, robot=str(robot), realtime_priority=0)
    stranger.create_subscription(message_type, "/commands", lambda message: None, profile)
    operator.wait_for_state("shadow", words)
    assert words in operator.call("engage").message


def test_a_driver_that_leaves_while_driven_holds_the_arm_until_it_is_back(
    make_node, spinner, context, robot, still_bundle
):
    """Its commands reach nobody: hold with the topic named, and go on by itself when the driver listens again."""
    stack = MockStack(make_node, spinner, context, robot, still_bundle, listens=False)
    operator = stack.operator
    operator.engage()
    operator.wait_for_state("engaged")
    (listener,) = [item for item in stack.driver.subscriptions if item.topic_name == "/commands"]
    stack.driver.destroy_subscription(listener)
    operator.wait_for_state("holding", "nobody listens on /commands")
    output = stack.profile.commands[0]
    stack.driver.subscribe(JointTrajectory, output.topic, stack.driver._receiver(0, output), qos.COMMAND)
    operator.wait_for_state("engaged")


def test_who_only_looks_on_is_no_driver(make_node, spinner, context, robot):
    """Recorders, bridges, plotters and command line tools subscribe, too, and drive nothing: engage names them."""
    operator = spinner.add(Operator(context, load_robot_profile(robot), listens=False))
    names = ("recorder", "_ros2cli_17", "rosbag2_recorder", "foxglove_bridge", "rqt_gui_py_node_42", "demo")
    for name in names:
        watcher = spinner.add(
            Node(name, context=context, namespace="left" if name == "foxglove_bridge" else "")
        )
        watcher.create_subscription(JointTrajectory, "/commands", lambda message: None, qos.DATA)
    make_node(CommandNode, robot=str(robot), realtime_priority=0)
    words = (
        "no driver listens on /commands (trajectory_msgs/msg/JointTrajectory), only who records or shows: "
        "/_ros2cli_17, /demo, /left/foxglove_bridge, /recorder, /rosbag2_recorder, /rqt_gui_py_node_42"
    )
    operator.wait_for_state("shadow", words)
    for service in ("engage", "move_to_start"):
        answer = operator.call(service)
        assert not answer.success
        assert words in answer.message


def test_the_driver_that_the_profile_names_must_listen(make_node, spinner, context, robot):
    """Whoever else listens is no driver, and is named."""
    robot.write_text(
        robot.read_text().replace("type: joint_trajectory", "driver: /arm\n  type: joint_trajectory")
    )
    operator = spinner.add(Operator(context, load_robot_profile(robot)))
    make_node(CommandNode, robot=str(robot), realtime_priority=0)
    words = (
        "the driver /arm does not listen on /commands (trajectory_msgs/msg/JointTrajectory), only /operator"
    )
    operator.wait_for_state("shadow", words)
    assert words in operator.call("engage").message
    arm = spinner.add(Node("arm", context=context))
    arm.create_subscription(JointTrajectory, "/commands", lambda message: None, qos.COMMAND)
    operator.wait_for(lambda: words not in operator.state.reason, "the driver")


def test_a_driver_that_becomes_inactive_while_driven_holds_the_arm(
    make_node, spinner, context, robot, still_bundle
):
    """It listens on, but no longer acts: engage is refused, a driven arm holds until it acts again."""
    stack = MockStack(make_node, spinner, context, robot, still_bundle, listens=False)
    operator, activity = stack.operator, DriverActivity(stack.driver)
    words = "/mock_driver listens on /commands, but is inactive; activate it"
    activity.tell(False)
    operator.wait_for_state("shadow", words)
    assert words in operator.call("engage").message
    activity.tell(True)
    operator.wait_for(lambda: words not in operator.state.reason, "an active driver")
    operator.engage()
    operator.wait_for_state("engaged")
    activity.tell(False)
    operator.wait_for_state("holding", words)
    activity.tell(True)
    operator.wait_for_state("engaged")
