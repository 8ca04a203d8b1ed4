"""Operator commands reach the arm, and a stack recovers, without multicast, shared memory or a log folder."""

from pathlib import Path

import own_machine
import pytest
from conditions import until
from domains import new_domain

from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.ros import environment

TIMEOUT_S = 300.0  # two models load twice, perhaps beside other work
PROFILE = Path(__file__).parents[2] / "config" / "robots" / "franka_fr3.yaml"
NODE = ("--ros-args", "-p", f"robot:={PROFILE}")
NOPE = "/proc/nope"
STOPPED = "emergency stop; disengage, then engage to go on\n"


@pytest.fixture
def machine():
    """A computer without multicast and with its own /dev/shm, whose programs choose their transport themselves."""
    if reason := own_machine.why_not():
        pytest.skip(reason)
    chosen = (*environment.PROFILE_VARIABLES, "_VIDEO2ACT_PROFILE", environment.RANGE_VARIABLE)
    clean = dict.fromkeys((*chosen, environment.PEERS_VARIABLE, environment.MACHINE_VARIABLE), "")
    with own_machine.OwnMachine(ROS_DOMAIN_ID=str(new_domain()), **clean) as made:
        yield made


def start_arm(machine, folder, **environ):
    """Start the command node and the driver; return once the command node is active."""
    processes = [
        machine.start(f"video2act_ros.nodes.{name}_node", *NODE, log=folder / f"{name}.log", **environ)
        for name in ("mock_driver", "command")
    ]
    wait_for(machine, "health", "command")
    assert all(process.poll() is None for process in processes)


def wait_for(machine, *command):
    """Repeat a command until it succeeds."""
    until(lambda: machine.video2act(*command).returncode == 0, f"video2act {' '.join(command)}", TIMEOUT_S)


def stop_and_go(machine, **environ):
    """Stop the arm, and move it again: the first needs the command node, the second also what the driver measures."""
    done = machine.video2act("estop", **environ)
    assert (done.returncode, done.stdout) == (0, STOPPED), done.stderr
    wait_for(machine, "disengage")
    wait_for(machine, "move-to-start")
    wait_for(machine, "disengage")
    return done.stderr


def test_commands_work_without_multicast_and_after_shared_memory_was_emptied(machine, tmp_path):
    """What is found on the loopback address and talks over UDP depends on neither; nothing was started anew."""
    start_arm(machine, tmp_path)
    assert stop_and_go(machine) == ""
    machine.empty_shared_memory()
    assert stop_and_go(machine) == ""
    log = (tmp_path / "command.log").read_text()
    assert log.count("emergency stop by service") == 2


@pytest.mark.parametrize(
    "environ",
    [
        {environment.RANGE_VARIABLE: "LOCALHOST"},
        {
            variable: str(environment.share_path() / "config" / "fastdds.xml")
            for variable in environment.PROFILE_VARIABLES
        },
    ],
    ids=["this machine alone", "a profile of the user"],
)
def test_nor_on_what_the_user_chose(machine, tmp_path, environ):
    """ROS adds shared memory for LOCALHOST, and drivers and shells are given the nodes' own profile."""
    start_arm(machine, tmp_path, **environ)
    machine.empty_shared_memory()
    done = machine.video2act("estop", **environ)
    assert (done.returncode, done.stdout) == (0, STOPPED), done.stderr


@pytest.mark.parametrize(
    "environ", [{"ROS_LOG_DIR": NOPE}, {"ROS_LOG_DIR": "", "ROS_HOME": "", "HOME": NOPE}]
)
def test_nothing_needs_a_log_folder(machine, tmp_path, environ):
    """Nodes start and commands work; each says once what to do."""
    start_arm(machine, tmp_path, **environ)
    told = stop_and_go(machine, **environ)
    for text in (told, *((tmp_path / f"{name}.log").read_text() for name in ("command", "mock_driver"))):
        assert text.count(f"no log file can be made in {NOPE}") == 1, text
        assert text.count("export ROS_LOG_DIR=FOLDER") == 1
        assert "Traceback" not in text


def test_a_log_folder_that_fills_up_keeps_nobody_from_anything(machine, tmp_path):
    """Its lines are lost, no more."""
    start_arm(machine, tmp_path, ROS_LOG_DIR="/dev/shm/logs")
    fill = "import os; os.truncate(os.open('/dev/shm/full', os.O_CREAT | os.O_WRONLY), 0); "
    fill += "f = open('/dev/shm/full', 'wb', 0)\nwhile True: f.write(bytes(4096))"
    machine.start("timeit", "-n1", "-r1", fill, log=tmp_path / "fill.log").wait()
    assert "No space left" in (tmp_path / "fill.log").read_text()
    assert stop_and_go(machine, ROS_LOG_DIR="/dev/shm/logs") == ""


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        ((), {}, "no service /emergency_stop; start the stack"),
        (("--namespace", "3/a"), {}, "--namespace '3/a'"),
        ((), {"ROS_DOMAIN_ID": "lab"}, "ROS_DOMAIN_ID is 'lab'"),
        ((), {"ROS_DOMAIN_ID": "233"}, "ROS_DOMAIN_ID is '233'"),
        ((), {environment.PEERS_VARIABLE: "no.such.host.invalid"}, "no.such.host.invalid"),
    ],
)
def test_a_command_that_fails_says_why_in_one_line(machine, arguments, environ, words):
    """And tells it by its exit status."""
    done = machine.video2act("estop", *arguments, **environ)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert words in errors[0]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_stack_whose_shared_memory_was_emptied_recovers_by_itself(machine, tmp_path, still_bundle_of):
    """Both systems start anew over the network; the command node and the driver go on. The arm holds meanwhile."""
    bundle = str(still_bundle_of(load_robot_profile(PROFILE)))
    logs = tmp_path / "logs"
    machine.start(
        "video2act_ros.cli", "run", "mock", "--robot", str(PROFILE), "--system1-bundle", bundle,
        "--system2-bundle", bundle, "--logs", str(logs), log=tmp_path / "run.log",
    )  # fmt: skip
    wait_for(machine, "engage")
    told = (tmp_path / "run.log").read_text()
    machine.empty_shared_memory()
    assert machine.video2act("estop").returncode == 0
    for name in ("system1_node", "system2_node"):
        until(
            lambda log=logs / f"{name}.log": "starts anew" in log.read_text(),
            f"{name} to start anew",
            TIMEOUT_S,
        )
    wait_for(machine, "disengage")
    wait_for(machine, "engage")
    assert (tmp_path / "run.log").read_text() == told
    assert "starts anew" not in (logs / "command_node.log").read_text()
