"""Who takes commands, as the graph, the controller managers and the controllers tell it."""

import pytest
from conditions import until
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from video2act_ros.core.drivers import Proof
from video2act_ros.core.robot_profile import CommandOutput
from video2act_ros.ros import qos
from video2act_ros.ros.command_listeners import CommandListeners

TOPIC = "/left/arm_controller/joint_trajectory"
NODE = "/left/arm_controller"
WHY = "not on PyPI: comes with an installation of ros2_control"


@pytest.fixture
def sender(context, spinner):
    return spinner.add(Node("sender", context=context))


@pytest.fixture
def join(context, spinner):
    """Let a node be there, and listen to commands unless told not to."""

    def make(name, listens=True, namespace="/left"):
        node = spinner.add(Node(name, context=context, namespace=namespace))
        if listens:
            node.create_subscription(JointTrajectory, TOPIC, lambda _: None, qos.COMMAND)
        return node

    return make


@pytest.fixture
def look(sender):
    """Look at one output; the profile may name its driver."""

    def make(driver=""):
        output = CommandOutput(topic=TOPIC, type="joint_trajectory", joints=("shoulder",), driver=driver)
        publisher = sender.create_publisher(JointTrajectory, TOPIC, qos.COMMAND)
        listeners = CommandListeners(sender, [(output, publisher)])
        return lambda: listeners.look()[0]

    return make


def until_found(look, proof, words=""):
    until(lambda: look().proof is proof and words in look().text, f"{proof} {words}: {look()}")


def diagnostics(state):
    """As controller_manager writes them since 4.21."""
    values = [
        KeyValue(key="arm_controller.state", value=state),
        KeyValue(key="arm_controller.periodicity", value="1"),
    ]
    ours = DiagnosticStatus(name="controller_manager: Controllers Activity", values=values)
    other = DiagnosticStatus(name="camera: state", values=[KeyValue(key="arm_controller", value="finalized")])
    return DiagnosticArray(status=[ours, other])


def test_an_unknown_listener_is_unproven_and_the_profile_can_name_it(join, look):
    """It may be the driver: the profile knows."""
    join("vendor_driver")
    until_found(look(), Proof.UNPROVEN, "add driver: /left/vendor_driver to commands[0] in the robot profile")
    until_found(look("vendor_driver"), Proof.PROVEN)
    until_found(look("/vendor_driver"), Proof.ABSENT, "only /left/vendor_driver")


def test_a_bag_recorder_in_another_namespace_is_no_driver_and_hides_none(join, look):
    """The one that was taken for a driver."""
    recorder_only = look()
    join("rosbag2_recorder", namespace="/")
    until_found(recorder_only, Proof.ABSENT, "only who records or shows: /rosbag2_recorder")
    join("mock_driver")
    until_found(recorder_only, Proof.PROVEN)


def test_a_managers_diagnostics_tell_which_controller_is_active(join, look, sender):
    """Without any package that is not on PyPI: inactive, active, and nobody knows once they stop coming."""
    told = sender.create_publisher(DiagnosticArray, "/diagnostics", qos.DATA)
    join("controller_manager", listens=False)
    join("arm_controller")
    found = look("/left/arm_controller")
    until_found(
        found, Proof.UNPROVEN, f"{NODE} is a controller of /left/controller_manager, and nothing tells"
    )

    def tells(state, proof):
        told.publish(diagnostics(state))
        return found().proof is proof

    until(lambda: tells("inactive", Proof.ABSENT), "an inactive controller")
    assert (
        "activate it: ros2 control switch_controllers -c /left/controller_manager --activate" in found().text
    )
    until(lambda: tells("active", Proof.PROVEN), "an active controller")
    until_found(found, Proof.UNPROVEN)


def test_a_managers_activity_tells_which_controller_is_active(join, look, sender):
    """Latched, at once, in the manager's namespace; then the busy diagnostics are not listened to."""
    messages = pytest.importorskip("controller_manager_msgs.msg", reason=f"controller_manager_msgs is {WHY}")
    if not hasattr(messages, "ControllerManagerActivity"):
        pytest.skip("this controller_manager_msgs, before 4.28, has no ControllerManagerActivity")
    manager = join("my_manager", listens=False)
    join("arm_controller")
    told = manager.create_publisher(messages.ControllerManagerActivity, "~/activity", qos.LATCHED)

    def tell(label):
        message = messages.ControllerManagerActivity()
        message.controllers = [messages.NamedLifecycleState(name="arm_controller")]
        message.controllers[0].state.label = label
        told.publish(message)

    found = look()
    tell("inactive")
    until_found(found, Proof.ABSENT, "switch_controllers -c /left/my_manager --activate arm_controller")
    tell("active")
    until_found(found, Proof.PROVEN)
    tell("inactive")
    until_found(found, Proof.ABSENT, f"controller {NODE} is loaded, but inactive")
    assert not [item for item in sender.subscriptions if item.topic_name == "/diagnostics"]


def test_a_controllers_own_states_tell_that_it_is_active(join, look):
    """They come from an active one only; the topic is there before."""
    messages = pytest.importorskip("control_msgs.msg", reason=f"control_msgs is {WHY}")
    controller = join("arm_controller")
    told = controller.create_publisher(
        messages.JointTrajectoryControllerState, "~/controller_state", qos.DATA
    )
    found = look()
    until_found(found, Proof.ABSENT, f"no {NODE}/controller_state arrives")

    def tells():
        told.publish(messages.JointTrajectoryControllerState())
        return found().proof is Proof.PROVEN

    until(tells, "states")
    until_found(found, Proof.ABSENT, f"no {NODE}/controller_state arrives")


def test_what_was_subscribed_is_given_up(sender, join, look):
    """A node that is configured again subscribes again, not twice."""
    output = CommandOutput(topic=TOPIC, type="joint_trajectory", joints=("shoulder",))
    publisher = sender.create_publisher(JointTrajectory, TOPIC, qos.COMMAND)
    listeners = CommandListeners(sender, [(output, publisher)])
    before = len(list(sender.subscriptions))
    join("mock_driver")
    until(lambda: listeners.look()[0].proof is Proof.PROVEN, "the stand-in")
    assert [item.topic_name for item in sender.subscriptions][before:] == ["/left/mock_driver/activity"]
    listeners.look()
    assert len(list(sender.subscriptions)) == before + 1
    listeners.close()
    assert len(list(sender.subscriptions)) == before
