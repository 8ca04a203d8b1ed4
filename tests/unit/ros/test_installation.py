"""A half-finished installation is told by what is missing and the remedy, not by a traceback from an import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STUBS = {"rclpy": "", "video2act_msgs": "", "pydantic": ""}


def run_command(
    folder: Path, modules: dict[str, str], pydantic: str = "2.1"
) -> subprocess.CompletedProcess[str]:
    """Import the nodes with only `modules` of those that an installation brings."""
    for name in modules:
        (folder / f"{name}.py").write_text("")
    info = folder / f"pydantic-{pydantic}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pydantic\nVersion: {pydantic}\n")
    environ = {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))), "PATH": os.environ["PATH"]}
    code = "import video2act_ros.nodes"
    return subprocess.run([sys.executable, "-S", "-c", code], env=environ, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("missing", "remedy"),
    [
        ("rclpy", "source the ROS 2 installation"),
        ("video2act_msgs", "ln -s video2act_ros/ros2_ws/src/video2act_msgs src/video2act_msgs"),
        ("pydantic", "requirements/ros-installation.txt"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(tmp_path, missing, remedy):
    """The messages are missing where the repository was cloned into somebody's src without the link."""
    present = {name: source for name, source in STUBS.items() if name != missing}
    last_line = run_command(tmp_path, present).stderr.strip().splitlines()[-1]
    assert missing in last_line
    assert remedy in last_line


def test_the_distributions_old_pydantic_is_refused(tmp_path):
    """Ubuntu 24.04 has pydantic 1, with another interface."""
    last_line = run_command(tmp_path, STUBS, pydantic="1.10.14").stderr.strip().splitlines()[-1]
    assert "pydantic 1.10.14 is too old" in last_line


def test_a_complete_installation_passes(tmp_path):
    """Nothing is refused that has all of it."""
    result = run_command(tmp_path, STUBS)
    assert (result.returncode, result.stderr) == (0, "")
