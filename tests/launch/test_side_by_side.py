"""Several stacks in one domain, and a second one where there is room for one."""

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("ros2launch", reason="launch packages come with a ROS 2 installation only")

import rclpy
from rclpy.node import Node

FILE = Path(__file__).parents[2] / "launch" / "real_robot.launch.py"
TWO_ROBOTS = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

COMMON = {common!r}

def robot(**own):
    source = PythonLaunchDescriptionSource({file!r})
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=(COMMON | own).items())])

def generate_launch_description():
    return LaunchDescription([robot(namespace="a"), robot(namespace="b", control="in_process")])
"""


@pytest.fixture
def common(robot, bundle):
    """Arguments of a small stack for the test robot."""
    return {"robot": str(robot), "system1_bundle": str(bundle), "system2_bundle": str(bundle)}


@pytest.fixture
def listener(domain):
    context = rclpy.Context()
    rclpy.init(context=context)
    yield Node("listener", context=context)
    rclpy.try_shutdown(context=context)


def owners(infos):
    return {f"{info.node_namespace}/{info.node_name}" for info in infos}


@pytest.mark.slow
def test_two_robots_of_one_launch_file_do_not_hear_each_other(launched, common, listener, tmp_path):
    """Each in its namespace, one with the command node inside System 1's process; a third of a name is refused.

    Where that process dies, the command node is gone with it: the launch ends.
    """
    path = tmp_path / "two.launch.py"
    path.write_text(TWO_ROBOTS.format(common=common, file=str(FILE)))
    launch = launched(path)
    launch.wait_for("all nodes are active", count=2)
    for name in ("a", "b"):
        for topic in ("action_chunk", "latents/spatial", "latents/motion"):
            full = f"/{name}/{topic}"
            assert owners(listener.get_publishers_info_by_topic(full)) <= {
                f"/{name}/system1",
                f"/{name}/system2",
            }
            readers = owners(listener.get_subscriptions_info_by_topic(full))
            assert readers
            assert all(reader.startswith(f"/{name}/") for reader in readers)
    names = {
        f"{namespace.rstrip('/')}/{name}" for name, namespace in listener.get_node_names_and_namespaces()
    }
    assert {f"/{ns}/{node}" for ns in "ab" for node in ("system2", "system1", "command")} <= names

    third = launched("video2act_ros", FILE.name, "namespace:=a", *(f"{k}:={v}" for k, v in common.items()))
    assert third.ended() == 1
    assert "process started" not in third.output
    assert "node /a/system2 runs already in ROS domain" in third.lines[-1]
    assert "namespace:=NAME" in third.lines[-1]

    os.kill(launch.pid("system1_node", index=1), signal.SIGKILL)
    assert launch.ended() == 1
    assert "system1_node ended by signal 9; nobody commands the arm any more" in launch.output


@pytest.mark.slow
def test_a_node_that_refuses_its_configuration_says_what_to_do(launched, common, tmp_path):
    """Nothing hangs silently: why, the remedy, and Ctrl-C still ends everything in order."""
    import shutil

    damaged = shutil.copytree(common["system2_bundle"], tmp_path / "damaged")
    (damaged / "system2.safetensors").write_bytes(b"broken")
    given = common | {"system2_bundle": str(damaged)}
    launch = launched("video2act_ros", FILE.name, *(f"{key}:={value}" for key, value in given.items()))
    launch.wait_for("/system2 could not be configured")
    assert any("cannot configure" in line and "damaged" in line for line in launch.lines), launch.output
    assert "ros2 lifecycle set /system2 configure" in launch.output
    launch.wait_for("/system1 is active")
    launch.interrupt()
    assert launch.ended() == 0, launch.output
    assert "Traceback" not in launch.output


@pytest.mark.slow
def test_each_machine_starts_its_part_of_one_stack(launched, common):
    """`machine` leaves System 2 to the GPU host and everything else to the robot; a bundle is needed where it runs."""
    kept = {"gpu_host": "system1_bundle", "robot": "system2_bundle"}
    parts = {
        machine: launched(
            "video2act_ros",
            FILE.name,
            f"machine:={machine}",
            *(f"{key}:={value}" for key, value in common.items() if key != unneeded),
        )
        for machine, unneeded in kept.items()
    }
    parts["gpu_host"].wait_for("all nodes of this machine are active; the robot's computer engages")
    parts["robot"].wait_for("all nodes are active, in shadow")
    assert [parts["gpu_host"].pid("system2_node")] == parts["gpu_host"].pids()
    assert [parts["robot"].pid(name) for name in ("system1_node", "command_node")] == parts["robot"].pids()
    for part in parts.values():
        part.interrupt()
        assert part.ended() == 0, part.output
