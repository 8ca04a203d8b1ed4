"""Which nodes of a stack run on this computer."""

from video2act_ros.ros.deployment import Deployment
from video2act_ros.ros.stack import (
    COMMAND,
    MOCK,
    MOCK_DRIVER,
    REAL_ROBOT,
    RECORDER,
    SAFE_SOURCE,
    SIM,
    SYSTEM1,
    SYSTEM2,
    WhenEnded,
)


def test_two_machines_share_the_nodes_of_a_stack():
    """System 2 belongs to the GPU host, everything else to the robot; together they are the whole stack."""
    robot, gpu_host, both = (
        Deployment(SIM, record="bag", machine=machine).processes for machine in ("robot", "gpu_host", "all")
    )
    assert [spec.executable for spec in gpu_host] == ["system2_node"]
    assert set(robot) | set(gpu_host) == set(both)
    assert not set(robot) & set(gpu_host)


def test_launch_arguments_say_which_nodes_are_processes_here():
    """The recorder comes along, the command node may live in System 1's process; other arguments are no matter."""
    assert Deployment.of(REAL_ROBOT, {"robot": "x"}) == Deployment(REAL_ROBOT)
    assert Deployment.of(SIM, {"control": "separate", "record": "true"}).processes == (*SIM, RECORDER)
    shared = Deployment.of(SIM, {"control": "in_process"})
    assert COMMAND not in shared.processes
    assert set(shared.nodes) == set(SIM)
    assert Deployment.of(SIM, {"control": "in_process", "machine": "gpu_host"}).nodes == (SYSTEM2,)


def test_the_command_node_never_comes_back_by_itself():
    """Nor does System 1's process with the command node inside it; a model process alone does."""
    separate, shared = (Deployment(REAL_ROBOT, control=control) for control in ("separate", "in_process"))
    assert separate.when_ended(COMMAND) is WhenEnded.END_STACK
    assert shared.when_ended(SYSTEM1) is WhenEnded.END_STACK
    assert separate.when_ended(SYSTEM1) is shared.when_ended(SYSTEM2) is WhenEnded.RESPAWN


def test_the_safe_source_takes_the_place_of_both_systems():
    """Where a mock stack is given no bundle; with one it is absent, and so it is from every other stack."""
    assert Deployment.of(MOCK, {}).processes == (COMMAND, SAFE_SOURCE, MOCK_DRIVER)
    assert Deployment.of(MOCK, {"system1_bundle": "x"}).processes == (*REAL_ROBOT, MOCK_DRIVER)
    assert SAFE_SOURCE not in (*SIM, *REAL_ROBOT)
