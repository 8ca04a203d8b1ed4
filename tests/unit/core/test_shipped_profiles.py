"""Every shipped robot profile can be used as it is, and says where its numbers come from."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from video2act_ros.control.joint_limits import JointLimits
from video2act_ros.core.robot_profile import RobotProfile, load_robot_profile

PROFILES = sorted((Path(__file__).parents[3] / "config" / "robots").glob("*.yaml"))
PUBLISHED = {  # largest values that the manufacturers publish: (velocity, acceleration, jerk) of arm joints
    "agilex_cobot_magic": (3.0, 5.0, np.inf),
    "aloha_vx300s": (np.pi, np.inf, np.inf),
    "aloha_sim": (np.pi, np.inf, np.inf),
    "franka_fr3": (2.62, 10.0, 5000.0),
}


@pytest.fixture(params=PROFILES, ids=lambda path: path.stem)
def path(request):
    return request.param


def test_there_are_the_papers_robot_an_aloha_pair_and_a_single_arm():
    """A profile that is added gets its published limits here, too."""
    assert [path.stem for path in PROFILES] == sorted(PUBLISHED)


def test_the_file_is_named_after_the_robot(path):
    """`robot:=NAME` and the name in messages are one word."""
    assert load_robot_profile(path).name == path.stem


def test_limits_are_ordered_and_finite_and_the_start_is_inside(path):
    """In policy units, too, where a gripper runs from 0 to 1."""
    profile = load_robot_profile(path)
    low, high = profile.limits("position_min"), profile.limits("position_max")
    start = profile.limits("start")
    assert np.all(low < high)
    assert np.all((low - 1e-9 <= start) & (start <= high + 1e-9))
    limits = JointLimits.of(profile)
    for name in JointLimits.__slots__:
        assert np.all(np.isfinite(getattr(limits, name))), name
    grippers = np.array([joint.gripper for joint in profile.joints])
    assert np.all(low[grippers] == 0.0)
    assert np.allclose(high[grippers], 1.0)


def test_no_limit_is_beyond_the_published_one(path):
    """Velocity, acceleration and jerk of every arm joint."""
    profile = load_robot_profile(path)
    arm = np.array([not joint.gripper for joint in profile.joints])
    for name, most in zip(
        ("velocity_max", "acceleration_max", "jerk_max"), PUBLISHED[path.stem], strict=True
    ):
        assert np.all(profile.array(name)[arm] <= most), name


def test_the_franka_stays_where_its_position_dependent_speed_limit_allows_full_speed():
    """The FR3 stops where a command is faster than permitted at that position: sqrt(b (q_end - q)) - a."""
    profile = load_robot_profile(PROFILES[-1].with_name("franka_fr3.yaml"))
    rows = (  # a, b, lower and upper end of each joint's bound
        (0.30, 12.0, -2.7501, 2.7501),
        (0.20, 5.17, -1.7918, 1.7918),
        (0.20, 7.0, -2.9065, 2.9065),
        (0.30, 8.0, -3.0481, -0.1458),
        (0.35, 34.0, -2.8101, 2.8101),
        (0.35, 11.0, 0.54092, 4.5205),
        (0.35, 34.0, -3.0196, 3.0196),
    )
    for joint, (a, b, low, high) in zip(profile.joints, rows, strict=True):
        for room in (joint.position_min - low, high - joint.position_max):
            assert np.sqrt(b * room) - a >= joint.velocity_max, joint.name


def test_a_controller_is_named_as_the_driver_of_its_topic(path):
    """A bag recorder or another node on the topic of a real robot is then no driver; ours stand in for any."""
    for output in load_robot_profile(path).commands:
        controller = output.type == "joint_trajectory" and output.topic.startswith("/")
        assert output.driver == (output.topic.rpartition("/")[0] if controller else "")


def test_only_positions_are_sent_as_joint_states(path):
    """AgileX's Piper driver takes the seventh velocity for the arm's speed in per cent."""
    assert not any(output.velocities for output in load_robot_profile(path).commands)


def test_every_limit_names_its_source_and_every_key_has_a_comment(path):
    """A number without a source cannot be checked; what is not published is marked."""
    text = path.read_text()
    sources = text[text.index("# Sources:") : text.index("\njoints:")]
    entries = re.split(r"\n#   (?=\S)", sources)[1:]
    named = {word for entry in entries for word in re.split(r", | {2,}|\n", entry)}
    assert named >= {"position", "velocity", "acceleration", "jerk", "start"}
    assert all("check" in entry for entry in entries if "not published" in entry)
    before = text.splitlines()
    for key in yaml.safe_load(text):
        index = next(i for i, line in enumerate(before) if re.match(rf"{key}:", line))
        near = [before[index], before[index - 1]] + ([before[index - 2]] if key == "description" else [])
        assert any("#" in line for line in near), key


def test_every_key_of_the_schema_is_explained_in_every_profile(path):
    """A user who starts from a file finds each key in it."""
    text = path.read_text()
    for key in RobotProfile.model_fields:
        if key not in ("command_speed", "mock"):
            assert re.search(rf"^{key}:", text, re.MULTILINE), key
