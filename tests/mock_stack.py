"""What tests with the mock driver share: an operator who sees everything, and the stack's nodes in one process."""

import threading
import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from video2act_msgs.msg import RunState
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.nodes.mock_driver_node import MockDriverNode
from video2act_ros.nodes.safe_source_node import SafeSourceNode
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.ros import qos
from video2act_ros.ros.command_outputs import MESSAGE_TYPES

TIMEOUT_S = 60.0
MOVED = 0.01  # in policy units


class Operator(Node):
    """Sees the run state and, where it `listens`, every command; calls the operator's services."""

    def __init__(self, context, profile, listens=True):
        super().__init__("operator", context=context)
        self.changed = threading.Condition()
        self.state = None
        self.problems = {}
        self.commands = {output.topic: [] for output in profile.commands}
        self.create_subscription(RunState, "run_state", self.on_state, qos.LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, qos.DATA)
        for output in profile.commands if listens else ():
            self.create_subscription(
                MESSAGE_TYPES[output.type],
                output.topic,
                self.keep_in(self.commands[output.topic]),
                qos.DATA,
            )

    def on_state(self, message):
        with self.changed:
            self.state = message
            self.changed.notify_all()

    def on_diagnostics(self, message):
        with self.changed:
            self.problems.update({status.name: status.message for status in message.status})
            self.changed.notify_all()

    def keep_in(self, messages):
        def keep(message):
            with self.changed:
                messages.append(message)
                self.changed.notify_all()

        return keep

    def sent(self):
        return sum(len(messages) for messages in self.commands.values())

    def wait_for(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT_S), (
                f"waited for {what}; {self.state}; told: {self.problems}"
            )

    def wait_for_state(self, name, words=""):
        self.wait_for(
            lambda: self.state is not None and self.state.state == name and words in self.state.reason,
            f"{name} {words}",
        )

    def call(self, name):
        client = self.create_client(Trigger, name)
        assert client.wait_for_service(TIMEOUT_S)
        response = client.call(Trigger.Request(), timeout_sec=TIMEOUT_S)
        self.destroy_client(client)
        return response

    def engage(self):
        """Engage as soon as the run state names nothing that is in the way; on a busy machine that may pass again."""
        self.wait_for(lambda: self.state is not None and self.state.chunk_age >= 0.0, "a chunk")
        refusals = []

        def engaged():
            if "in the way" in self.state.reason:
                return False
            response = self.call("engage")
            refusals.extend([] if response.success else [response.message])
            return response.success

        self.wait_for(lambda: "in the way" not in self.state.reason, "nothing in the way")
        deadline_s = time.monotonic() + TIMEOUT_S
        while not engaged():
            assert time.monotonic() < deadline_s, refusals
            seen = self.state
            self.wait_for(lambda: self.state is not seen, "another run state")  # noqa: B023


class MockStack:
    """The nodes of the mock stack in this process; without a bundle the safe source is among them."""

    def __init__(self, make_node, spinner, context, path, bundle=None, listens=True):
        self.path, self.profile = path, load_robot_profile(path)
        self.operator = spinner.add(Operator(context, self.profile, listens))
        common = {"robot": str(path), "diagnostics_period_s": 0.1}
        models = common | {"bundle": str(bundle), "rate_hz": 10.0}
        self.driver = make_node(MockDriverNode, image_width=64, image_height=48, **common)
        if bundle is None:
            self.sources = (make_node(SafeSourceNode, **common),)
        else:
            self.sources = (make_node(System2Node, **models), make_node(System1Node, **models))
        self.command = make_node(CommandNode, realtime_priority=0, **common)
        nodes = (self.driver, *self.sources, self.command)
        assert all(node.came_up for node in nodes), [node.health for node in nodes]

    def silence(self, what):
        (result,) = self.driver.set_parameters([Parameter("silent", value=what)])
        assert result.successful, result.reason


class SafeStack(MockStack):
    """The mock stack without a bundle, and where its arm was seen."""

    def __init__(self, make_node, spinner, context, path):
        self.seen = {}
        super().__init__(make_node, spinner, context, path)
        for index, source in enumerate(self.profile.joint_states):
            self.operator.create_subscription(
                JointState, source.topic, self.keep_joints(index), qos.JOINT_STATES
            )

    def keep_joints(self, index):
        source = self.profile.joint_states[index]

        def keep(message):
            with self.operator.changed:
                found = self.profile.order(list(message.name), source)
                self.seen |= {ours: message.position[theirs] for ours, theirs in found.items()}
                self.operator.changed.notify_all()

        return keep

    def travel(self):
        """How far every joint is from its start, (J,) in policy units; zero while nothing was seen."""
        if len(self.seen) < len(self.profile.joints):
            return np.zeros(len(self.profile.joints))
        positions = np.array([self.seen[name] for name in self.profile.joint_names])
        return np.abs(self.profile.to_policy(positions) - self.profile.limits("start"))
