"""The public entry points, as docs/api.md shows them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from video2act_ros import api

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_example_runs(bundle, capsys):
    """The page's examples run in one go on a bundle, and give chunks of the documented shape."""
    names = {"folder": bundle}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, PAGE.name, "exec"), names)
    config = names["system1"].policy.config
    assert names["chunk"].shape == (config.horizon, config.joints)
    assert names["chunk"].dtype == np.float64
    assert names["moving"].shape == names["latents"].shape
    assert str(names["chunk"].shape) in capsys.readouterr().out


def test_the_page_names_every_entry_point():
    """What may be imported is documented."""
    page = PAGE.read_text()
    assert [name for name in api.__all__ if name not in page] == []


def test_the_entry_points_need_no_ros():
    """Importing them imports no ROS, so that they serve where none is installed."""
    code = "import sys, video2act_ros.api; sys.exit(any(name.startswith('rclpy') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
