"""The base of every node: parameters, transitions, failures, diagnostics."""

import threading

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import Trigger

from video2act_ros.core.config import CommandConfig, System1Config
from video2act_ros.core.errors import ConfigurationError, InstructionError
from video2act_ros.ros import qos
from video2act_ros.ros.diagnostics import Health, Level
from video2act_ros.ros.lifecycle import ManagedNode

TIMEOUT_S = 20.0


class Probe(ManagedNode):
    """Writes down what happens to it and fails on demand."""

    CONFIG = System1Config

    def __init__(self, **node_arguments):
        self.events = []
        self.failing = {}
        super().__init__(**node_arguments)

    def _note(self, event):
        self.events.append(event)
        if event in self.failing:
            raise self.failing[event]

    def setup(self):
        self.create_service(Trigger, "trigger", lambda request, response: response)
        self._note("setup")

    def start(self):
        self.subscribe(String, "text", self.on_text, qos.DATA)
        self._note("start")

    def stop(self):
        assert not any(s.topic_name.endswith("text") for s in self.subscriptions)
        self._note("stop")

    def teardown(self):
        self._note("teardown")

    def on_text(self, message):
        self._note(message.data)

    def check_config(self, config):
        if config.instruction == "dance":
            raise InstructionError("unknown instruction 'dance'")

    def config_changed(self, previous):
        self._note(f"instruction {self.config.instruction}")


class Listener(Node):
    def __init__(self, context):
        super().__init__("listener", context=context)
        self.changed = threading.Condition()
        self.status = None
        self.texts = self.create_publisher(String, "text", qos.DATA)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, qos.DATA)

    def on_diagnostics(self, message):
        with self.changed:
            self.status = message.status[0]
            self.changed.notify_all()

    def wait_for_status(self, condition):
        with self.changed:
            assert self.changed.wait_for(lambda: self.status and condition(self.status), TIMEOUT_S), (
                self.status
            )


@pytest.fixture
def listener(context, spinner):
    return spinner.add(Listener(context))


def names(entities):
    return [entity.srv_name for entity in entities]


def test_states_follow_each_other_in_order(make_node):
    """Configure sets up, activate starts; the way back stops and tears down, once each."""
    node = make_node(Probe)
    assert node.state_name == "active"
    assert "trigger" in names(node.services)
    node.bring_down()
    assert node.state_name == "finalized"
    assert node.events == ["setup", "start", "stop", "teardown"]
    assert "trigger" not in names(node.services)


def test_without_autostart_a_lifecycle_manager_is_awaited(make_node, listener):
    """Then the usual service changes the state."""
    node = make_node(Probe, autostart=False)
    assert node.events == []
    client = listener.create_client(ChangeState, "/system1/change_state")
    assert client.wait_for_service(TIMEOUT_S)
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    assert client.call(request, timeout_sec=TIMEOUT_S).success
    assert node.state_name == "inactive"


@pytest.mark.parametrize("error", [ConfigurationError("choose another bundle"), ValueError("surprise")])
def test_a_refused_configuration_leaves_the_node_up_and_says_why(make_node, listener, error):
    """One clear line on /diagnostics; nothing half-made stays; it may be configured again."""
    node = make_node(Probe, autostart=False, diagnostics_period_s=0.1)
    node.failing["setup"] = error
    assert node.trigger_configure().name == "FAILURE"
    assert node.state_name == "unconfigured"
    assert node.events == ["setup", "teardown"]
    assert "trigger" not in names(node.services)
    listener.wait_for_status(
        lambda status: "cannot configure" in status.message and str(error) in status.message
    )
    assert listener.status.level == bytes([Level.ERROR])
    node.failing.clear()
    assert node.trigger_configure().name == "SUCCESS"
    listener.wait_for_status(lambda status: status.message == "ok")


def test_a_failed_activation_is_undone(make_node):
    """The node stays configured."""
    node = make_node(Probe, autostart=False)
    node.failing["start"] = ConfigurationError("no camera")
    node.trigger_configure()
    assert node.trigger_activate().name == "FAILURE"
    assert node.state_name == "inactive"
    assert node.events == ["setup", "start", "stop"]


