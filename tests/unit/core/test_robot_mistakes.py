"""A profile with a mistake is refused with the line and the remedy; every mistake is told, one line each."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_profile import ProfileError, RobotProfile, load_robot_profile
from video2act_ros.core.yaml_source import YamlSource

GOOD = """\
name: test
description: three joints
joints:
  - name: shoulder
    position_min: -2.0
    position_max: 2.0
    velocity_max: 1.0
    acceleration_max: 4.0
    jerk_max: 100.0
    start: 0.0
  - {name: elbow, position_min: -1, position_max: 1, velocity_max: 1, acceleration_max: 4, jerk_max: 99, start: 0.5}
  - name: gripper
    position_min: 0.0
    position_max: 0.04
    velocity_max: 0.1
    acceleration_max: 1.0
    jerk_max: 10.0
    start: 0.01
    gripper: true
cameras:
  - name: cam_high
    topic: /cam_high/image_raw
  - {name: cam_wrist, topic: cam_wrist/image, transport: compressed}
joint_states:
  - topic: /arm/joint_states
    names: {shoulder: j1, elbow: j2}
  - topic: /gripper/joint_states
commands:
  - topic: /arm_controller/joint_trajectory
    type: joint_trajectory
    joints: [shoulder, elbow]
    names:
      shoulder: j1
      elbow: j2
  - topic: /gripper_controller/commands
    type: forward_position
    joints: [gripper]
thresholds:
  joint_state_age_s: 0.2
  chunk_age_s: {slow: 0.7, hold: 1.0}
  latent_age_s: 2.0
  image_age_s: 0.5
  image_frozen_s: 0.5
  image_dark_s: 0.3
  frame_gap_s: 1.0
  tracking_error_rad: {hold: 0.2, fault: 0.5}
  second_publisher_s: {fault: 0.1}
  camera_skew_s: 0.05
