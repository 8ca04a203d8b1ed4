"""`video2act health` tells a container's health check whether the nodes live."""

import subprocess
import sys

import pytest

from video2act_ros.core.config import CommandConfig, System1Config, System2Config
from video2act_ros.core.errors import ConfigurationError
from video2act_ros.nodes.health import KNOWN_NODES, NotHealthy, check_nodes, lifecycle_states
from video2act_ros.ros.lifecycle import ManagedNode

TIMEOUT_S = 20.0
SHORT_S = 0.5  # for nodes that will never answer


class Command(ManagedNode):
    CONFIG = CommandConfig


class System1(ManagedNode):
    CONFIG = System1Config


class System2(ManagedNode):
    CONFIG = System2Config


@pytest.fixture(autouse=True)
def same_domain(context, monkeypatch):
    """The check joins the domain that the environment names, as the nodes of a container do."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(context.get_domain_id()))


def test_active_nodes_are_healthy(make_node):
    """Every node that was asked about answers that it is active."""
    for node_class in (System2, System1, Command):
        make_node(node_class)
    check_nodes(("system2", "system1", "command"), "", TIMEOUT_S)


def test_a_node_that_is_not_active_is_named_with_its_state(make_node):
    """A process that runs but whose node fell back to inactive is not healthy."""
    make_node(Command)
    make_node(System1).trigger_deactivate()
    with pytest.raises(NotHealthy, match=r"not active: system1: inactive;"):
        check_nodes(("system1", "command"), "", TIMEOUT_S)


def test_a_node_that_does_not_answer_is_named(make_node):
    """A dead or hanging process has no answer; the others' states are known all the same."""
    make_node(Command)
    assert lifecycle_states(("command", "system2"), "", 3.0) == {"command": "active", "system2": "no answer"}
    with pytest.raises(NotHealthy, match="system2: no answer"):
        check_nodes(("system2",), "", SHORT_S)


def test_nodes_of_another_namespace_do_not_count(make_node):
    """A stack is healthy by its own nodes only."""
    make_node(Command)
    with pytest.raises(NotHealthy, match="command: no answer"):
        check_nodes(("command",), "left_cell", SHORT_S)


def test_an_unknown_node_is_refused_with_the_choices():
    """A typing error in a compose file must not look like a dead node."""
    with pytest.raises(ConfigurationError, match="comand.*" + KNOWN_NODES[0]):
        check_nodes(("comand",), "", SHORT_S)


def test_the_command_takes_the_nodes_from_the_environment_and_loads_no_model_library(make_node, monkeypatch):
    """As a container's health check runs it: exit status 0 or 1; torch would cost seconds and memory each time."""
    make_node(Command)
    code = (
        "import sys\nfrom video2act_ros.cli import app\n"
        "try: app(['health', '--timeout', sys.argv[1]], standalone_mode=False)\n"
        "finally: assert 'torch' not in sys.modules"
    )
    statuses = []
    for names, timeout in (("command", "20"), ("command system1", "0.5")):
        monkeypatch.setenv("VIDEO2ACT_NODES", names)
        result = subprocess.run([sys.executable, "-c", code, timeout], capture_output=True, text=True)
        statuses.append(result.returncode)
        assert "AssertionError" not in result.stderr
    assert statuses == [0, 1], result.stderr
