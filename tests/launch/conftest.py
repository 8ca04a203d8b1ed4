"""Domains and `ros2 launch` for the tests of the launch files."""

import pytest
from domains import new_domain
from launched import Launched

from video2act_ros.ros import environment

environment.prepare()


@pytest.fixture(scope="module")
def domain():
    """A domain of its own for each module, for everything that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(new_domain()))
        yield


@pytest.fixture
def launched(domain, tmp_path):
    """Run `ros2 launch` with arguments: launched("video2act_ros", "sim.launch.py", …)."""
    running = []

    def start(*arguments):
        running.append(Launched(*arguments, logs=tmp_path / "log"))
        return running[-1]

    yield start
    for launch in running:
        launch.__exit__()
