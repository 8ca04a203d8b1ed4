"""Where ROS writes log files, and that nobody needs them."""

from pathlib import Path

import pytest

from video2act_ros.ros.log_folder import log_folder, log_folder_problem


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"ROS_LOG_DIR": "/logs", "ROS_HOME": "/ros", "HOME": "/home/a"}, "/logs"),
        ({"ROS_LOG_DIR": "", "ROS_HOME": "/ros", "HOME": "/home/a"}, "/ros/log"),
        ({"HOME": "/home/a"}, "/home/a/.ros/log"),
        ({"ROS_LOG_DIR": "~/logs", "HOME": "/home/a"}, "/home/a/logs"),
        ({"ROS_HOME": "~/ros", "HOME": "/home/a"}, "/home/a/ros/log"),
    ],
)
def test_the_folder_is_the_one_that_ros_chooses(environ, folder):
    """In its order."""
    assert log_folder(environ) == Path(folder)


def test_a_folder_that_can_be_made_is_no_problem_and_left_empty(tmp_path):
    """It is made as ROS makes it, and the trial leaves nothing."""
    folder = tmp_path / "deep" / "log"
    assert log_folder_problem({"ROS_LOG_DIR": str(folder)}) is None
    assert not list(folder.iterdir())


def test_what_cannot_be_written_is_one_line_with_the_remedy(tmp_path):
    """A folder that cannot be made, a file in its place, no home."""
    (tmp_path / "file").touch()
    for environ in (
        {"ROS_LOG_DIR": "/proc/nope"},
        {"ROS_HOME": str(tmp_path / "file")},
        {},
        {"HOME": "/proc/nope"},
    ):
        problem = log_folder_problem(environ)
        assert problem.endswith("export ROS_LOG_DIR=FOLDER with one that can be written")
        assert "\n" not in problem
