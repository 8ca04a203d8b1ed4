"""What one system reports of its inputs."""

import math

import pytest

from video2act_ros.core.errors import InputError
from video2act_ros.core.input_report import InputCheck, InputValue
from video2act_ros.core.thresholds import Thresholds


def test_every_check_has_a_threshold():
    """What is watched can be graded by the robot profile."""
    assert {check.threshold for check in InputCheck} <= set(Thresholds.model_fields)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_are_finite(value):
    """A comparison with NaN would never trip a threshold."""
    with pytest.raises(InputError, match="image_age of cam_high must be finite"):
        InputValue(InputCheck.IMAGE_AGE, "cam_high", value)