"""

CASES = [
    (
        "jerk_max: 10.0",
        "jerk_max: 0300",
        17,
        "joints[2].jerk_max",
        "0300 means 192 in YAML 1.1; write 192 or 300, or put it in quotes where it is text",
    ),
    ("jerk_max: 10.0", "jerk_max: 5:00", 17, "joints[2].jerk_max", "5:00 means 300 in YAML 1.1; write 300"),
    ("jerk_max: 10.0", "jerk_max: 1_000", 17, "joints[2].jerk_max", "1_000 means 1000 in YAML 1.1"),
    ("jerk_max: 10.0", "jerk_max: 0x1F", 17, "joints[2].jerk_max", "0x1F means 31 in YAML 1.1"),
    ("jerk_max: 10.0", "jerk_max: 0b11", 17, "joints[2].jerk_max", "0b11 means 3 in YAML 1.1"),
    ("jerk_max: 10.0", "jerk_max: 1_0.5", 17, "joints[2].jerk_max", "1_0.5 means 10.5 in YAML 1.1"),
    ("jerk_max: 10.0", "jerk_max: 1:30.5", 17, "joints[2].jerk_max", "1:30.5 means 90.5 in YAML 1.1"),
    ("jerk_max: 99,", "jerk_max: 099_9,", 11, "joints[1].jerk_max", "must be a number; got the text '099_9'"),
    ("name: test", "name: 0300", 1, "name", "put it in quotes where it is text"),
    ("image_age_s: 0.5", "image_age_s: {hold: 1:01}", 42, "thresholds.image_age_s.hold", "means 61 in"),
    # (what stands there, what a user writes, line of the mistake, key, words of the message)
    (
        "    velocity_max: 1.0\n",
        "    velocity_limit: 1.0\n",
        7,
        "joints[0].velocity_limit",
        "unknown key; did you mean velocity_max?",
    ),
    (
        "    velocity_max: 1.0\n",
        "    velocity_limit: 1.0\n",
        4,
        "joints[0].velocity_max",
        "missing key (largest speed, per s); for example velocity_max: 0.5",
    ),
    (
        "description:",
        "colour: red\ndescription:",
        2,
        "colour",
        "unknown key; known: name, description, joints",
    ),
    (
        "  joint_state_age_s: 0.2\n",
        "",
        38,
        "thresholds.joint_state_age_s",
        "for example joint_state_age_s: 0.2",
    ),
    (
        "velocity_max: 0.1",
        "velocity_max: '0.1'",
        15,
        "joints[2].velocity_max",
        "must be a number; got the text '0.1'; write 0.1 without quotes",
    ),
    (
        "velocity_max: 0.1",
        "velocity_max: 1e-1",
        15,
        "joints[2].velocity_max",
        "write 0.1 without quotes and with a point",
    ),
    (
        "velocity_max: 0.1",
        "velocity_max: fast",
        15,
        "joints[2].velocity_max",
        "must be a number; got the text 'fast'",
    ),
    ("velocity_max: 0.1", "velocity_max: true", 15, "joints[2].velocity_max", "must be a number; got true"),
    ("velocity_max: 0.1", "velocity_max:", 15, "joints[2].velocity_max", "must be a number; got nothing"),
    (
        "velocity_max: 0.1",
        "velocity_max: .nan",
        15,
        "joints[2].velocity_max",
        "must be a finite number; got .nan",
    ),
    (
        "velocity_max: 0.1",
        "velocity_max: .inf",
        15,
        "joints[2].velocity_max",
        "must be a finite number; got .inf",
    ),
    (
        "position_min: -2.0",
        "position_min: -.inf",
        5,
        "joints[0].position_min",
        "must be a finite number; got -.inf",
    ),
    ("velocity_max: 0.1", "velocity_max: -0.1", 15, "joints[2].velocity_max", "must be above 0; got -0.1"),
    ("gripper: true", "gripper: 1", 19, "joints[2].gripper", "must be true or false; got 1"),
    ("gripper: true", "gripper: 'true'", 19, "joints[2].gripper", "must be true or false"),
    ("name: test", "name: 7", 1, "name", "must be text; got 7; put it in quotes"),
    (
        "position_max: 2.0",
        "position_max: -2.0",
        6,
        "joints[0].position_max",
        "must be above position_min (-2); got -2",
    ),
    (
        "start: 0.5}",
        "start: 1.5}",
        11,
        "joints[1].start",
        "lies outside position_min to position_max; got 1.5, give a value from -1 to 1",
    ),
    (
        "  - name: gripper\n",
        "  - name: elbow\n",
        12,
        "joints[2].name",
        "'elbow' stands already in joints[1].name",
    ),
    (
        "name: cam_wrist",
        "name: cam_high",
        23,
        "cameras[1].name",
        "'cam_high' stands already in cameras[0].name",
    ),
    (
        "topic: cam_wrist/image",
        "topic: /cam_high/image_raw",
        23,
        "cameras[1].topic",
        "stands already in cameras[0].topic",
    ),
    (
        "topic: /gripper_controller/commands",
        "topic: /arm_controller/joint_trajectory",
        35,
        "commands[1].topic",
        "stands already in commands[0].topic",
    ),
    (
        "topic: /gripper_controller/commands",
        "topic: /arm/joint_states",
        35,
        "commands[1].topic",
        "stands already in joint_states[0].topic",
    ),
    (
        "type: forward_position",
        "type: forward",
        36,
        "commands[1].type",
        "must be one of 'joint_trajectory', 'forward_position', 'joint_state'; got the text 'forward'",
    ),
    (
        "type: forward_position",
        "type: forward_position\n    driver: arm controller",
        37,
        "commands[1].driver",
        "'arm controller' is no ROS node name; write it as ros2 node list shows it",
    ),
    (
        "type: forward_position",
        "type: forward_position\n    driver: /arm/",
        37,
        "commands[1].driver",
        "'/arm/' is no ROS node name",
    ),
    (
        "type: forward_position",
        "type: forward_position\n    driver: 7",
        37,
        "commands[1].driver",
        "must be text",
    ),
    (
        "type: forward_position",
        "type: forward_position\n    velocities: true",
        37,
        "commands[1].velocities",
        "a Float64MultiArray never carries velocities; remove the key, it is for type joint_state",
    ),
    (
        "    type: joint_trajectory",
        "    type: joint_trajectory\n    velocities: true",
        31,
        "commands[0].velocities",
        "a JointTrajectory always carries velocities; remove the key",
    ),
    (
        "    type: joint_trajectory",
        "    type: joint_trajectory\n    rate_hz: 200",
        31,
        "commands[0].rate_hz",
        "a trajectory says what is due when, at any rate; remove the key, it is for drivers of single set-points",
    ),
    (
        "type: forward_position",
        "type: forward_position\n    velocities: yes please",
        37,
        "commands[1].velocities",
        "must be true or false",
    ),
    (
        "transport: compressed",
        "transport: jpeg",
        23,
        "cameras[1].transport",
        "must be one of 'raw', 'compressed'",
    ),
    (
        "joints: [gripper]",
        "joints: [gripper, elbow]",
        37,
        "commands[1].joints[1]",
        "'elbow' is driven by commands[0] already",
    ),
    (
        "joints: [gripper]",
        "joints: [griper]",
        37,
        "commands[1].joints[0]",
        "'griper' is no joint of the profile; did you mean gripper?",
    ),
    ("joints: [gripper]", "joints: [griper]", 12, "joints[2].name", "no command output drives 'gripper'"),
    (
        "joints: [gripper]",
        "joints: gripper",
        37,
        "commands[1].joints",
        "must be a list; got the text 'gripper'; put it in [ ]",
    ),
    (
        "joints: [gripper]",
        "joints: []",
        37,
        "commands[1].joints",
        "must be a list with at least one entry; got an empty list",
    ),
    (
        "    joints: [gripper]\n",
        "    joints: [gripper]\n    names: {gripper: g}\n",
        38,
        "commands[1].names",
        "a Float64MultiArray carries no names",
    ),
    (
        "names: {shoulder: j1, elbow: j2}",
        "names: {sholder: j1, elbow: j2}",
        26,
        "joint_states[0].names.sholder",
        "did you mean shoulder?",
    ),
    (
        "names: {shoulder: j1, elbow: j2}",
        "names: {shoulder: j1, elbow: j1}",
        26,
        "joint_states[0].names.elbow",
        "'j1' is the name of shoulder, too",
    ),
    (
        "names: {shoulder: j1, elbow: j2}",
        "names: {shoulder: gripper, elbow: j2}",
        26,
        "joint_states[0].names.shoulder",
        "'gripper' is the name of gripper, too",
    ),
    (
        "      elbow: j2\n",
        "      elbow: j1\n",
        34,
        "commands[0].names.elbow",
        "'j1' is the name of shoulder, too",
    ),
    (
        "      elbow: j2\n",
        "      gripper: g\n",
        34,
        "commands[0].names.gripper",
        "'gripper' is no joint of this output",
    ),
    (
        "topic: cam_wrist/image",
        "topic: cam_wrist/2nd",
        23,
        "cameras[1].topic",
        "no part may begin with a digit",
    ),
    (
        "topic: cam_wrist/image",
        "topic: cam-wrist/image",
        23,
        "cameras[1].topic",
        "'-' not allowed; use letters, digits, _ and /",
    ),
    (
        "topic: cam_wrist/image",
        "topic: cam_wrist//image",
        23,
        "cameras[1].topic",
        "write one / between two parts",
    ),
    ("topic: cam_wrist/image", "topic: ''", 23, "cameras[1].topic", "must be text that is not empty"),
    (
        "image_age_s: 0.5",
        "image_age_s: {slow: 0.5, hold: 0.2}",
        42,
        "thresholds.image_age_s",
        "must stand in rising order; got 0.5, 0.2",
    ),
    (
        "image_age_s: 0.5",
        "image_age_s: {stop: 0.5}",
        42,
        "thresholds.image_age_s.stop",
        "unknown key; known: slow, hold, fault",
    ),
    ("image_age_s: 0.5", "image_age_s: soon", 42, "thresholds.image_age_s", "such as 0.5 or {hold: 0.5}"),
    (
        "image_age_s: 0.5",
        "image_age_s: {hold: .nan}",
        42,
        "thresholds.image_age_s.hold",
        "must be a finite number",
    ),
    (
        "jerk_max: 10.0",
        "jerk_max: 10.0\n    jerk_max: 20.0",
        18,
        "joints[2].jerk_max",
        "stands here again, first in line 17",
    ),
    ("description:", "command_speed: 1.5\ndescription:", 2, "command_speed", "must be at most 1; got 1.5"),
    ("joint_states:\n", "joint_state:\n", 24, "joint_state", "unknown key; did you mean joint_states?"),
    (
        "  - name: gripper\n",
        "  - [gripper]\n  - name: gripper\n",
        12,
        "joints[2]",
        "must be keys with values",
    ),
    ("thresholds:", "thresholds: 3\nthresholds_:", 38, "thresholds", "must be keys with values; got 3"),
    (
        "description:",
        "mock: {controller: jtc}\ndescription:",
        2,
        "mock.controller",
        "must be one of 'simple', 'joint_trajectory_controller'; got the text 'jtc'",
    ),
    (
        "description:",
        "mock: {controler: simple}\ndescription:",
        2,
        "mock.controler",
        "unknown key; did you mean controller?",
    ),
    (
        "description:",
        "mock:\n  controller: joint_trajectory_controller\n  lag_s: {sholder: 0.05}\ndescription:",
        4,
        "mock.lag_s.sholder",
        "'sholder' is no joint of the profile; did you mean shoulder?",
    ),
    (
        "description:",
        "mock:\n  controller: joint_trajectory_controller\n  lag_s: {elbow: -0.05}\ndescription:",
        4,
        "mock.lag_s",
        "the lag of 'elbow' must be a number from 0 to 1 s, such as 0.03; got -0.05",
    ),
    (
        "description:",
        "mock:\n  controller: joint_trajectory_controller\n  lag_s: 50\ndescription:",
        4,
        "mock.lag_s",
        "the lag must be a number from 0 to 1 s, such as 0.03; got 50",
    ),
    (
        "description:",
        "mock:\n  controller: joint_trajectory_controller\n  lag_s: .nan\ndescription:",
        4,
        "mock.lag_s",
        "the lag must be a number from 0 to 1 s",
    ),
    (
        "description:",
        "mock:\n  controller: joint_trajectory_controller\n  rate_hz: 5000\ndescription:",
        4,
        "mock.rate_hz",
        "must be at most 1000; got 5000",
    ),
    (
        "description:",
        "mock:\n  lag_s: 0.05\ndescription:",
        3,
        "mock.lag_s",
        "means nothing to the simple driver; add controller: joint_trajectory_controller, or remove it",
    ),
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "test.yaml"
    path.write_text(GOOD)
    return path


def mistakes(path):
    with pytest.raises(ProfileError) as error:
        load_robot_profile(path)
    assert all(line in str(error.value) for line in error.value.mistakes)
    return error.value.mistakes


def test_the_example_is_valid(path):
    """Each case below differs from it in one mistake only."""
    assert load_robot_profile(path).joint_names == ("shoulder", "elbow", "gripper")


@pytest.mark.parametrize(("before", "after", "line", "key", "words"), CASES)
def test_a_mistake_is_told_with_its_line_its_key_and_the_remedy(path, before, after, line, key, words):
    """File and line first, as editors and terminals understand it; then the key's path; then what to write."""
    assert GOOD.count(before) >= 1
    path.write_text(GOOD.replace(before, after, 1))
    found = mistakes(path)
    assert any(text.startswith(f"{path}:{line}: {key}: ") and words in text for text in found), found
    assert all("\n" not in text for text in found)


