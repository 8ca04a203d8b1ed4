"""A node as a process: signals end it in order, cleanly, at any moment."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from video2act_ros.core.priority import raise_scheduling_class
from video2act_ros.nodes import operator
from video2act_ros.ros.process import spin

STOP_S = 2.0  # what the stack promises
TIMEOUT_S = 30.0
NODE = """
import sys, time
from std_msgs.msg import String
from video2act_ros.core.config import CommandConfig, System2Config
from video2act_ros.ros import qos
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.process import run_node

class Other(ManagedNode):
    CONFIG = System2Config

class Probe(ManagedNode):
    CONFIG = CommandConfig
    looks = 0
    def companions(self):
        return (Other,) if "pair" in sys.argv else ()
    @property
    def may_end(self):
        if self.state_name != "active":
            return True
        self.looks += 1
        print("asked", flush=True)
        return self.looks > 3 and "never" not in sys.argv
    def setup(self):
        self.last = self.create_publisher(String, "last", qos.DATA)
        if "pair" in sys.argv:
            print(sorted(self.get_node_names()), flush=True)
        if "slow" in sys.argv:
            print("loading", flush=True)
            time.sleep(60.0)
    def start(self):
        self.create_timer(0.05, lambda: print("tick", flush=True))
    def stop(self):
        self.last.publish(String(data="hold"))
        print("stopped", flush=True)
        if "hangs" in sys.argv:
            time.sleep(60.0)

sys.exit(run_node(Probe, args=[a for a in sys.argv if a not in ("slow", "pair", "never", "hangs")]))
"""


def start(*arguments, node=NODE, **options):
    return subprocess.Popen(
        [sys.executable, "-c", node, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def end(process, number):
    """Send a signal; return the exit status, the rest of the output and how long it took [s]."""
    began_s = time.monotonic()
    process.send_signal(number)
    output, errors = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, output, errors, time.monotonic() - began_s


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_node_which_may_still_publish(number):
    """A robot needs a last command: publishing must work while stopping. Status 0, within 2 s, no traceback."""
    process = start()
    assert process.stdout.readline() == "tick\n"
    status, output, errors, duration_s = end(process, number)
    assert output.splitlines()[-1] == "stopped"
    assert (status, errors) == (0, "")
    assert duration_s < STOP_S


def test_a_signal_ends_a_node_that_is_still_loading():
    """Nobody waits for a model that is not wanted any more."""
    process = start("slow")
    assert process.stdout.readline() == "loading\n"
    status, output, errors, duration_s = end(process, signal.SIGTERM)
    assert (status, output) == (0, "")
    assert "Traceback" not in errors
    assert duration_s < STOP_S


def test_an_interrupt_held_back_since_the_start_ends_the_node_in_order():
    """Ctrl-C right after `ros2 launch` reaches processes that still import; no traceback, no status but 0."""
    process = start(preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,)))
    status, _output, errors, _duration_s = end(process, signal.SIGINT)
    assert (status, errors) == (0, "")


def test_a_node_that_may_not_end_yet_goes_on_for_a_while():
    """The simulated robot waits for the arm to rest, but not for ever."""
    for arguments in ((), ("never",)):
        process = start(*arguments)
        assert process.stdout.readline() == "tick\n"
        status, output, errors, _duration_s = end(process, signal.SIGTERM)
        lines = output.splitlines()
        assert lines.count("asked") > 3
        assert lines[-1] == "stopped"
        assert (status, errors) == (0, "")


def test_a_stop_that_hangs_tells_where():
    """Whoever started the process kills it soon after; its log then holds every thread's stack."""
    process = start("hangs")
    assert process.stdout.readline() == "tick\n"
    process.send_signal(signal.SIGTERM)
    told = list(itertools.takewhile(lambda line: "in _run" not in line, process.stderr))
    process.kill()
    process.communicate()
    assert any(line.endswith("in stop\n") for line in told), told


def test_a_companion_keeps_its_name_where_the_process_is_given_one():
    """Launch names a process's node; without that the command node beside System 1 would get System 1's name."""
    process = start("pair", "--ros-args", "-r", "__node:=left", "-r", "__ns:=/names")
    names = process.stdout.readline()
    end(process, signal.SIGTERM)
    assert "left" in names
    assert "system2" in names


