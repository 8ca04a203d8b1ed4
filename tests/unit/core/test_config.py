"""Configurations of nodes, without ROS."""

from dataclasses import fields

import pytest

from video2act_ros.core import config
from video2act_ros.core.config import MockDriverConfig, NodeConfig, SimRobotConfig
from video2act_ros.core.errors import ConfigurationError

CONFIGS = [kind for kind in vars(config).values() if isinstance(kind, type) and issubclass(kind, NodeConfig)]


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)
def test_every_default_is_allowed(kind):
    """A node starts without any parameter file; numbers of another type than their range would be refused by ROS."""
    kind()
    for item in fields(kind):
        info = item.metadata["parameter"]
        bounds = [bound for bound in (info.minimum, info.maximum) if bound is not None]
        assert all(isinstance(bound, type(item.default)) for bound in bounds), item.name


def test_stand_ins_differ_only_where_they_say_so():
    """The mock driver's images are smaller by default; unit and range are those of the simulated robot."""
    assert (SimRobotConfig().image_width, MockDriverConfig().image_width) == (320, 160)
    assert SimRobotConfig.parameters()["image_width"] == MockDriverConfig.parameters()["image_width"]
    with pytest.raises(ConfigurationError, match=r"image_width.*px.*\[32, 1920\]"):
        MockDriverConfig(image_width=16)
