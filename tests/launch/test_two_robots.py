"""Two simulated robots in one domain, each by a `ros2 launch` of its own: two terminals."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import yaml

pytest.importorskip("ros2launch", reason="launch packages come with a ROS 2 installation only")

from launched import STARTUP_S
from sim_arm import STEP_S, Joints, engage

from video2act_ros.nodes.sim_stack import spinning_node

NAMES = ("a", "b")
INSTRUCTION = "lift the red cube with the right arm"


@pytest.fixture
def launches(launched, tmp_path):
    """Both launches, once all their nodes are active, in shadow."""
    parameters = (
        tmp_path / "patient.yaml"
    )  # two stacks share the cores, so chunks come late and lie further away
    parameters.write_text(yaml.safe_dump({"/**/command": {"ros__parameters": {"reach_rad": 2.0}}}))
    common = (f"instruction:={INSTRUCTION}", f"params_file:={parameters}")
    launches = {
        name: launched("video2act_ros", "sim.launch.py", f"namespace:={name}", *common) for name in NAMES
    }
    for launch in launches.values():
        launch.wait_for("all nodes are active, in shadow")
    return launches


@pytest.fixture
def robots(domain):
    """Who watches and operates each: name to (demo node, joints)."""
    with ExitStack() as stack:
        addresses = (SimpleNamespace(robot="aloha_sim", namespace=name) for name in NAMES)
        nodes = [stack.enter_context(spinning_node(address)) for address in addresses]
        yield {name: (node, Joints(node)) for name, node in zip(NAMES, nodes, strict=True)}


@pytest.mark.slow
def test_each_of_two_robots_is_engaged_moves_and_stops_alone(launches, robots):
    """Engaging one leaves the other in shadow and at rest; Ctrl-C of one leaves the other able to work."""
    (node_a, joints_a), (node_b, joints_b) = robots.values()
    for node in (node_a, node_b):
        node.wait_for(lambda node=node: node.chunks > 0 and node.state is not None, STARTUP_S, "chunks")
        assert node.state.state == "shadow"
    node_b.wait_for(joints_b.standing, STEP_S, "the other arm to stand")
    rest, episode = joints_b.positions.copy(), node_b.state.episode

    engage(node_a, joints_a)
    assert node_b.state.state == "shadow"
    assert node_b.state.episode == episode
    assert joints_b.standing()
    assert not joints_b.moved_from(rest)

    launches["a"].interrupt()
    assert launches["a"].ended() == 0, launches["a"].output
    chunks = node_b.chunks
    node_b.wait_for(lambda: node_b.chunks >= chunks + 3, STEP_S, "chunks of the other stack")
    assert node_b.state.state == "shadow"
    assert not joints_b.moved_from(rest)
    assert launches["b"].process.poll() is None

    engage(node_b, joints_b)
    launches["b"].interrupt()
    assert launches["b"].ended() == 0, launches["b"].output
    assert not any(words in launches["b"].output for words in ("Traceback", "process has died"))