def test_wrong_parameters_end_the_process_with_one_line():
    """The message names the parameter and its range; the status says that it failed."""
    process = start("--ros-args", "-p", "rate_hz:=5000.0")
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, output) == (1, "")
    assert "'rate_hz' is 5000.0 Hz; it must lie in [1.0, 1000.0]" in errors
    assert len(errors.splitlines()) == 1


def permitted_policy():
    """Return the scheduling policy that a thread gets here which asks for SCHED_FIFO."""
    policies = []

    def ask():
        raise_scheduling_class(10)
        policies.append(os.sched_getscheduler(0))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(TIMEOUT_S)
    return policies[0]


@pytest.mark.parametrize(
    ("config", "priority", "raised"),
    [("CommandConfig", 40, True), ("CommandConfig", 0, False), ("System2Config", None, False)],
)
def test_only_a_process_that_just_controls_raises_its_threads(config, priority, raised):
    """The executor may not be kept off the CPU while it holds the interpreter's lock; a model never gets that class."""
    arguments = [] if priority is None else ["--ros-args", "-p", f"realtime_priority:={priority}"]
    process = start(*arguments, node=NODE.replace("CommandConfig", config))
    try:
        assert process.stdout.readline() == "tick\n"
        expected = permitted_policy() if raised else os.SCHED_OTHER
        tasks = [int(name) for name in os.listdir(f"/proc/{process.pid}/task")]
        assert {os.sched_getscheduler(task) for task in tasks} == {expected}
    finally:
        status, *_ = end(process, signal.SIGTERM)
    assert status == 0


def permitted_nice(value):
    """Return the nice value that a process gets here which asks for `value`."""
    code = f"from video2act_ros.core.priority import prefer_process as p; p({value}); import os; print(os.nice(0))"
    return int(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    )


@pytest.mark.parametrize("value", [None, 0, 4])
def test_every_thread_of_a_node_has_the_nice_value_of_its_parameter(value):
    """-10 by default, so that other programs on the robot's computer do not starve cameras and models."""
    arguments = [] if value is None else ["--ros-args", "-p", f"nice:={value}"]
    process = start(*arguments, node=NODE.replace("CommandConfig", "System2Config"))
    try:
        assert process.stdout.readline() == "tick\n"
        expected = permitted_nice(-10 if value is None else value)
        tasks = [int(name) for name in os.listdir(f"/proc/{process.pid}/task")]
        assert {os.getpriority(os.PRIO_PROCESS, task) for task in tasks} == {expected}
    finally:
        status, *_ = end(process, signal.SIGTERM)
    assert status == 0


LOADING = """
import sys, time
from video2act_ros.core.config import System1Config
from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.process import run_node

class Loading(ManagedNode):
    CONFIG = System1Config
    def companions(self):
        return (CommandNode,)
    def setup(self):
        print("loading", flush=True)
        time.sleep(60.0)

sys.exit(run_node(Loading, args=sys.argv))
"""


def test_an_emergency_stop_is_served_while_system1_loads(robot, domain, monkeypatch):
    """In one process, too: what owns the arm has a thread of its own."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    process = start("--ros-args", "-p", f"robot:={robot}", node=LOADING)
    try:
        assert process.stdout.readline() == "loading\n"
        assert "emergency stop" in operator.emergency_stop("")
    finally:
        status, _, errors, _ = end(process, signal.SIGTERM)
    assert status == 0
    assert "Traceback" not in errors


class Escaping:
    """An executor from which something escapes, as ROS's own do where a message cannot be taken."""

    def spin_once(self, timeout_sec):
        raise RuntimeError("broken on purpose")


class Telling:
    """A node that keeps what it is to tell."""

    def __init__(self):
        self.told = []

    def report_problem(self, name, error):
        self.told.append((name, str(error)))


def test_what_escapes_from_an_executor_is_told_and_no_end():
    """A guarded callback lets nothing out; ROS itself may."""
    node = Telling()
    for _ in range(3):
        spin(Escaping(), node)
    assert node.told == [("executor", "broken on purpose")] * 3
