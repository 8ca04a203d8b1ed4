"""`video2act new-robot`: a draft that loads, with every guess marked, or one clear error."""

import pytest
from typer.testing import CliRunner

from video2act_ros.cli import app
from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_draft import draft_profile
from video2act_ros.core.robot_profile import load_robot_profile, profile_from
from video2act_ros.core.topic_list import Topic, parse_topics
from video2act_ros.core.urdf import read_urdf
from video2act_ros.core.yaml_source import YamlSource

URDF = """<?xml version="1.0"?>
<robot name="pair">
  <link name="base"/>
  <joint name="left_waist" type="revolute">
    <limit lower="-1.8500490071" upper="1.25663706" velocity="2.0" effort="9"/>
  </joint>
  <joint name="left_roll" type="continuous"/>
  <joint name="left_finger" type="prismatic"><limit lower="0.021" upper="0.057" velocity="0" effort="5"/></joint>
  <joint name="left_finger_2" type="prismatic">
    <mimic joint="left_finger"/><limit lower="0" upper="1" velocity="1"/>
  </joint>
  <joint name="right_waist" type="revolute"><limit lower="0.5" upper="1.2" velocity="1.5" effort="9"/></joint>
  <joint name="tool" type="fixed"/>
  <ros2_control name="arm" type="system"><joint name="not_a_joint"/></ros2_control>
</robot>
"""
TOPICS = """\
/left_arm_controller/joint_trajectory [trajectory_msgs/msg/JointTrajectory]
/left_gripper_controller/joint_trajectory [trajectory_msgs/msg/JointTrajectory]
/right_arm_controller/joint_trajectory [trajectory_msgs/msg/JointTrajectory]
/velocity_controller/commands [std_msgs/msg/Float64MultiArray]
/joint_states [sensor_msgs/msg/JointState]
/left/joint_states [sensor_msgs/msg/JointState]
/cam_high/color/image_raw [sensor_msgs/msg/Image]
/cam_high/color/image_raw/compressed [sensor_msgs/msg/CompressedImage]
/cam_high/depth/image_rect_raw [sensor_msgs/msg/Image]
/cam_wrist/image_raw/compressed [sensor_msgs/msg/CompressedImage]
/tf [tf2_msgs/msg/TFMessage]
"""


@pytest.fixture
def urdf(tmp_path):
    path = tmp_path / "pair.urdf"
    path.write_text(URDF)
    return path


@pytest.fixture
def topics(tmp_path):
    path = tmp_path / "topics.txt"
    path.write_text(TOPICS)
    return path


def draft(urdf, joints=(), topics=TOPICS):
    return draft_profile(read_urdf(urdf), urdf.name, parse_topics(topics.splitlines()), "", joints)


def profile(urdf, text):
    return profile_from(YamlSource.parse(urdf, text))


def test_limits_come_from_the_urdf_rounded_inwards(urdf):
    """Never wider than the URDF; a mimic joint and one of ros2_control are no joints of their own."""
    robot = profile(urdf, draft(urdf))
    assert robot.name == "pair"
    assert robot.joint_names == ("left_waist", "left_roll", "left_finger", "right_waist")
    waist, roll, finger, _ = robot.joints
    assert -1.8500490071 <= waist.position_min < -1.85004
    assert 1.25663 < waist.position_max <= 1.25663706
    assert waist.velocity_max == 2.0
    assert -3.1416 < roll.position_min < roll.position_max < 3.1416
    assert (finger.gripper, finger.start, finger.velocity_max) == (True, 0.057, 0.05)
    assert 0.5 <= robot.joints[3].start <= 1.2


def test_outputs_cameras_and_joint_states_follow_the_names_of_the_topics(urdf):
    """Sides and grippers go to their controllers; depth, velocities and a second copy of an image to none."""
    text = draft(urdf)
    robot = profile(urdf, text)
    assert {output.topic: output.joints for output in robot.commands} == {
        "/left_arm_controller/joint_trajectory": ("left_waist", "left_roll"),
        "/left_gripper_controller/joint_trajectory": ("left_finger",),
        "/right_arm_controller/joint_trajectory": ("right_waist",),
    }
    assert [(camera.name, camera.topic, camera.transport) for camera in robot.cameras] == [
        ("cam_high", "/cam_high/color/image_raw", "raw"),
        ("cam_wrist", "/cam_wrist/image_raw/compressed", "compressed"),
    ]
    assert [source.topic for source in robot.joint_states] == ["/joint_states"]
    assert "velocity_controller" not in text


def test_a_controllers_topic_names_the_driver_and_another_topic_leaves_a_line_for_it(urdf):
    """A controller's topics stand under its node's name; a manufacturer's driver can be called anything."""
    text = draft(urdf)
    assert [output.driver for output in profile(urdf, text).commands] == [
        "/left_arm_controller",
        "/left_gripper_controller",
        "/right_arm_controller",
    ]
    assert (
        "driver: /left_arm_controller  # check: ros2 topic info -v /left_arm_controller/joint_trajectory"
        in text
    )
    topics = "".join(line for line in TOPICS.splitlines(True) if "trajectory" not in line)
    text = draft(urdf, topics=topics + "/pair/joint_cmd [sensor_msgs/msg/JointState]\n")
    (output,) = profile(urdf, text).commands
    assert (output.type, output.driver, output.velocities) == ("joint_state", "", False)
    assert "    # driver: check: ros2 topic info -v /pair/joint_cmd" in text