def test_a_failed_stop_leads_to_unconfigured(make_node):
    """An error while stopping tears everything down; the node can be configured anew."""
    node = make_node(Probe)
    node.failing["stop"] = ValueError("stuck")
    assert node.trigger_deactivate().name == "ERROR"
    assert node.state_name == "unconfigured"
    assert node.events[-1] == "teardown"


def test_an_error_in_a_callback_is_told_and_survived(make_node, listener):
    """Bad input is a problem on /diagnostics for a while, never the end of the node."""
    node = make_node(Probe, diagnostics_period_s=0.1)
    node.failing["bad"] = ValueError("bad input")
    listener.create_timer(0.05, lambda: listener.texts.publish(String(data="bad")))
    listener.wait_for_status(lambda status: "ValueError: bad input" in status.message)
    assert node.state_name == "active"


def test_parameters_are_declared_from_the_configuration(make_node):
    """Name, default, range, choices and description come from the dataclass; it receives what was set."""
    node = make_node(Probe, rate_hz=4.0, seed=3)
    assert (node.config.rate_hz, node.config.seed, node.config.device) == (4.0, 3, "auto")
    for name, info in System1Config.parameters().items():
        descriptor = node.describe_parameter(name)
        assert info.description in descriptor.description
        assert descriptor.read_only == info.read_only
        assert all(choice in descriptor.additional_constraints for choice in info.choices)
    assert node.describe_parameter("rate_hz").floating_point_range[0].to_value == 100.0


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"rate_hz": 1000.0}, r"'rate_hz' is 1000.0 Hz; it must lie in \[0.1, 100.0\]"),
        ({"rate_hz": 6}, "'rate_hz' .* must be of type float, got 6; write a decimal point"),
        ({"device": "tpu"}, "unknown value of parameter 'device' 'tpu'; choose one of: auto, cpu, cuda"),
        ({"seed": -1}, "'seed' is -1"),
    ],
)
def test_wrong_parameters_are_refused_at_start(context, parameters, words):
    """The message lists the valid choices."""
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    with pytest.raises(ConfigurationError, match=words):
        Probe(context=context, parameter_overrides=overrides)


def test_only_what_may_change_can_be_changed(make_node):
    """Read-only parameters refuse; others ask the node and then reach its configuration."""
    node = make_node(Probe)
    assert not node.set_parameters([Parameter("rate_hz", value=3.0)])[0].successful
    refusal = node.set_parameters([Parameter("instruction", value="dance")])[0]
    assert (refusal.successful, refusal.reason) == (False, "unknown instruction 'dance'")
    assert node.config.instruction == ""
    assert node.set_parameters([Parameter("instruction", value="lift")])[0].successful
    assert node.config.instruction == "lift"
    assert node.events[-1] == "instruction lift"


def test_namespaces_and_remapping_work(context):
    """Two stacks can run side by side."""

    class Command(ManagedNode):
        CONFIG = CommandConfig

    node = Command(context=context, cli_args=["--ros-args", "-r", "__ns:=/left", "-r", "text:=words"])
    assert node.get_fully_qualified_name() == "/left/command"
    assert node.create_publisher(String, "text", qos.DATA).topic_name == "/left/words"
    node.destroy_node()


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


def test_health_reports_rates_and_the_worst_problem():
    """Rates over the last seconds; passing problems go away, the others stay until resolved."""
    clock = Clock()
    health = Health(clock)
    for _ in range(50):
        health.count("chunks")
        clock.now_s += 0.1
    health.value("latent_age_s", 0.123456)
    health.problem("camera", "no image", Level.WARN)
    health.problem("input", "bad input", passing=True)
    report = health.report()
    assert report.values == {"chunks_hz": "10.00", "latent_age_s": "0.1235"}
    assert (report.level, report.message) == (Level.ERROR, "bad input; no image")
    clock.now_s += 10.0
    report = health.report()
    assert (report.level, report.message) == (Level.WARN, "no image")
    assert report.values["chunks_hz"] == "0.00"
    health.resolve("camera")
    assert health.report().message == "ok"