def test_every_mistake_is_told_at_once_in_the_order_of_the_file(path):
    """A user corrects the file once, not ten times: mistakes of every kind together."""
    path.write_text(
        GOOD.replace("velocity_max: 1.0", "velocity_max: .nan", 1)
        .replace("start: 0.5", "start: 5.0")
        .replace("topic: cam_wrist/image", "topic: 3")
        .replace("joints: [gripper]", "joints: [elbow]")
        .replace("  camera_skew_s: 0.05\n", "")
    )
    found = mistakes(path)
    lines = [int(re.match(rf"{re.escape(str(path))}:(\d+):", text)[1]) for text in found]
    assert lines == sorted(lines) == [7, 11, 12, 23, 37, 38]


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", 1, "the file is empty"),
        (b"# only a comment\n", 1, "the file is empty"),
        (b"name: caf\xe9\n", 1, "byte 0xe9 is not UTF-8; save the file in UTF-8"),
        (b"name: a\njoints: [1, 2\ncameras: 3\n", 3, "not valid YAML"),
        (b"name: a\njoints:\n\t- name: b\n", 3, "indent with spaces, not tabs"),
        (b"name: a\n---\nname: b\n", 2, "not valid YAML: expected a single document"),
        (b"name: a\njoints: &j [*j]\n", 2, "an anchor contains itself"),
        (b"name: a\njoints: !!python/object:os.system []\n", 2, "not valid YAML"),
        (b"[" * 5000, 1, "not valid YAML"),
        (b"name: a\x01\n", 1, "special characters are not allowed"),
        (b"[1, 2]\n", 1, "must be keys with values; got a list"),
        (b"just text\n", 1, "must be keys with values; got the text 'just text'"),
    ],
)
def test_files_that_are_no_profile_at_all(tmp_path, content, line, words):
    """Bad YAML, another encoding, an empty file: one clear line, never a traceback."""
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    (text,) = mistakes(path)
    assert text.startswith(f"{path}:{line}: ")
    assert words in text


