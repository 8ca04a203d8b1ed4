"""A node as a process: signals end it in order, cleanly, at any moment."""

import signal
import subprocess
import sys
import time

import pytest

STOP_S = 2.0  # what the stack promises
TIMEOUT_S = 30.0
NODE = """
import sys, time
from std_msgs.msg import String
from video2act_ros.core.config import CommandConfig
from video2act_ros.ros import qos
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.process import run_node

class Probe(ManagedNode):
    CONFIG = CommandConfig
    def setup(self):
        self.last = self.create_publisher(String, "last", qos.DATA)
        if "slow" in sys.argv:
            print("loading", flush=True)
            time.sleep(60.0)
    def start(self):
        self.create_timer(0.05, lambda: print("tick", flush=True))
    def stop(self):
        self.last.publish(String(data="hold"))
        print("stopped", flush=True)

sys.exit(run_node(Probe, args=[a for a in sys.argv if a != "slow"]))
"""


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", NODE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
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


def test_wrong_parameters_end_the_process_with_one_line():
    """The message names the parameter and its range; the status says that it failed."""
    process = start("--ros-args", "-p", "rate_hz:=5000.0")
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, output) == (1, "")
    assert "'rate_hz' is 5000.0 Hz; it must lie in [1.0, 1000.0]" in errors
    assert len(errors.splitlines()) == 1
