"""The real processes against the simulated robot: the arm moves, holds when a system dies, and stops cleanly."""

import os
import signal

import pytest
import yaml
from domains import new_domain
from sim_arm import STEP_S, Joints, engage
from std_srvs.srv import Trigger

from video2act_ros.nodes.demo import DemoOptions
from video2act_ros.nodes.sim_stack import spinning_node
from video2act_ros.ros import environment
from video2act_ros.ros.runner import StackRunner
from video2act_ros.ros.stack import SIM

STARTUP_S = 120.0


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """The simulated stack in a domain of its own: (runner, demo node, joints)."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(new_domain()))
    environment.prepare()
    options = DemoOptions(
        "lift", 1, 0, tmp_path / "r.json", None, "aloha_lift", "aloha_sim", "", tmp_path, 0.0
    )
    parameters = (
        tmp_path / "patient.yaml"
    )  # chunks come late on a slow machine, and lie further from the arm then
    parameters.write_text(yaml.safe_dump({"/**/command": {"ros__parameters": {"reach_rad": 2.0}}}))
    arguments = {"instruction": "lift the red cube with the right arm", "params_file": str(parameters)}
    with StackRunner(SIM, arguments, tmp_path / "logs") as runner, spinning_node(options) as node:
        runner.watch(node.changed)
        joints = Joints(node)
        node.wait_for(lambda: node.chunks > 0 or runner.failed(), STARTUP_S, "System 1's first chunk")
        assert runner.failed() is None
        yield runner, node, joints


@pytest.mark.slow
def test_nothing_moves_until_engaged_and_then_the_arm_moves(stack):
    """Shadow is the default: chunks flow and the arm stands; engaging lets it move, disengaging stops it."""
    _runner, node, joints = stack
    assert node.state.state == "shadow"
    node.wait_for(lambda: joints.positions is not None, STEP_S, "joint states")
    start, chunks = joints.positions.copy(), node.chunks
    node.wait_for(lambda: node.chunks >= chunks + 3, STEP_S, "three more chunks")
    assert not joints.moved_from(start)
    engage(node, joints)
    node.call(node.disengage_client, Trigger.Request())
    node.wait_for(lambda: node.state.state == "shadow", STEP_S, "shadow")
    node.wait_for(joints.standing, STEP_S, "the arm to stand")


@pytest.mark.slow
def test_a_killed_system_2_makes_the_arm_hold(stack):
    """Without new latents the arm holds and says why; the other nodes stay up."""
    runner, node, joints = stack
    engage(node, joints)
    os.kill(runner.pid("system2_node"), signal.SIGKILL)
    node.wait_for(lambda: node.state.state == "holding", STEP_S, "the hold")
    node.wait_for(joints.standing, STEP_S, "the arm to stand")
    assert node.state.reason
    assert set(runner.running()) == {"system1_node", "command_node", "sim_robot_node"}


@pytest.mark.slow
def test_sigterm_in_motion_ends_every_process_cleanly_with_the_arm_standing(stack):
    """Stopping in motion: the arm is brought to a hold before the nodes go; none has to be killed."""
    runner, node, joints = stack
    engage(node, joints)
    for executable in ("system2_node", "system1_node", "command_node"):
        os.kill(runner.pid(executable), signal.SIGTERM)
    node.wait_for(lambda: runner.running() == ("sim_robot_node",), STEP_S, "the nodes to end")
    node.wait_for(joints.standing, STEP_S, "the arm, left to its driver, to stand")
    runner.stop()
    assert all(status == 0 for status in runner.statuses().values()), runner.statuses()