def test_a_missing_file_names_those_that_are_there(path):
    """The profiles beside it are listed; a folder is no profile."""
    with pytest.raises(ConfigurationError, match="profiles there: test"):
        load_robot_profile(path.with_name("other.yaml"))


def test_a_profile_made_in_code_keeps_the_same_rules():
    """The rules have one home: a model that was not read from a file is refused by them, too."""
    content = YamlSource.parse(Path("x.yaml"), GOOD.replace("joints: [gripper]", "joints: [elbow]")).content
    with pytest.raises(ValueError, match="driven by commands"):
        RobotProfile.model_validate(content)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, "", "x", [], {}, [None], {"a": 1}, {1: 2}]),
)
KEYS = st.sampled_from(
    [
        ("joints", 1, "start"),
        ("joints", 0),
        ("joints",),
        ("cameras", 0, "topic"),
        ("joint_states", 0, "names"),
        ("commands", 1, "joints"),
        ("commands",),
        ("thresholds", "chunk_age_s"),
        ("thresholds",),
        ("name",),
    ]
)


@settings(max_examples=300, deadline=None)
@given(key=KEYS, value=VALUES)
def test_no_value_anywhere_ends_in_a_traceback(tmp_path_factory, key, value):
    """Whatever stands where, the profile loads with finite numbers or is refused with lines."""
    import yaml

    content = yaml.safe_load(GOOD)
    inner = content
    for part in key[:-1]:
        inner = inner[part]
    inner[key[-1]] = value
    path = tmp_path_factory.mktemp("any") / "x.yaml"
    path.write_text(yaml.safe_dump(content))
    try:
        profile = load_robot_profile(path)
    except ProfileError as error:
        lines = error.mistakes
    else:
        lines = ("none",)
        assert all(joint.position_min < joint.position_max for joint in profile.joints)
    assert lines
