"""System 2 on a GPU host: two networks, a link with 10 ms of delay each way and 1 % loss, which is cut at times.

One simulated stack is shared by the tests; the GPU host's part of it is started anew where a test needs that.
"""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import two_hosts
import yaml
from std_srvs.srv import Trigger

from video2act_ros.nodes.demo import DemoOptions
from video2act_ros.nodes.fault_watch import FaultWatch
from video2act_ros.nodes.sim_stack import spinning_node
from video2act_ros.ros import environment
from video2act_ros.ros.runner import StackRunner
from video2act_ros.ros.stack import SIM

REASON = two_hosts.why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

SEED = 800_000
STARTUP_S = 120.0
STEP_S = 40.0
DELAY_S, LOSS = 0.01, 0.01
PERIOD_S = 0.02  # of commands
SHORT_CUT_S = 3.0
MEASURED_S = 5.0
IMAGE_BYTES = 320 * 240 * 3
log = logging.getLogger("two_machines")
VIDEO2ACT = Path(sys.executable).with_name("video2act")


class TwoMachines:
    """The robot's processes here, System 2 on the GPU host, and a client of the stack here."""

    def __init__(self, folder, gpu_host, link, skew):
        self.folder, self.gpu_host, self.link, self.skew = folder, gpu_host, link, skew
        self.system2 = None
        self.node = self.watch = None

    def start_system2(self, **environ):
        logs = self.folder / "gpu_host"
        command = [str(VIDEO2ACT), "run", "sim", "--machine", "gpu_host", "--logs", str(logs)]
        command += ["--params-file", str(self.folder / "parameters.yaml")]
        environ |= {"ROS_STATIC_PEERS": two_hosts.ROBOT_ADDRESS}
        self.system2 = self.gpu_host.run(command, self.folder / "gpu_host.log", **environ)

    def stop_system2(self):
        if self.system2 is not None:
            two_hosts.stop(self.system2)

    def reached(self, mode, words=""):
        state = self.node.state
        return state is not None and state.state == mode and words in state.reason

    def wait_for_mode(self, mode, words=""):
        self.node.wait_for(lambda: self.reached(mode, words), STEP_S, f"{mode} {words}")

    def wait_for_motion(self):
        """Wait for the engaged arm to move from where it stands; the way to there is not this test's."""
        self.node.first_motion_s = self.node._rest = None
        self.node.wait_for(lambda: self.node.first_motion_s is not None, STEP_S, "the arm to move")

    def tell_bandwidth(self):
        """Log what the link carries (`--log-cli-level=info` shows it), this test's own subscriptions included."""
        before, before_s = two_hosts.carried_bytes(), time.monotonic()
        self.node.reached(lambda: False, MEASURED_S)
        after, lasted_s = two_hosts.carried_bytes(), time.monotonic() - before_s
        rates = [(new - old) / lasted_s / 1e6 for new, old in zip(after, before, strict=True)]
        log.info("robot to GPU host %.2f MB/s, back %.2f MB/s", *rates)

    def engage_and_move(self):
        self.node.prepare(SEED, STARTUP_S)
        self.watch.begin()
        self.node.engage(STARTUP_S)
        self.wait_for_motion()


@pytest.fixture(scope="module")
def machines(request, tmp_path_factory):
    if any(item.path != request.path for item in request.session.items):
        pytest.skip(
            "Fast DDS reads profiles and interfaces once in a process: run this file alone (make e2e)"
        )
    folder = tmp_path_factory.mktemp("two_machines")
    patient = {"command": {"reach_rad": 2.0}, "system2": {"camera_reliability": "reliable"}}
    content = {f"/**/{node}": {"ros__parameters": values} for node, values in patient.items()}
    parameters = folder / "parameters.yaml"
    parameters.write_text(yaml.safe_dump(content))
    arguments = {"machine": "robot", "params_file": str(parameters)}
    options = DemoOptions("lift", 1, 0, folder / "r", None, "aloha_lift", "aloha_sim", "", folder, 0.0)
    with pytest.MonkeyPatch.context() as patch, two_hosts.own_network() as network:
        patch.setenv("ROS_DOMAIN_ID", str(1 + (os.getpid() * 7 + 60) % 100))
        patch.setenv("ROS_STATIC_PEERS", two_hosts.GPU_HOST_ADDRESS)
        patch.setenv(environment.MACHINE_VARIABLE, environment.ROBOT)
        environment.prepare()
        gpu_host = two_hosts.GpuHost()
        link = two_hosts.Link((network, gpu_host.network), DELAY_S, LOSS)
        machines = TwoMachines(folder, gpu_host, link, two_hosts.build_skew(folder))
        try:
            with StackRunner(SIM, arguments, folder / "robot") as runner, spinning_node(options) as node:
                machines.node, machines.watch = node, FaultWatch(node, PERIOD_S)
                yield machines
                assert runner.failed() is None
        finally:
            machines.stop_system2()
            link.close()
            gpu_host.close()
            patch.undo()
            environment.prepare()


def test_a_clock_that_is_off_refuses_engage(machines):
    """A GPU host whose clock is 0.35 s ahead: one line names the offset and its direction."""
    if machines.skew is None:
        pytest.skip("a skewed clock needs gcc")
    machines.start_system2(LD_PRELOAD=str(machines.skew), SKEW_S="0.35")
    node = machines.node
    node.wait_for(lambda: node.chunks > 0, STARTUP_S, "chunks with latents from the GPU host")

    deadline_s, told = time.monotonic() + STEP_S, ""
    while not ("System 2's clock is 0.3" in told and "ahead of this machine's" in told):
        assert time.monotonic() < deadline_s, told
        answer = node.call(node.engage_client, Trigger.Request())
        assert not answer.success, answer.message
        told, chunks = answer.message, node.chunks
        node.reached(lambda seen=chunks: node.chunks > seen, 1.0)
    machines.stop_system2()


def test_the_arm_moves_holds_while_the_link_is_cut_and_moves_again(machines):
    """What moves it crosses the link, datagrams that are lost are sent again, and no limit is left at any time."""
    machines.stop_system2()
    machines.start_system2()
    sent, received = two_hosts.carried_bytes()
    machines.engage_and_move()
    now_sent, now_received = two_hosts.carried_bytes()
    assert now_sent - sent > 20 * IMAGE_BYTES
    assert now_received - received > 100_000
    machines.tell_bandwidth()
    listed = subprocess.run(machines.gpu_host.command("ls", "/dev/shm"), capture_output=True, text=True)
    assert "fastdds" not in listed.stdout
    machines.link.ask("cut")
    try:
        machines.wait_for_mode("holding", "System 2")
        machines.node.reached(lambda: False, SHORT_CUT_S)
        machines.wait_for_mode("holding", "latents of the newest chunk too old")
    finally:
        machines.link.ask("mend")
    machines.wait_for_mode("engaged")
    machines.wait_for_motion()
    assert machines.watch.violations == 0, machines.watch.detail


def test_machines_that_have_forgotten_each_other_meet_again(machines):
    """A cut longer than the lease: the GPU host leaves the graph, comes back by itself, and the arm goes on."""
    if machines.system2 is None or machines.system2.poll() is not None:
        machines.start_system2()
    machines.engage_and_move()
    node = machines.node
    machines.link.ask("cut")
    try:
        machines.wait_for_mode("holding", "System 2")
        node.wait_for(lambda: "system2" not in node.get_node_names(), STEP_S, "the GPU host to be forgotten")
    finally:
        machines.link.ask("mend")
    machines.wait_for_mode("engaged")
    machines.wait_for_motion()
    assert machines.watch.violations == 0, machines.watch.detail
