"""`sim.launch.py` brings its nodes up by launch events, and a system that dies comes back."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

launch_pytest = pytest.importorskip(
    "launch_pytest", reason="launch packages come with a ROS 2 installation only"
)
pytest.importorskip("launch_ros", reason="launch packages come with a ROS 2 installation only")

from launch.actions import IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessStart
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launched import STARTUP_S, ros2
from lifecycle_msgs.srv import GetState

from launch import LaunchDescription
from video2act_ros.nodes.demo import DemoOptions
from video2act_ros.nodes.sim_stack import spinning_node
from video2act_ros.ros.stack import SIM

FILE = Path(__file__).parents[2] / "launch" / "sim.launch.py"
PIDS: dict[str, list[int]] = {}
STEP_S = 60.0
TOPICS = {
    "/run_state": "/command",
    "/action_chunk": "/system1",
    "/latents/spatial": "/system2",
    "/latents/motion": "/system2",
    "/joint_states": "/sim_robot",
}


def note_pid(event, _context):
    PIDS.setdefault(event.process_name.split("-")[0], []).append(event.pid)


@launch_pytest.fixture(scope="module")
def stack(domain):
    """The launch file, included as another launch file would."""
    PIDS.clear()
    return LaunchDescription(
        [
            RegisterEventHandler(OnProcessStart(on_start=note_pid)),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(str(FILE))),
            launch_pytest.actions.ReadyToTest(),
        ]
    )


@pytest.fixture(scope="module")
def node(domain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("node")
    options = DemoOptions("lift", 1, 0, folder / "r.json", None, "aloha_lift", "aloha_sim", "", folder, 0.0)
    with spinning_node(options) as node:
        yield node


def state_of(node, name):
    client = node.create_client(GetState, f"/{name}/get_state")
    return node.call(client, GetState.Request(), STEP_S).current_state.label


@pytest.mark.slow
@pytest.mark.launch(fixture=stack)
def test_every_node_becomes_active_and_publishes(node):
    """Launch configures and activates each node; the topics have the publishers that the documentation names."""
    node.wait_for(lambda: node.chunks >= 3, STARTUP_S, "chunks")
    assert {spec.name: state_of(node, spec.name) for spec in SIM} == {spec.name: "active" for spec in SIM}
    for topic, owner in TOPICS.items():
        publishers = node.get_publishers_info_by_topic(topic)
        assert [info.node_namespace + info.node_name for info in publishers] == [owner], topic
    assert node.state.state == "shadow"


@pytest.mark.slow
@pytest.mark.launch(fixture=stack)
@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("pick up the red cube on the right", "Set parameter successful"),
        ("dance", "unknown instruction 'dance'; this bundle knows: lift the red cube"),
    ],
)
def test_ros2_param_set_takes_what_is_known_and_refuses_the_rest(node, value, answer):
    """The refusal lists what would be accepted; the instruction in force is what was accepted."""
    node.wait_for(lambda: node.chunks, STARTUP_S, "the first chunk")
    command = [ros2(), "param", "set", "--no-daemon", "--spin-time", "5", "/system1", "instruction", value]
    done = subprocess.run(command, capture_output=True, text=True, timeout=STEP_S, check=False)
    assert answer in done.stdout + done.stderr
    node.wait_for(lambda: node.state.instruction.startswith("pick up"), STEP_S, "the instruction")


@pytest.mark.slow
@pytest.mark.launch(fixture=stack)
def test_a_killed_system_2_comes_back_active_by_itself(node):
    """A new process, configured and activated by launch: latents flow again."""
    node.wait_for(lambda: node.updates, STARTUP_S, "the first latents")
    os.kill(PIDS["system2_node"][-1], signal.SIGKILL)
    node.wait_for(lambda: node.get_node_names() and len(PIDS["system2_node"]) == 2, STEP_S, "a new process")
    updates = node.updates
    node.wait_for(lambda: node.updates >= updates + 3, STARTUP_S, "latents of the new process")
    assert state_of(node, "system2") == "active"
    assert {name: len(pids) for name, pids in PIDS.items() if name != "system2_node"} == {
        spec.executable: 1 for spec in SIM if spec.name != "system2"
    }
