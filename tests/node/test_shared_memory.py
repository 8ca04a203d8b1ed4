"""Too little shared memory, told by real nodes."""

import os
import signal
import subprocess
import sys

import pytest

from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.ros import environment

LINE = "too little shared memory"
TIMEOUT_S = 60.0


@pytest.fixture
def small_folder(tmp_path):
    """A tmpfs of 64 MB."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(tmp_path)], capture_output=True
    )
    if done.returncode:
        pytest.skip("mounting is not permitted")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_nodes_tell_it_on_diagnostics(make_node, world, robot, small_folder, monkeypatch):
    """With the remedy, for as long as the node lives."""
    monkeypatch.setattr(environment, "SHARED_MEMORY_FOLDER", small_folder)
    for variable in (*environment.PROFILE_VARIABLES, "_VIDEO2ACT_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    make_node(CommandNode, robot=str(robot), diagnostics_period_s=0.1)
    world.wait_for_problem("/command", f"{LINE}: ")
    world.wait_for_problem("/command", "--shm-size=1g")


def test_a_process_says_it_once_at_its_start(robot):
    """In the log, before anything is late."""
    command = [
        sys.executable,
        "-m",
        "video2act_ros.nodes.command_node",
        "--ros-args",
        "-p",
        f"robot:={robot}",
    ]
    script = 'mount -t tmpfs -o size=64m tmpfs /dev/shm || exit 99; exec "$@"'
    line = ["unshare", "--mount", "sh", "-c", script, "sh", "timeout", "60", *command]
    names = (*environment.PROFILE_VARIABLES, "_VIDEO2ACT_PROFILE")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=clean)
    told = []
    for text in process.stderr:
        told.append(text)
        if LINE in text:
            process.send_signal(signal.SIGTERM)
    if process.wait(TIMEOUT_S) == 99:
        pytest.skip("mount namespaces are not permitted")
    assert process.returncode == 0
    assert sum(LINE in text for text in told) == 1, told
