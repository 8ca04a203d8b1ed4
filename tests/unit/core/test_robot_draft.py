"""`video2act new-robot`: a draft that loads, with every guess marked, or one clear error."""

import pytest
from drafts import fill_in
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


def profile(urdf, text, **answers):
    """The profile of a draft in which somebody has filled in what it asks."""
    return profile_from(YamlSource.parse(urdf, fill_in(text, **answers)))


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
    assert (finger.gripper, finger.velocity_max) == (True, 0.05)


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
    marked = [line for line in lines if "check:" in line]
    assert sum("acceleration_max, jerk_max" in line for line in marked if "name:" in line) == 4
    assert any("left_roll" in line and "the joint has no ends" in line for line in marked)
    assert any("left_finger" in line and "velocity_max: none in the URDF" in line for line in marked)
    assert all("# check" in line for line in lines if "topic:" in line)
    assert "# Not driven: left_finger_2 (follows another joint)" in lines


def test_the_policys_order_can_be_given(urdf):
    """The bundle decides the order, and which joints there are."""
    text = draft(urdf, ("right_waist", "left_waist"))
    assert profile(urdf, text).joint_names == ("right_waist", "left_waist")
    assert "# Not taken: /left_gripper_controller/joint_trajectory" in text


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
        ("/joint_states\n", r"line 1: '/joint_states' is not .*ros2 topic list -v"),
        ("/a [b/msg/C]\n", "no topic for joint states"),
        ("/js [sensor_msgs/msg/JointState]\n", "no topic for camera images"),
        ("/js [sensor_msgs/msg/JointState]\n/i [sensor_msgs/msg/Image]\n", "no topic for joint commands"),
    ],
)
def test_a_topic_list_that_will_not_do_is_refused(urdf, topics, words):
    """What is missing is named by its message type."""
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


