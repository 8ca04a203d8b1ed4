"""Shared memory of real processes: too little of it is told, and ports of killed processes are left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conditions import until

from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.ros import environment
from video2act_ros.ros.shared_memory import FOLDER

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


def port_locks(pid, kind):
    """Return the names of the ports' locks that a process holds: "WRITE" for its own ports, "READ" for dead ones."""
    lines = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    held = {
        line[5].rpartition(":")[2] for line in lines if line[1:5] == ["FLOCK", "ADVISORY", kind, str(pid)]
    }
    return {file.name for file in os.scandir(FOLDER) if "_port" in file.name and str(file.inode()) in held}


def test_the_ports_of_a_killed_process_are_held(context):
    """Every process of the stack sees to it; those who write to the killed one would hang otherwise."""
    environ = os.environ | {"ROS_DOMAIN_ID": str(context.get_domain_id())}
    program = "import sys, rclpy; rclpy.init(); node = rclpy.create_node('victim'); print(flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        process.stdout.readline()
        ports = port_locks(process.pid, "WRITE")
        made_s = max(((FOLDER / port).stat().st_mtime for port in ports), default=0.0)
        until(lambda: time.time() - made_s > 1.5, "the ports to be taken for sure")
        process.kill()
    if not ports:
        pytest.skip("the transport uses no shared memory here")
    until(lambda: ports <= port_locks(os.getpid(), "READ"), f"{ports} to be held", TIMEOUT_S)


def test_a_restarted_process_takes_no_port_of_its_killed_forerunner(world, robot, context):
    """Who wrote to the killed process may go on doing so: on its port the new one might hear nothing for good."""
    environ = os.environ | {"ROS_DOMAIN_ID": str(context.get_domain_id())}
    options = ["--ros-args", "-p", f"robot:={robot}", "-p", "diagnostics_period_s:=0.1"]
    ports = []
    for _ in range(3):
        world.problems.clear()
        process = subprocess.Popen(
            [sys.executable, "-m", "video2act_ros.nodes.mock_driver_node", *options], env=environ
        )
        try:
            world.wait_for(lambda: "/mock_driver" in world.problems, "the driver")
            ports.append(port_locks(process.pid, "WRITE"))
        finally:
            process.kill()
            process.wait(TIMEOUT_S)
    if not any(ports):
        pytest.skip("the transport uses no shared memory here")
    assert not ports[0] & ports[1]
    assert not ports[1] & ports[2]