def test_every_guess_is_marked(urdf):
    """What neither the URDF nor the topic list says stands in a line, or under a comment, with the word check."""
    lines = draft(urdf).splitlines()
    marked = [line for line in lines if "# check" in line]
    assert sum("acceleration_max, jerk_max, start" in line for line in marked) == 4
    assert any("left_roll" in line and "the joint has no ends" in line for line in marked)
    assert any("left_finger" in line and "velocity_max: none in the URDF" in line for line in marked)
    assert all("# check" in line for line in lines if "topic:" in line)
    assert "# Not driven: left_finger_2 (follows another joint)" in lines


def test_the_policys_order_can_be_given(urdf):
    """The bundle decides the order, and which joints there are."""
    text = draft(urdf, ("right_waist", "left_waist"))
    assert profile(urdf, text).joint_names == ("right_waist", "left_waist")
    assert "# Not used: /left_gripper_controller/joint_trajectory" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("no xml", "pair.urdf:1: not XML"),
        ("<sdf/>", "its root is <sdf>, not <robot>"),
        (
            URDF.replace('name="pair"', 'name="pair" xmlns:xacro="http://ros.org/wiki/xacro"').replace(
                '"2.0"', '"${v}"'
            ),
            "ros2 run xacro xacro",
        ),
        (
            '<robot name="r"><joint name="tool" type="fixed"/></robot>',
            r"no joint that can be driven.*tool \(fixed\)",
        ),
        (
            URDF.replace('upper="1.2"', 'upper="nan"'),
            "joint 'right_waist': upper=\"nan\" is no finite number",
        ),
        (URDF.replace('upper="1.2"', 'upper="0.1"'), "lower is not below upper in the URDF: right_waist"),
        (
            URDF.replace('<limit lower="0.5" upper="1.2" velocity="1.5" effort="9"/>', ""),
            "no position limits in the URDF: right_waist; add <limit",
        ),
    ],
)
def test_a_urdf_that_will_not_do_is_refused(urdf, content, words):
    """One line that names the joint and the remedy."""
    urdf.write_text(content)
    with pytest.raises(ConfigurationError, match=words):
        draft(urdf)


@pytest.mark.parametrize(
    ("topics", "words"),
    [
        ("", "the topic list is empty"),
        ("/joint_states\n", r"line 1: '/joint_states' is not .*ros2 topic list -t"),
        ("/a [b/msg/C]\n", "no topic for joint states"),
        ("/js [sensor_msgs/msg/JointState]\n", "no topic for camera images"),
        ("/js [sensor_msgs/msg/JointState]\n/i [sensor_msgs/msg/Image]\n", "no topic for joint commands"),
        (
            "/js [sensor_msgs/msg/JointState]\n/i [sensor_msgs/msg/Image]\n"
            "/gripper/joint_trajectory [trajectory_msgs/msg/JointTrajectory]\n",
            "no command topic for left_waist, left_roll, right_waist; command topics: /gripper/joint_trajectory",
        ),
    ],
)
def test_a_topic_list_that_will_not_do_is_refused(urdf, topics, words):
    """What is missing is named by its message type, unassigned joints by name."""
    with pytest.raises(ConfigurationError, match=words):
        draft(urdf, topics=topics)


def test_topic_lines_are_read_in_every_usual_form():
    """As `ros2 topic list -t` prints them, with a colon, with or without msg/."""
    lines = [
        "/a [p/msg/T]",
        "/b:p/T",
        "/c: p/msg/T",
        " /d p/msg/T ",
        "",
        "# no topic",
        "/e [p/msg/T, q/msg/U]",
    ]
    assert parse_topics(lines) == tuple(Topic(f"/{name}", "p/msg/T") for name in "abcde")


def test_the_command_writes_a_profile_that_loads_and_never_overwrites(urdf, topics, tmp_path):
    """Whole or not at all; a second run and a wrong URDF leave the folder as it was."""
    output = tmp_path / "mine.yaml"
    command = ["new-robot", str(urdf), "--topics", str(topics), "--output", str(output), "--name", "mine"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert load_robot_profile(output).name == "mine"
    before = output.read_text()
    again = CliRunner().invoke(app, command)
    assert isinstance(again.exception, ConfigurationError)
    assert "exists" in str(again.exception)
    assert output.read_text() == before
    urdf.write_text("<robot/>")
    failed = CliRunner().invoke(app, [*command[:4], "--output", str(tmp_path / "other.yaml")])
    assert isinstance(failed.exception, ConfigurationError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yaml", "pair.urdf", "topics.txt"]
