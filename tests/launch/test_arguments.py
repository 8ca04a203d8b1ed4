"""The arguments as a user meets them: shown, described, refused."""

import re
from pathlib import Path

import pytest

from video2act_ros.ros.launch_arguments import ARGUMENTS, arguments_of
from video2act_ros.ros.stack import REPLAY, SIM

ROOT = Path(__file__).parents[2]
ABSENT = "launch packages come with a ROS 2 installation only"
FILE = ("video2act_ros", "real_robot.launch.py")

USERS_OWN = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

def generate_launch_description():
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource({file!r}), launch_arguments={arguments!r}.items()
    )
    return LaunchDescription([DeclareLaunchArgument("gripper_port", default_value="left"), include])
"""


def test_the_documentation_lists_every_argument_with_its_default():
    """docs/launch.md is what a user reads before the first start."""
    text = (ROOT / "docs" / "launch.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))
    for argument in (*arguments_of(SIM), *arguments_of(REPLAY)):
        assert rows[argument.name].strip("`") == (argument.default or "empty"), argument.name


def test_every_argument_is_shown_with_its_text_and_its_choices(launched):
    """`--show-args` needs no running stack."""
    pytest.importorskip("ros2launch", reason=ABSENT)
    launch = launched(*FILE, "--show-args")
    assert launch.ended() == 0
    for argument in ARGUMENTS:
        assert f"'{argument.name}':" in launch.output
        assert argument.description in launch.output
        assert f"(default: '{argument.default}')" in launch.output
        assert all(choice in launch.output for choice in argument.choices)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (
            "robbot:=aloha_sim",
            "did you mean robot:=…? unknown launch argument 'robbot'; choose one of: namespace",
        ),
        ("control:=both", "unknown value of control 'both'; choose one of: separate, in_process"),
        ("namespace:=left-arm", "namespace 'left-arm' is no ROS name"),
        ("robot:=unicorn", "unknown robot profile 'unicorn'; choose one of: agilex_cobot_magic, aloha_sim"),
        ("system2_bundle:=none", "unknown bundle 'none'; choose one of: aloha_lift"),
        ("params_file:=/nowhere.yaml", "params_file '/nowhere.yaml' is no file"),
        ("instruction:=put it: there", "unknown instruction 'put it: there'; this bundle knows: lift"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_starts(launched, argument, words):
    """One line with what is valid, and an exit status that scripts see."""
    pytest.importorskip("ros2launch", reason=ABSENT)
    launch = launched(*FILE, argument)
    assert launch.ended() == 1
    assert "process started" not in launch.output
    assert [line for line in launch.lines if words in line] == [launch.lines[-1]], launch.output


@pytest.mark.parametrize(
    ("included", "words"),
    [
        ({"robot": "unicorn"}, "unknown robot profile 'unicorn'"),
        ({"control": "both"}, "unknown value of control"),
    ],
)
def test_an_including_file_keeps_its_own_arguments(launched, tmp_path, included, words):
    """Names on the command line are then that file's; values for ours are still checked."""
    pytest.importorskip("ros2launch", reason=ABSENT)
    path = tmp_path / "own.launch.py"
    path.write_text(USERS_OWN.format(file=str(ROOT / "launch" / "real_robot.launch.py"), arguments=included))
    launch = launched(path, "gripper_port:=right")
    assert launch.ended() == 1
    assert words in launch.output
    assert "gripper_port" not in launch.output
