"""No callback of a node can end its process: each is guarded where it is made, and none can be made without."""

import ast
import time
from pathlib import Path

import pytest
from conditions import until
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

import video2act_ros
from video2act_ros.core.config import CommandConfig
from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.ros import qos
from video2act_ros.ros.lifecycle import ManagedNode

CLIENTS = {
    "nodes/demo_node.py": "a user of a stack, in the process of a command",
    "nodes/fault_bench.py": "a stand-in of the fault bench, in its process",
    "nodes/operator.py": "a user of a stack, in the process of a command",
    "nodes/health.py": "a container's health check",
    "nodes/bench_camera.py": "a camera of a benchmark, in a process of its own",
    "ros/raw_topics.py": "the recorder's own, in a thread that guards it",
}
"""Modules that may use a plain node, and why it is none of a stack."""

MAKERS = ("create_subscription", "create_timer", "create_service")


def fail(*_arguments):
    raise RuntimeError("broken on purpose")


class Probe(ManagedNode):
    """Its callbacks fail; one that works counts."""

    CONFIG = CommandConfig

    def setup(self):
        self.works = 0
        self.create_subscription(String, "text", fail, qos.DATA)
        self.create_service(Trigger, "trigger", fail)
        self.timer = self.create_timer(0.01, fail)
        self.create_timer(0.01, self.work)
        self.texts = self.create_publisher(String, "text", qos.DATA)

    def work(self):
        self.works += 1


@pytest.fixture
def probe(make_node):
    return make_node(Probe, diagnostics_period_s=0.1)


def test_callbacks_that_raise_cost_one_call(probe, context, spinner):
    """Timers, subscriptions and services: the node works on and says what failed."""
    client = spinner.add(Node("caller", context=context)).create_client(Trigger, "trigger")
    assert client.wait_for_service(20.0)
    answer = client.call_async(Trigger.Request())
    probe.texts.publish(String(data="x"))
    until(answer.done, "the service's answer")
    assert not answer.result().success
    assert answer.result().message == "trigger failed: RuntimeError: broken on purpose"
    before = probe.works
    until(lambda: probe.works > before + 5, "the node to work on")
    assert "broken on purpose" in probe.health.report().message


def test_every_callback_of_the_node_that_owns_the_arm_is_guarded(make_node):
    """Whatever makes it: its own code, a helper, or ROS itself for the parameter services."""
    node = make_node(CommandNode)
    made = [*node.subscriptions, *node.timers, *node.services]
    assert len(made) > 20
    assert [item for item in made if not getattr(item.callback, "guarded", False)] == []


def test_nodes_of_a_stack_are_made_in_one_way():
    """Only ManagedNode derives from ROS's nodes, and nothing goes around what it overrides."""
    root = Path(video2act_ros.__file__).parent
    for path in sorted(root.rglob("*.py")):
        name, tree = path.relative_to(root).as_posix(), ast.parse(path.read_text())
        if name in CLIENTS:
            continue
        for item in ast.walk(tree):
            if isinstance(item, ast.ClassDef) and name != "ros/lifecycle.py":
                bases = {ast.unparse(base) for base in item.bases}
                assert not bases & {"Node", "LifecycleNode", "rclpy.node.Node"}, (name, item.name)
            if isinstance(item, ast.Call):
                called = ast.unparse(item.func)
                assert not called.endswith("create_guard_condition"), (
                    name,
                    item.lineno,
                )  # no executor of ours takes them
                assert called not in ("Node", "rclpy.create_node"), (name, item.lineno)
                goes_around = any(called == f"super().{maker}" for maker in MAKERS)
                assert not goes_around or name == "ros/lifecycle.py", (name, item.lineno)


def test_a_stop_latched_before_the_node_began_is_seen(context, spinner, robot):
    """Whoever pressed it need not press it again because the command node was started anew."""
    button = spinner.add(Node("button", context=context))
    button.create_publisher(Bool, "emergency_stop", qos.LATCHED).publish(Bool(data=True))
    parameters = [Parameter("robot", value=str(robot))]
    node = spinner.add(CommandNode(context=context, parameter_overrides=parameters))
    assert node.bring_up()
    loop = node._control._loop
    until(lambda: loop.status(0).emergency_stop, "the stop")
    assert "emergency stop" in loop.status(0).reason
    node.bring_down()


def test_epochs_do_not_depend_on_the_clock(make_node, monkeypatch):
    """A robot without a battery clock boots in 1970 each time; what was planned before is of another epoch."""
    monkeypatch.setattr(time, "time", lambda: 42.0)
    epochs = []
    for _ in range(8):
        node = make_node(CommandNode)
        epochs.append(node._control._loop.status(0).epoch)
        node.bring_down()
        node.destroy_node()
    assert len(set(epochs)) == len(epochs)
    assert min(abs(a - b) for a in epochs for b in epochs if a != b) > 1000