def test_the_command_writes_a_draft_and_never_overwrites(urdf, topics, tmp_path):
    """Whole or not at all, not usable before it is filled in; a second run and a wrong URDF change nothing."""
    output = tmp_path / "mine.yaml"
    command = ["new-robot", str(urdf), "--topics", str(topics), "--output", str(output), "--name", "mine"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    with pytest.raises(ConfigurationError, match=r"joints\[0\].start.*fill it in .where an episode starts"):
        load_robot_profile(output)
    before = output.read_text()
    again = CliRunner().invoke(app, command)
    assert isinstance(again.exception, ConfigurationError)
    assert "exists" in str(again.exception)
    assert output.read_text() == before
    urdf.write_text("<robot/>")
    failed = CliRunner().invoke(app, [*command[:4], "--output", str(tmp_path / "other.yaml")])
    assert isinstance(failed.exception, ConfigurationError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yaml", "pair.urdf", "topics.txt"]


# -- what is asked ------------------------------------------------------------------------------------

PAIR = """<robot name="pair">
  <joint name="{0}_waist" type="revolute"><parent link="base"/><child link="{0}_arm"/>
    <limit lower="-1" upper="1.5" velocity="2"/></joint>
  <joint name="{0}_left_carriage_joint" type="prismatic"><parent link="{0}_arm"/><child link="{0}_jaw"/>
    <limit lower="0" upper="0.04" velocity="0.2"/></joint>
</robot>"""
BOTH_GRIPPERS = """\
/follower_left/arm_controller/joint_trajectory [trajectory_msgs/msg/JointTrajectory]
/follower_left/gripper_controller/joint_trajectory [trajectory_msgs/msg/JointTrajectory]
/follower_right/arm_controller/joint_trajectory [trajectory_msgs/msg/JointTrajectory]
/follower_right/gripper_controller/joint_trajectory [trajectory_msgs/msg/JointTrajectory]
/joint_states [sensor_msgs/msg/JointState]
/cam/image_raw [sensor_msgs/msg/Image]
"""
ONE_ARM = """<robot name="one">
  <joint name="shoulder" type="revolute"><parent link="base"/><child link="upper"/>
    <limit lower="-1.2" upper="1.5" velocity="2"/></joint>
  <joint name="elbow" type="revolute"><parent link="upper"/><child link="lower"/>
    <limit lower="0.5" upper="1.5" velocity="2"/></joint>
</robot>"""
REST = "/joint_states [sensor_msgs/msg/JointState]\n/cam/image_raw [sensor_msgs/msg/Image]\n"


def test_a_right_grippers_joint_goes_to_the_right_grippers_topic(urdf):
    """Also where the jaw is called left: the arm that it hangs on decides."""
    halves = [PAIR.format(side) for side in ("follower_left", "follower_right")]
    urdf.write_text(halves[0].replace("</robot>", "") + halves[1].partition("\n")[2])
    robot = profile(urdf, draft(urdf, topics=BOTH_GRIPPERS))
    assert {output.topic.partition("_controller")[0]: output.joints for output in robot.commands} == {
        "/follower_left/arm": ("follower_left_waist",),
        "/follower_left/gripper": ("follower_left_left_carriage_joint",),
        "/follower_right/arm": ("follower_right_waist",),
        "/follower_right/gripper": ("follower_right_left_carriage_joint",),
    }


def test_several_command_topics_that_fit_are_asked(urdf):
    """As with two loaded controllers of one arm; the file names both and is refused until one is chosen."""
    urdf.write_text(ONE_ARM)
    text = draft(
        urdf,
        topics="/joint_trajectory_controller/joint_trajectory [trajectory_msgs/msg/JointTrajectory]\n"
        "/forward_position_controller/commands [std_msgs/msg/Float64MultiArray]\n"
        "/head_controller/joint_trajectory [trajectory_msgs/msg/JointTrajectory]\n" + REST,
    )
    (asked,) = [line for line in text.splitlines() if "fill in one of" in line]
    assert "/joint_trajectory_controller/joint_trajectory (type: joint_trajectory)" in asked
    assert "/forward_position_controller/commands (type: forward_position)" in asked
    assert "# Not taken: /head_controller/joint_trajectory" in text
    with pytest.raises(
        ConfigurationError, match=r"commands\[0\].topic: must be text; got nothing: fill it in"
    ):
        profile(urdf, text)
    chosen = profile(urdf, text, topic="/forward_position_controller/commands", type="forward_position")
    assert chosen.commands[0].joints == ("shoulder", "elbow")


def test_joints_that_no_topic_fits_are_asked(urdf):
    """An arm's topic takes no gripper: who drives the gripper is left open, with its joints named."""
    text = draft(
        urdf, ("left_waist", "left_finger"), TOPICS.replace("/left_gripper_controller", "/right_gripper")
    )
    assert "fill in: no topic of the list fits these joints" in text
    robot = profile(urdf, text, topic="/gripper/joint_trajectory", type="joint_trajectory")
    assert {output.topic: output.joints for output in robot.commands}["/gripper/joint_trajectory"] == (
        "left_finger",
    )


def test_several_joint_state_topics_are_asked_unless_the_usual_one_is_there(urdf):
    """The others are named in any case."""
    urdf.write_text(ONE_ARM)
    trajectory = "/arm_controller/joint_trajectory [trajectory_msgs/msg/JointTrajectory]\n"
    usual = draft(urdf, topics=f"/franka/joint_states [sensor_msgs/msg/JointState]\n{trajectory}{REST}")
    assert [source.topic for source in profile(urdf, usual).joint_states] == ["/joint_states"]
    assert "# Not taken: /franka/joint_states (JointState, too)" in usual
    other = draft(
        urdf,
        topics=f"/franka/joint_states [sensor_msgs/msg/JointState]\n{trajectory}{REST.replace('/joint', '/arm/joint')}",
    )
    assert "fill in those that carry these joints: /franka/joint_states, /arm/joint_states" in other
    with pytest.raises(
        ConfigurationError, match=r"joint_states\[0\].topic.*fill it in .of the measured joints"
    ):
        profile(urdf, other)


def test_joint_states_of_both_sides_are_taken_together(urdf):
    """One topic for each arm, and no other."""
    halves = [PAIR.format(side) for side in ("left", "right")]
    urdf.write_text(halves[0].replace("</robot>", "") + halves[1].partition("\n")[2])
    sided = BOTH_GRIPPERS.replace(
        "/joint_states", "/left/joint_states [sensor_msgs/msg/JointState]\n/right/joint_states"
    )
    robot = profile(urdf, draft(urdf, topics=sided))
    assert [source.topic for source in robot.joint_states] == ["/left/joint_states", "/right/joint_states"]


def test_a_last_sliding_joint_is_asked_for_being_a_gripper(urdf):
    """Nothing tells, and a wrong answer changes what the model sees."""
    urdf.write_text(
        ONE_ARM.replace(
            "</robot>",
            '<joint name="slide" type="prismatic"><parent link="lower"/><child link="x"/>'
            '<limit lower="0" upper="0.3" velocity="0.2"/></joint></robot>',
        )
    )
    text = draft(urdf, topics="/c/joint_trajectory [trajectory_msgs/msg/JointTrajectory]\n" + REST)
    with pytest.raises(ConfigurationError, match=r"joints\[2\].gripper: must be true or false; got nothing"):
        profile(urdf, text)
    assert profile(urdf, text, gripper="false").joints[2].gripper is False


def test_the_start_pose_is_empty_until_somebody_fills_it_in(urdf):
    """Zero may be a collision; each line is named."""
    with pytest.raises(ConfigurationError) as error:
        profile_from(YamlSource.parse(urdf, draft(urdf)))
    assert len(error.value.mistakes) == 4
    assert all("start: must be a number; got nothing: fill it in" in text for text in error.value.mistakes)


def test_without_a_list_the_usual_topics_are_assumed_and_marked(urdf):
    """A URDF alone is enough to look at a robot."""
    text = draft_profile(read_urdf(urdf), urdf.name, (), "")
    robot = profile(urdf, text)
    assert robot.joint_names == ("left_waist", "left_roll", "left_finger", "right_waist")
    assert text.count("check: assumed") == 3


def test_wheels_are_left_out_unless_they_are_named(urdf):
    """A policy for an arm does not drive its base."""
    wheel = '<joint name="front_left_wheel_joint" type="continuous"/></robot>'
    urdf.write_text(URDF.replace("</robot>", wheel))
    text = draft(urdf)
    assert "front_left_wheel_joint" not in profile(urdf, text).joint_names
    assert "# Not chosen: front_left_wheel_joint (a wheel)" in text
    chosen = draft_profile(read_urdf(urdf), urdf.name, (), "", ("left_waist", "front_left_wheel_joint"))
    assert profile(urdf, chosen).joint_names[1] == "front_left_wheel_joint"


def test_prefixes_that_nothing_declares_are_tolerated(urdf):
    """As ROS's own reader takes them; so are a default namespace and a blank line before everything."""
    urdf.write_text(
        "\n"
        + URDF.replace(
            "</robot>", "<drake:joint drake:name='x'><drake:acceleration/></drake:joint></robot>"
        ).replace('<robot name="pair">', '<robot xmlns="http://example.org" name="pair">')
    )
    assert [joint.name for joint in read_urdf(urdf).joints] == [
        "left_waist",
        "left_roll",
        "left_finger",
        "right_waist",
    ]


@pytest.mark.parametrize("prefix", ["xacro", "xc"])
def test_a_xacro_file_is_known_by_its_elements(urdf, prefix):
    """Declared or not, whatever the prefix; a namespace that only stands there is no macro."""
    declared = f'<robot name="pair" xmlns:{prefix}="http://www.ros.org/wiki/xacro">'
    urdf.write_text(URDF.replace('<robot name="pair">', declared))
    assert read_urdf(urdf).joints
    urdf.write_text(
        URDF.replace('<robot name="pair">', declared).replace("</robot>", f"<{prefix}:include/></robot>")
    )
    with pytest.raises(ConfigurationError, match="ros2 run xacro xacro"):
        read_urdf(urdf)


def test_a_joint_that_stands_twice_is_refused(urdf):
    """By its name."""
    urdf.write_text(URDF.replace('"right_waist"', '"left_waist"'))
    with pytest.raises(ConfigurationError, match="joint 'left_waist' stands twice"):
        read_urdf(urdf)


def test_printed_commands_can_be_copied(urdf, tmp_path, monkeypatch):
    """However narrow the terminal and strange the folder: each command whole, in a line of its own, in quotes."""
    monkeypatch.setenv("COLUMNS", "30")
    folder = tmp_path / "my [robot] files"
    folder.mkdir()
    output = folder / "mine.yaml"
    result = CliRunner().invoke(app, ["new-robot", str(urdf), "--output", str(output)])
    assert f"video2act run mock --robot '{output}'" in result.output.splitlines()
    assert f"video2act doctor --robot '{output}'" in result.output.splitlines()
    assert "fill in: start in line 19, 20, 21, 22" in result.output


def test_a_big_robot_is_hinted_at_its_joints(urdf, tmp_path):
    """With an option that can be copied; not where the joints were chosen."""
    joint = '<joint name="j{}" type="revolute"><limit lower="-1" upper="1.5" velocity="2"/></joint>'
    names = [f"j{index}" for index in range(17)]
    urdf.write_text(f'<robot name="big">{"".join(joint.format(index) for index in range(17))}</robot>')
    command = ["new-robot", str(urdf), "--output"]
    result = CliRunner().invoke(app, [*command, str(tmp_path / "a.yaml")])
    assert f"--joints {','.join(names)}" in result.output
    result = CliRunner().invoke(app, [*command, str(tmp_path / "b.yaml"), "--joints", ",".join(names)])
    assert "--joints" not in result.output
