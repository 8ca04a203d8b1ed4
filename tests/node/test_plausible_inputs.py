"""Inputs from strangers: a liar, a driver in degrees, a second camera; each is named and holds a driven arm."""

import contextlib

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from mock_stack import MockStack
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from video2act_msgs.msg import ActionChunk, InputHealth
from video2act_ros.ros import input_publishers, qos
from video2act_ros.ros.convert import ns_to_stamp

RATE_HZ = 100.0
TWO_SOURCES = "let one driver alone publish on arm/joint_states"


class Stranger(Node):
    """Publishes on a joint-state topic what a test asks for."""

    def __init__(self, context, names, name="liar"):
        super().__init__(name, context=context)
        self.names, self.positions = names, None
        self.publisher = None
        self.create_timer(1.0 / RATE_HZ, self.publish)

    def lie(self, topic, positions):
        self.positions = positions
        self.publisher = self.create_publisher(JointState, topic, qos.SOURCE)

    def publish(self):
        if self.publisher is not None:
            message = JointState(name=self.names, position=self.positions)
            message.header.stamp = self.get_clock().now().to_msg()
            self.publisher.publish(message)


@pytest.fixture
def process(domain, spinner):
    """Give a node of another process: a participant and a thread of its own."""

    @contextlib.contextmanager
    def run(make):
        other = Context()
        rclpy.init(context=other, domain_id=domain)
        theirs = type(spinner)(other)
        try:
            yield theirs.add(make(other))
        finally:
            theirs.stop()
            rclpy.try_shutdown(context=other)

    return run


@pytest.fixture
def stack(make_node, spinner, context, robot, still_bundle):
    """The test robot's stack, ready to be engaged."""
    return MockStack(make_node, spinner, context, robot, still_bundle)


@pytest.fixture
def liar(process, stack):
    names = list(stack.profile.joint_names)
    with process(lambda other: Stranger(other, names)) as node:
        yield node


def lies(stack):
    """Return a pose, in the robot's units, that lies 1.2 rad from the true one."""
    return (stack.profile.array("start") + np.array([0.0, 1.2, 0.0])).tolist()


def assert_refused(stack, *words):
    """Neither engage nor move_to_start begins; both say why."""
    for service in ("engage", "move_to_start"):
        answer = stack.operator.call(service)
        assert not answer.success
        for word in words:
            assert word in answer.message, answer.message


def wait_for_way(operator, words):
    operator.wait_for(lambda: operator.state is not None and words in operator.state.reason, words)


def test_a_liar_in_shadow_is_in_the_way_of_everything_that_moves_the_arm(stack, liar):
    """Another pose at 100 Hz: both services name the node and the topic; once it is gone the arm may go."""
    operator, topic = stack.operator, stack.profile.joint_states[0].topic
    operator.wait_for(
        lambda: operator.state is not None and "in the way" not in operator.state.reason, "readiness"
    )
    liar.lie(topic, lies(stack))
    wait_for_way(operator, "/liar")
    wait_for_way(operator, TWO_SOURCES)
    assert_refused(stack, "/liar", f"publish on {operator.resolve_topic_name(topic)}", TWO_SOURCES)
    liar.destroy_publisher(liar.publisher)
    liar.publisher = None
    operator.engage()
    operator.wait_for_state("engaged")


def test_a_liar_stops_a_driven_arm_by_name_and_within_its_limits(stack, liar):
    """Hold at once, fault when it goes on; the commands stay where the arm is."""
    operator, topic = stack.operator, stack.profile.joint_states[0].topic
    operator.engage()
    operator.wait_for_state("engaged")
    liar.lie(topic, lies(stack))
    operator.wait_for_state("fault", TWO_SOURCES)
    assert f"on {topic}" in operator.state.reason
    operator.wait_for(
        lambda: "/liar" in operator.state.reason or "/liar" in operator.problems["/command"], "its name"
    )
    sent = np.array(
        [message.points[0].positions for message in operator.commands[stack.profile.commands[0].topic]]
    )
    assert np.abs(sent - sent[0]).max() < 0.3


def test_a_driver_in_degrees_is_told_so(make_node, spinner, context, process, robot, still_bundle):
    """The unit is named where otherwise a pose far outside would be taken for the arm's."""
    stack = MockStack(make_node, spinner, context, robot, still_bundle)
    stack.silence("joints")
    names = list(stack.profile.joint_names)
    with process(lambda other: Stranger(other, names, "driver_in_degrees")) as driver:
        driver.lie(stack.profile.joint_states[0].topic, [40.0, -30.0, 0.02])
        wait_for_way(stack.operator, "far outside of its range")
        assert_refused(stack, "it looks like degrees; let its source give radians")


def test_a_second_camera_driver_is_named_and_holds(stack, stranger_publisher):
    """Also one that has not sent an image yet."""
    operator = stack.operator
    operator.engage()
    operator.wait_for_state("engaged")
    camera = stack.profile.cameras[0]
    with stranger_publisher("second_camera", Image, camera.topic):
        operator.wait_for_state("holding", "/second_camera")
        assert f"2 nodes publish on {operator.resolve_topic_name(camera.topic)}" in operator.state.reason
        assert f"leave only the camera driver of {camera.name} there" in operator.state.reason
        operator.call("disengage")
        operator.wait_for_state("shadow", "/second_camera")
        assert_refused(stack, "/second_camera")
    operator.engage()
    operator.wait_for_state("engaged")


