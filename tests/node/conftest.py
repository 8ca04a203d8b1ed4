"""Real nodes in one process: a private context and a domain of its own for each test, conditions instead of sleeps."""

import gc
import threading
from functools import partial

import cv2
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from domains import new_domain
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String

from video2act_msgs.msg import ActionChunk, Latents, RunState
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.ros import environment, qos
from video2act_ros.ros.convert import stamp_to_ns
from video2act_ros.ros.process import make_executor

environment.prepare()

TIMEOUT_S = 20.0
gc.freeze()  # what is imported by now is never garbage: looking for the rest takes next to no time


class Spinner:
    """Spins nodes in a thread of its own and brings them down at the end."""

    def __init__(self, context):
        self.executor = make_executor(context)
        self.nodes = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.stopping.is_set():
            self.executor.spin_once(timeout_sec=0.05)

    def add(self, node):
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def stop(self):
        self.stopping.set()
        self.thread.join(TIMEOUT_S)
        for node in reversed(self.nodes):
            if hasattr(node, "bring_down"):
                node.bring_down()
        self.executor.shutdown()
        for node in self.nodes:
            node.destroy_node()


@pytest.fixture
def domain():
    """A ROS domain of its own."""
    return new_domain()


@pytest.fixture
def context(domain):
    """A ROS context of its own in a domain of its own."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def spinner(context):
    spinner = Spinner(context)
    yield spinner
    spinner.stop()


@pytest.fixture
def make_node(context, spinner):
    """Make, bring up and spin a managed node: make_node(NodeClass, parameter=value, …)."""

    def make(node_class, **parameters):
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = node_class(context=context, parameter_overrides=overrides)
        node.came_up = node.bring_up()
        return spinner.add(node)

    return make


class World(Node):
    """Cameras and arms that publish at 20 Hz, a run state on demand, and everything that the systems tell."""

    def __init__(self, context):
        super().__init__("world", context=context)
        self.changed = threading.Condition()
        self.random = np.random.default_rng(0)
        self.received = {"chunk": [], "spatial": [], "motion": [], "wish": [], "known": []}
        self.problems = {}
        self.encoding = "rgb8"
        self.publishing = {"cam_high", "cam_wrist", "joints", "run_state"}
        self.told = None  # the run state, once a test has told one
        self.epoch_stamp_ns = 0
        self.raw = self.create_publisher(Image, "cam_high/image_raw", qos.CAMERA)
        self.compressed = self.create_publisher(CompressedImage, "cam_wrist/image_raw/compressed", qos.CAMERA)
        self.arm = self.create_publisher(JointState, "arm/joint_states", qos.JOINT_STATES)
        self.gripper = self.create_publisher(JointState, "gripper/joint_states", qos.JOINT_STATES)
        self.state = self.create_publisher(RunState, "run_state", qos.LATCHED)
        self.create_subscription(ActionChunk, "action_chunk", partial(self.keep, "chunk"), qos.DATA)
        for stream in ("spatial", "motion"):
            self.create_subscription(Latents, f"latents/{stream}", partial(self.keep, stream), qos.LATENTS)
        self.create_subscription(String, "instruction", partial(self.keep, "wish"), qos.DATA)
        self.create_subscription(String, "known_instructions", partial(self.keep, "known"), qos.LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, qos.DATA)
        self.create_timer(0.05, self.publish_all)

    def keep(self, name, message):
        with self.changed:
            self.received[name].append(message)
            self.changed.notify_all()

    def keep_in(self, messages, message):
        with self.changed:
            messages.append(message)
            self.changed.notify_all()

    def on_diagnostics(self, message):
        with self.changed:
            for status in message.status:
                self.problems[status.name] = status.message
            self.changed.notify_all()

    def publish_all(self):
        stamp = self.get_clock().now().to_msg()
        if "run_state" in self.publishing and self.told is not None:
            self.state.publish(self.told)  # as the command node does
        if "joints" in self.publishing:
            arm = JointState(name=["elbow", "shoulder"], position=[0.2, 0.1])
            gripper = JointState(name=["gripper"], position=[0.01])
            arm.header.stamp = gripper.header.stamp = stamp
            self.arm.publish(arm)
            self.gripper.publish(gripper)
        pixels = self.random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        if "cam_high" in self.publishing:
            image = Image(height=32, width=32, encoding=self.encoding, step=96, data=pixels.tobytes())
            image.header.stamp = stamp
            self.raw.publish(image)
        if "cam_wrist" in self.publishing:
            data = cv2.imencode(".png", pixels)[1].tobytes()
            compressed = CompressedImage(format="png", data=data)
            compressed.header.stamp = stamp
            self.compressed.publish(compressed)

    def run_state(self, epoch, instruction="", episode=1):
        message = RunState(state="shadow", epoch=epoch, episode=episode, instruction=instruction)
        message.epoch_stamp = message.episode_stamp = self.get_clock().now().to_msg()
        self.epoch_stamp_ns = stamp_to_ns(message.epoch_stamp)
        self.told = message
        self.state.publish(message)

    def newest(self, name):
        return self.received[name][-1]

    def wait_for(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT_S), f"waited for {what}; told: {self.problems}"

    def wait_for_problem(self, node, words):
        self.wait_for(lambda: words in self.problems.get(node, ""), words)

    def wait_for_more(self, name, count=1):
        wanted = len(self.received[name]) + count
        self.wait_for(lambda: len(self.received[name]) >= wanted, f"{count} more {name}")


@pytest.fixture
def world(context, spinner):
    return spinner.add(World(context))


@pytest.fixture
def bundle_folders(tmp_path_factory):
    """The parameter that lets every bundle of the tests be set while a node runs."""
    return {"bundle_folders": str(tmp_path_factory.getbasetemp())}


@pytest.fixture
def systems(make_node, world, bundle, robot, bundle_folders):
    common = {"bundle": str(bundle), "robot": str(robot), "diagnostics_period_s": 0.1, **bundle_folders}
    return make_node(System2Node, rate_hz=10.0, **common), make_node(System1Node, rate_hz=10.0, **common)
