"""Bags as training data."""

import numpy as np
import pytest
from made_bags import BEGIN_NS, SECOND, MadeBag, commanded_at, joints_at

from video2act_ros.core.errors import DatasetError
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.recording.datasets.dataset_episodes import ExportOptions
from video2act_ros.training.bag_demonstrations import export_training
from video2act_ros.training.dataset import load_demonstrations


@pytest.fixture
def two_camera_robot(robot_profile):
    """The test robot with the cameras that are trained on."""
    content = robot_profile.model_dump()
    content["cameras"][1]["name"] = "cam_right_wrist"
    return RobotProfile.model_validate(content)


def driven(success):
    bag = MadeBag().cameras(0, 3).joints(0, 3).commands(0, 3).run_states(0, 3, state="engaged")
    return bag.success(2.5, success)


def test_a_successful_episode_can_be_loaded_as_a_demonstration(tmp_path, two_camera_robot):
    """Joints and targets at 50 Hz, images every fifth step, a whole chunk after the last of them."""
    options = ExportOptions((driven(True).write(tmp_path / "bag"),), two_camera_robot, 10.0)
    report = export_training(options, tmp_path / "data")
    demos = load_demonstrations(tmp_path / "data")
    assert demos.episodes == report.episodes == 1
    assert demos.instruction == "lift the cube"
    assert demos.images["cam_high"].shape == (report.frames, 96, 96, 3)
    assert demos.images["cam_high_64"].shape == (report.frames, 64, 64, 3)
    assert np.array_equal(np.diff(demos.image_row), np.full(report.frames - 1, 5))
    chunks = demos.chunks(np.arange(report.frames), 64)
    assert chunks.shape == (report.frames, 64, 3)
    for row in range(0, 100, 7):
        time_ns = BEGIN_NS + row * SECOND // 50
        assert np.allclose(demos.targets[row], np.array(commanded_at(time_ns)) / (1, 1, 0.04), atol=1e-5)
        assert np.allclose(demos.joints[row], np.array(joints_at(time_ns)) / (1, 1, 0.04), atol=1e-5)


def test_failures_are_not_trained_on(tmp_path, two_camera_robot):
    """And nothing half-written stays."""
    options = ExportOptions((driven(False).write(tmp_path / "bag"),), two_camera_robot, 10.0)
    with pytest.raises(DatasetError, match="was no success and is left out"):
        export_training(options, tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir() if "data" in path.name] == []


def test_a_robot_without_the_cameras_is_refused(tmp_path, robot_profile):
    """They are named."""
    options = ExportOptions((driven(True).write(tmp_path / "bag"),), robot_profile, 10.0)
    with pytest.raises(DatasetError, match="lacks cam_right_wrist"):
        export_training(options, tmp_path / "data")
