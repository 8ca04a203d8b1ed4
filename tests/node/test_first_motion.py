"""From a stranger's URDF to a moving mock arm: draft a profile, fill in what it asks, start the mock stack, engage."""

import numpy as np
import pytest
from drafts import fill_in
from mock_stack import MOVED, SafeStack
from small_urdfs import BIMANUAL, PANDA, SO101, UR5E, write_urdf
from typer.testing import CliRunner

from video2act_ros.cli import app
from video2act_ros.core.safe_source import SAFE_SOURCE_WORDS

CAMERAS = """\
 * /cam_high/color/image_raw [sensor_msgs/msg/Image] 1 publisher
 * /cam_high/color/image_raw/zstd [sensor_msgs/msg/CompressedImage] 1 publisher
 * /cam_high/depth/image_rect_raw [sensor_msgs/msg/Image] 1 publisher
"""
JOINT_STATES = " * /joint_states [sensor_msgs/msg/JointState] 1 publisher\n"
TRAJECTORY = "[trajectory_msgs/msg/JointTrajectory] 1 subscriber\n"
UR_TOPICS = (
    f"Published topics:\n{JOINT_STATES}{CAMERAS}Subscribed topics:\n"
    f" * /scaled_joint_trajectory_controller/joint_trajectory {TRAJECTORY}"
    " * /forward_position_controller/commands [std_msgs/msg/Float64MultiArray] 1 subscriber\n"
)
PAIR_TOPICS = f"Published topics:\n{JOINT_STATES}{CAMERAS}Subscribed topics:\n" + "".join(
    f" * /follower_{side}/{part}_controller/joint_trajectory {TRAJECTORY}"
    for side in ("left", "right")
    for part in ("arm", "gripper")
)
ROBOTS = {
    "so101": (SO101, "", {}, 6, 1),
    "ur5e": (
        UR5E,
        UR_TOPICS,
        {"topic": "/forward_position_controller/commands", "type": "forward_position"},
        6,
        0,
    ),
    "panda": (PANDA, "", {}, 8, 1),
    "bimanual": (BIMANUAL, PAIR_TOPICS, {}, 14, 2),
}


@pytest.mark.parametrize(("name", "robot"), ROBOTS.items(), ids=ROBOTS)
def test_a_strangers_urdf_ends_in_a_moving_mock_arm(make_node, spinner, context, tmp_path, name, robot):
    """`new-robot`, an edit, `run mock`, `engage`: every joint moves, slowly although the URDF says 1000 rad/s."""
    joints, topics, answers, count, grippers = robot
    path = tmp_path / "mine.yaml"
    command = ["new-robot", str(write_urdf(tmp_path / f"{name}.urdf", joints)), "--output", str(path)]
    if topics:
        (tmp_path / "topics.txt").write_text(topics)
        command += ["--topics", str(tmp_path / "topics.txt")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    path.write_text(fill_in(path.read_text(), **answers))
    stack = SafeStack(make_node, spinner, context, path)
    assert len(stack.profile.joints) == count
    assert sum(joint.gripper for joint in stack.profile.joints) == grippers
    assert max(joint.velocity_max for joint in stack.profile.joints) < 3.2
    operator = stack.operator
    operator.engage()
    operator.wait_for_state("engaged", SAFE_SOURCE_WORDS)
    operator.wait_for(lambda: np.all(stack.travel() > MOVED), "motion of every joint")
    operator.wait_for(lambda: all(operator.commands.values()), "commands on every output")
