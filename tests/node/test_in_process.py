"""`control:=in_process`: System 1 and the command node share a process; chunks still become commands."""

from std_srvs.srv import Trigger

from video2act_msgs.msg import RunState
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.ros import qos
from video2act_ros.ros.command_outputs import MESSAGE_TYPES


def test_chunks_of_system1_become_commands_in_one_process(make_node, world, still_bundle, robot):
    """The companion that System 1 names, in its process: shadow, engage, commands on the arm's topic."""
    common = {"bundle": str(still_bundle), "robot": str(robot)}
    make_node(System2Node, rate_hz=10.0, **common)
    system1 = make_node(System1Node, rate_hz=10.0, control="in_process", **common)
    (companion,) = system1.companions()
    assert companion is CommandNode
    world.destroy_publisher(world.state)  # the command node tells the run state here
    states, commands = [], []
    world.create_subscription(RunState, "run_state", lambda m: world.keep_in(states, m), qos.LATCHED)
    for output in load_robot_profile(robot).commands:
        kind = MESSAGE_TYPES[output.type]
        world.create_subscription(kind, output.topic, lambda m: world.keep_in(commands, m), qos.COMMAND)
    make_node(companion, robot=str(robot), realtime_priority=0, reach_rad=3.0)
    world.wait_for(lambda: states and states[-1].chunk_age >= 0.0, "chunks at the command node")
    assert states[-1].state == "shadow"
    assert not commands
    client = world.create_client(Trigger, "engage")
    assert client.wait_for_service(20.0)
    for _ in range(200):  # ten chunks come in a second; the clocks are compared within two
        answer = client.call(Trigger.Request(), timeout_sec=20.0)
        if answer.success:
            break
        world.wait_for_more("chunk")
    assert answer.success, answer.message
    world.wait_for(lambda: commands, "commands")
    world.wait_for(lambda: any(state.state == "engaged" for state in states), "the policy to drive")
