"""The emergency stop of the command line reaches the arm by its service, or by its topic."""

import pytest
from rclpy.node import Node
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from video2act_msgs.msg import RunState
from video2act_ros.nodes import operator
from video2act_ros.ros import qos


class Arm(Node):
    """Takes the stop by its topic and tells it in the run state; `stopped` says whether it stands already."""

    def __init__(self, context, stopped):
        super().__init__("arm", context=context)
        self.pressed = []
        self.state = self.create_publisher(RunState, "run_state", qos.LATCHED)
        self.state.publish(RunState(emergency_stop=stopped))
        self.create_subscription(Bool, "emergency_stop", self.on_stop, qos.DATA)

    def on_stop(self, message):
        self.pressed.append(message.data)
        self.state.publish(RunState(emergency_stop=True))


def answer(_request, response):
    response.success, response.message = True, "stopped by service"
    return response


@pytest.fixture(autouse=True)
def same_domain(context, monkeypatch):
    """The command's own context takes its domain from the environment."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(context.get_domain_id()))


def test_the_service_is_enough(context, spinner):
    """Its answer is told, and the topic is left alone: pressed, it forbids to engage."""
    arm = Arm(context, stopped=False)
    arm.create_service(Trigger, "emergency_stop", answer)
    spinner.add(arm)
    assert operator.emergency_stop("") == "stopped by service"
    assert arm.pressed == []


@pytest.mark.parametrize(("stopped", "pressed"), [(False, [True, False]), (True, [True])])
def test_without_an_answer_the_topic_goes_out_and_the_run_state_counts(context, spinner, stopped, pressed):
    """Released afterwards, unless a stop was in force before: that one may be somebody's button."""
    deaf = Node("deaf", context=context)
    deaf.create_service(Trigger, "emergency_stop", answer)  # nobody spins it
    arm = spinner.add(Arm(context, stopped))
    assert (
        operator.emergency_stop("")
        == "emergency stop, as the run state says; disengage, then engage to go on"
    )
    spinner.stop()
    assert arm.pressed == pressed
    deaf.destroy_node()


def test_without_either_it_fails_in_one_line(context, spinner, monkeypatch):
    """Nobody there to stop."""
    monkeypatch.setattr(operator, "TIMEOUT_S", 0.5)
    with pytest.raises(operator.CallFailed, match="no service /left/emergency_stop; start the stack"):
        operator.emergency_stop("left")