def test_a_camera_of_another_clock_is_told_so_wherever_one_looks(stack, process):
    """A driver that counts from its start: run state and diagnostics name the clock, not a dead camera."""
    operator, camera = stack.operator, stack.profile.cameras[0]
    stack.silence(camera.name)
    with process(lambda other: Node("uptime_camera", context=other)) as node:
        publisher = node.create_publisher(Image, camera.topic, qos.SOURCE)

        def send():
            image = Image(height=48, width=64, encoding="rgb8", step=192, data=bytes(range(256)) * 36)
            image.header.stamp = ns_to_stamp(node.get_clock().now().nanoseconds - 10**18 - 79 * 10**16)
            publisher.publish(image)

        node.create_timer(0.05, send)
        words = (
            f"camera image of {camera.name} stamped 56.7 years ago, by another clock; let the camera driver"
        )
        wait_for_way(operator, words)
        words = f"images of {camera.name} are stamped 56.7 years ago, by another clock"
        operator.wait_for(lambda: words in operator.problems.get("/system1", ""), words)
        assert_refused(stack, "by another clock")


@pytest.fixture
def stranger_publisher(process):
    """Let a node of another process publish on a topic."""

    @contextlib.contextmanager
    def publish(name, message_type, topic):
        with process(lambda other: Node(name, context=other)) as node:
            yield node.create_publisher(message_type, topic, qos.DATA)

    return publish


@pytest.mark.parametrize(
    ("topic", "message_type"), [("action_chunk", ActionChunk), ("input_health", InputHealth)]
)
def test_a_second_system_is_named(stack, stranger_publisher, topic, message_type):
    """Two policies, or a third reporter: nothing moves for them."""
    operator = stack.operator
    operator.wait_for(lambda: operator.state is not None and operator.state.chunk_age >= 0.0, "a chunk")
    with stranger_publisher("second_system1", message_type, topic):
        wait_for_way(operator, "/second_system1")
        assert_refused(stack, f"nodes publish on /{topic}", "/second_system1")


def test_drivers_that_share_a_topic_each_with_its_own_joints_are_no_rivals(
    make_node, spinner, context, process, robot
):
    """An arm's driver and a base's on one /joint_states, as many robots have it; /diagnostics names no mistake."""
    stack = MockStack(make_node, spinner, context, robot)
    told = []
    with process(lambda other: Stranger(other, ["left_wheel", "right_wheel"], "base")) as base:
        base.lie(stack.profile.joint_states[0].topic, [1.0, 2.0])
        topic = stack.operator.resolve_topic_name(stack.profile.joint_states[0].topic)
        stack.operator.wait_for(lambda: stack.operator.count_publishers(topic) == 2, "both drivers")
        stack.operator.create_subscription(
            DiagnosticArray, "/diagnostics", stack.operator.keep_in(told), qos.DATA
        )
        stack.operator.engage()
        stack.operator.wait_for_state("engaged")
        stack.operator.wait_for(lambda: len(told) >= 20, "reports")
    texts = [status.message for message in told for status in message.status]
    assert texts
    assert not [text for text in texts if "wheel" in text]


def test_a_process_that_was_started_anew_is_no_rival_at_once(stack, stranger_publisher, monkeypatch):
    """DDS shows a killed one until its lease ends; two that last are told."""
    operator = stack.operator
    operator.engage()
    operator.wait_for_state("engaged")
    with stranger_publisher("system1", ActionChunk, "action_chunk"):
        operator.wait_for(lambda: operator.count_publishers("/action_chunk") == 2, "both processes")
        assert stack.command._control._publishers.look() == ()
        operator.wait_for_state("engaged")
        monkeypatch.setattr(input_publishers, "RESTARTED_S", 0.1)
        operator.wait_for_state("holding", "2 nodes publish on /action_chunk: /system1 (2 processes)")


def test_reports_of_unknown_systems_are_refused_and_hold_nothing(stack, spinner, context):
    """They would hold the arm for good once they fall silent."""
    operator = stack.operator
    stranger = spinner.add(Node("system1", namespace="/other", context=context))
    publisher = stranger.create_publisher(InputHealth, "/input_health", qos.DATA)
    operator.wait_for(lambda: publisher.get_subscription_count() > 0, "the command node")
    message = InputHealth(system="system3", checks=["frame_gap"], cameras=["cam_high"], values=[9.0])
    message.header.stamp = stranger.get_clock().now().to_msg()
    publisher.publish(message)
    words = "input report of an unknown system 'system3' refused; known are system1, system2"
    operator.wait_for(lambda: words in operator.problems.get("/command", ""), words)
    spinner.executor.remove_node(stranger)
    spinner.nodes.remove(stranger)
    stranger.destroy_node()
    operator.engage()
    operator.wait_for_state("engaged")


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (5.0, "external command is 5."),
        (-1.0, "s in the future; synchronise its source's clock"),
        (None, "years ago, by another clock"),
    ],
)
def test_external_commands_count_by_their_stamps(stack, spinner, context, age_s, words):
    """A late one, one of a clock ahead and one that counts from its start are refused; the policy goes on."""
    operator = stack.operator
    operator.engage()
    operator.wait_for_state("engaged")
    source = spinner.add(Node("teleop", context=context))
    publisher = source.create_publisher(JointState, "external_command", qos.DATA)
    operator.wait_for(lambda: publisher.get_subscription_count() > 0, "the command node")
    message = JointState(name=list(stack.profile.joint_names), position=[0.0, 0.0, 0.5])
    now_ns = source.get_clock().now().nanoseconds
    message.header.stamp = ns_to_stamp(5_000_000_000 if age_s is None else now_ns - int(age_s * 1e9))
    publisher.publish(message)
    operator.wait_for(lambda: words in operator.problems.get("/command", ""), words)
    assert operator.state.source == "policy"
