"""Commands as a user types them."""

import pytest
from typer.testing import CliRunner

from video2act_ros.cli import app


@pytest.fixture
def run(robot):
    """Run a command on recordings of the test robot."""

    def invoke(*words):
        return CliRunner().invoke(app, [*map(str, words), "--robot", str(robot)], catch_exceptions=True)

    return invoke
