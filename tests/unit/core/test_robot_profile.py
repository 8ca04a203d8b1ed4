"""Robot profiles are refused by the key that is wrong."""

import pytest
import yaml

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_profile import RobotProfile, load_robot_profile
from video2act_ros.core.thresholds import Outcome, Threshold


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"hold": 0.5, "fault": 0.2}, "rising order"),
        ({}, "at least one of slow, hold and fault"),
        ({"hold": -1.0}, "must be above 0; got -1"),
        ({"stop": 1.0}, "stop"),
        ("soon", "thresholds.image_age_s"),
    ],
)
def test_a_wrong_threshold_is_named(robot, value, words):
    """The message names the key and what is wrong with it."""
    content = yaml.safe_load(robot.read_text())
    content["thresholds"]["image_age_s"] = value
    robot.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=words) as error:
        load_robot_profile(robot)
    assert "thresholds.image_age_s" in str(error.value)


def test_a_number_means_hold_and_outcomes_are_graded():
    """From each value on, exclusively, its outcome applies; the gravest wins."""
    assert Threshold.model_validate(0.5).outcome(0.51) is Outcome.HOLD
    assert Threshold.model_validate(0.5).outcome(0.5) is None
    graded = Threshold(slow=0.1, hold=0.2, fault=0.3)
    assert [graded.outcome(v) for v in (0.15, 0.25, 0.35)] == [Outcome.SLOW, Outcome.HOLD, Outcome.FAULT]


def test_the_mock_robot_lags_as_the_profile_says(robot_profile):
    """Not at all without the key, every joint alike, or joint by joint."""
    assert robot_profile.mock.controller == "simple"
    assert robot_profile.mock_lag_s.tolist() == [0.0, 0.0, 0.0]
    for lag_s, wanted in ((0.05, [0.05] * 3), ({"elbow": 0.01, "gripper": 0.2}, [0.0, 0.01, 0.2])):
        content = robot_profile.model_dump() | {
            "mock": {"controller": "joint_trajectory_controller", "lag_s": lag_s}
        }
        assert RobotProfile.model_validate(content).mock_lag_s.tolist() == wanted


def test_a_controller_that_writes_set_points_as_they_are_asks_for_its_rate(robot_profile):
    """The command node ticks at least so often; a rate that nobody knows is named with the remedy."""
    outputs = [
        {"topic": "arm/commands", "type": "forward_position", "joints": ["shoulder", "elbow"]},
        {"topic": "gripper/commands", "type": "joint_state", "joints": ["gripper"]},
    ]
    unknown = RobotProfile.model_validate(robot_profile.model_dump() | {"commands": outputs})
    assert unknown.command_rate_hz(50.0) == 50.0
    (text,) = unknown.unknown_rates
    assert text.startswith("arm/commands gets set-points at a rate that may not be its controller's")
    assert text.endswith("say the controller manager's update_rate as commands[0].rate_hz")
    outputs[0]["rate_hz"], outputs[1]["rate_hz"] = 200.0, 100.0
    known = RobotProfile.model_validate(robot_profile.model_dump() | {"commands": outputs})
    assert known.command_rate_hz(50.0) == 200.0
    assert known.command_rate_hz(250.0) == 250.0
    assert known.unknown_rates == ()
