"""However the stack ends, the arm comes to rest. Its driver runs outside of the launch, as a real one does."""

import os
import signal

import numpy as np
import pytest
import yaml

pytest.importorskip("ros2launch", reason="launch packages come with a ROS 2 installation only")

from launched import STOP_S, is_running
from sim_arm import STEP_S, Joints, engage
from trajectory_msgs.msg import JointTrajectory

from video2act_ros.nodes.demo import DemoOptions
from video2act_ros.nodes.sim_stack import spinning_node
from video2act_ros.ros import qos
from video2act_ros.ros.runner import StackRunner
from video2act_ros.ros.stack import SIM_ROBOT

NODES = ("system2_node", "system1_node", "command_node")
INSTRUCTION = "lift the red cube with the right arm"


class Commands:
    """The newest command of each topic."""

    def __init__(self, node):
        self.newest = {}
        for output in node.profile.commands:
            node.create_subscription(JointTrajectory, output.topic, self._keep(output.topic), qos.COMMAND)

    def _keep(self, topic):
        def keep(message):
            self.newest[topic] = message

        return keep

    def end_at_rest(self):
        return all(not np.any(message.points[0].velocities) for message in self.newest.values())


@pytest.fixture(scope="module")
def robot(domain, tmp_path_factory):
    """The simulated robot alone, and who watches it: (demo node, joints, commands)."""
    folder = tmp_path_factory.mktemp("robot")
    options = DemoOptions("lift", 1, 0, folder / "r.json", None, "aloha_lift", "aloha_sim", "", folder, 0.0)
    with StackRunner((SIM_ROBOT,), {}, folder / "logs") as runner, spinning_node(options) as node:
        runner.watch(node.changed)
        joints = Joints(node)
        node.wait_for(lambda: joints.positions is not None or runner.failed(), STOP_S * 2, "joint states")
        yield node, joints, Commands(node)
        assert runner.failed() is None


@pytest.fixture
def moving(robot, launched, tmp_path):
    """The stack, launched and engaged; the arm moves."""
    node, joints, _commands = robot
    parameters = tmp_path / "patient.yaml"  # chunks come late on a busy machine, and lie further away then
    parameters.write_text(yaml.safe_dump({"/**/command": {"ros__parameters": {"reach_rad": 2.0}}}))
    launch = launched(
        "video2act_ros",
        "real_robot.launch.py",
        f"instruction:={INSTRUCTION}",
        f"params_file:={parameters}",
    )
    launch.wait_for("all nodes are active")
    engage(node, joints)
    return launch


@pytest.mark.slow
def test_ctrl_c_in_motion_leaves_the_arm_standing_and_every_status_zero(moving, robot):
    """SIGINT to the whole process group, as a terminal sends it: brake first, then end; nothing is killed."""
    node, joints, commands = robot
    moving.interrupt()
    assert moving.ended() == 0, moving.output
    assert commands.end_at_rest()
    node.wait_for(joints.standing, STEP_S, "the arm to stand")
    for executable in NODES:
        pid = moving.pid(executable)  # a status is lost where a process ends just as launch signals it
        known = f"process has finished cleanly [pid {pid}]", f"Unknown child process pid {pid}"
        assert any(words in moving.output for words in known), moving.output
    assert "Traceback" not in moving.output


@pytest.mark.slow
def test_sigterm_to_launch_in_motion_leaves_no_process_and_the_arm_standing(moving, robot):
    """Launch itself ends at once on SIGTERM; its nodes notice, brake and end."""
    node, joints, commands = robot
    os.kill(moving.process.pid, signal.SIGTERM)
    assert moving.ended() != 0
    with node.changed:
        node.changed.wait_for(lambda: not any(map(is_running, moving.pids())), STOP_S)
    assert not any(map(is_running, moving.pids()))
    assert commands.end_at_rest()
    node.wait_for(joints.standing, STEP_S, "the arm to stand")


@pytest.mark.slow
def test_a_killed_command_node_ends_the_launch_and_the_arm_stands(moving, robot):
    """It never comes back by itself: one clear line, a status that is not zero, and the driver stops the arm."""
    node, joints, _commands = robot
    os.kill(moving.pid("command_node"), signal.SIGKILL)
    assert moving.ended() == 1
    (line,) = [line for line in moving.lines if "command_node ended by signal 9" in line]
    assert "nobody commands the arm any more, so the stack stops" in line
    for executable in NODES[:2]:
        pid = moving.pid(executable)  # a status is lost where a process ends just as launch signals it
        known = f"process has finished cleanly [pid {pid}]", f"Unknown child process pid {pid}"
        assert any(words in moving.output for words in known), moving.output
    node.wait_for(joints.standing, STEP_S, "the arm to stand")
