"""System 2 on a GPU host: two networks, a link with 10 ms of delay each way and 1 % loss, which is cut at times.

One simulated stack with raw images is shared by the tests, another one has a compressed head camera; the GPU host's
part is started anew where a test needs that.
"""

import logging
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import two_hosts
import yaml
from compressed_profile import write_compressed_profile
from domains import new_domain
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger

from video2act_ros.nodes.demo import DemoOptions
from video2act_ros.nodes.fault_watch import FaultWatch
from video2act_ros.nodes.sim_stack import spinning_node
from video2act_ros.ros import environment, qos
from video2act_ros.ros.runner import StackRunner
from video2act_ros.ros.shared_memory import PREFIXES
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
COMPRESSED_IMAGES = 60  # over which their bytes are counted
log = logging.getLogger("two_machines")
VIDEO2ACT = Path(sys.executable).with_name("video2act")


class TwoMachines:
    """The robot's processes here, System 2 on the GPU host, and a client of the stack here."""

    def __init__(self, folder, robot, gpu_host, link, skew):
        self.folder, self.robot, self.gpu_host, self.link, self.skew = folder, robot, gpu_host, link, skew
        self.system2 = None
        self.node = self.watch = None

    def start_system2(self, **environ):
        logs = self.folder / "gpu_host"
        command = [str(VIDEO2ACT), "run", "sim", "--machine", "gpu_host", "--logs", str(logs)]
        command += ["--params-file", str(self.folder / "parameters.yaml"), "--robot", self.robot]
        environ["ROS_STATIC_PEERS"] = two_hosts.ROBOT_ADDRESS
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
        for loss in (0.0, LOSS):
            self.link.ask(f"loss {loss}")
            before, before_s = two_hosts.carried_bytes(), time.monotonic()
            self.node.reached(lambda: False, MEASURED_S)
            after, lasted_s = two_hosts.carried_bytes(), time.monotonic() - before_s
            rates = [(new - old) / lasted_s / 1e6 for new, old in zip(after, before, strict=True)]
            log.info("loss %.2f: robot to GPU host %.2f MB/s, back %.2f MB/s", loss, *rates)

    @contextmanager
    def cut(self):
        """Cut the link for the block's time; then the arm must go on by itself, every command inside its limits.

        Measured speeds are `video2act faults`' to judge: those of the simulated servos depend on this machine's load.
        """
        self.link.ask("cut")
        cut_s = time.monotonic()
        try:
            yield
        finally:
            self.link.ask("mend")
        mended_s = time.monotonic()
        self.wait_for_mode("engaged")
        again_s = time.monotonic() - mended_s
        log.info("engaged again %.1f s after a cut of %.1f s", again_s, mended_s - cut_s)
        self.wait_for_motion()
        assert self.watch.commands.outside == 0, self.watch.detail

    def wait_to_be_forgotten(self):
        """Wait until the GPU host has left the graph."""
        self.node.wait_for(lambda: "system2" not in self.node.get_node_names(), STEP_S, "the lease to end")

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
    compressed = getattr(request, "param", "") == "compressed"
    robot = str(write_compressed_profile("aloha_sim", folder)) if compressed else "aloha_sim"
    arguments = {"machine": "robot", "params_file": str(parameters), "robot": robot}
    options = DemoOptions("lift", 1, 0, folder / "r", None, "aloha_lift", robot, "", folder, 0.0)
    with pytest.MonkeyPatch.context() as patch, two_hosts.own_network() as network:
        patch.setenv("ROS_DOMAIN_ID", str(new_domain()))
        patch.delenv(environment.SERVER_VARIABLE, raising=False)
        patch.setenv("ROS_STATIC_PEERS", two_hosts.GPU_HOST_ADDRESS)
        patch.setenv(environment.MACHINE_VARIABLE, environment.ROBOT)
        environment.prepare()
        gpu_host = two_hosts.GpuHost()
        link = two_hosts.Link((network, gpu_host.network), DELAY_S, LOSS)
        machines = TwoMachines(folder, robot, gpu_host, link, two_hosts.build_skew(folder))
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
    assert not any(prefix in listed.stdout for prefix in PREFIXES)
    with machines.cut():
        machines.wait_for_mode("holding", "System 2")
        machines.node.reached(lambda: False, SHORT_CUT_S)
        machines.wait_for_mode("holding", "latents of the newest chunk too old")


def test_machines_that_have_forgotten_each_other_meet_again(machines):
    """A cut longer than the lease: the GPU host leaves the graph, comes back by itself, and the arm goes on."""
    if machines.system2 is None or machines.system2.poll() is not None:
        machines.start_system2()
    machines.engage_and_move()
    with machines.cut():
        machines.wait_for_mode("holding", "System 2")
        machines.wait_to_be_forgotten()


@pytest.mark.parametrize("machines", ["compressed"], indirect=True)
def test_compressed_images_cross_the_link(machines):
    """With a compressed head camera System 2 makes latents and the arm moves, for far fewer bytes than raw."""
    node, images = machines.node, []
    machines.start_system2()
    machines.engage_and_move()
    topic = machines.node.profile.cameras[0].topic

    def keep(message):
        with node.changed:
            images.append(message)
            node.changed.notify_all()

    node.create_subscription(CompressedImage, topic, keep, qos.DATA)
    node.wait_for(lambda: len(images) > 0, STEP_S, "a compressed image")
    seen, (sent, _) = len(images), two_hosts.carried_bytes()
    node.wait_for(lambda: len(images) >= seen + COMPRESSED_IMAGES, STEP_S, "compressed images")
    crossed = two_hosts.carried_bytes()[0] - sent
    payload = sum(len(image.data) for image in images[seen:])
    log.info("compressed images have %d bytes on average", payload / len(images[seen:]))
    assert payload / 2 < crossed < COMPRESSED_IMAGES * IMAGE_BYTES / 2
    machines.tell_bandwidth()
    assert machines.watch.commands.outside == 0, machines.watch.detail
