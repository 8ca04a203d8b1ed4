"""One node of a name in each domain, for as long as it lives."""

import os
import signal
import subprocess
import sys

import pytest
import rclpy
from rclpy.context import Context

from video2act_ros.core.config import CommandConfig
from video2act_ros.core.errors import ConfigurationError
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.node_names import NodeName, check_names

DOMAIN = 7
HOLDER = (
    "import sys; from video2act_ros.ros.node_names import NodeName\n"
    "name = NodeName(sys.argv[1], int(sys.argv[2])); name.take(); print('held', flush=True); sys.stdin.read()\n"
)


class Command(ManagedNode):
    CONFIG = CommandConfig


@pytest.fixture
def name():
    """A name that no other run of these tests uses."""
    return f"/test{os.getpid()}/command"


def test_a_second_node_of_a_name_is_refused_with_the_remedy(context):
    """In the same domain and namespace only; once the first is gone, another may come."""
    first = Command(context=context)
    words = (
        rf"node /command runs already in ROS domain {context.get_domain_id()}, in process {os.getpid()} .*"
    )
    with pytest.raises(ConfigurationError, match=words + r"namespace:=NAME.*ROS_DOMAIN_ID"):
        Command(context=context)
    Command(context=context, cli_args=["--ros-args", "-r", "__ns:=/left"]).destroy_node()
    elsewhere = Context()
    rclpy.init(context=elsewhere, domain_id=101)
    Command(context=elsewhere).destroy_node()
    rclpy.try_shutdown(context=elsewhere)
    first.destroy_node()
    Command(context=context).destroy_node()


def test_a_killed_process_holds_its_name_no_longer(name):
    """A node that is started anew after a crash comes up at once."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, name, str(DOMAIN)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ConfigurationError, match=f"in process {holder.pid} on this machine"):
        NodeName(name, DOMAIN).take()
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    NodeName(name, DOMAIN).take()


def test_a_name_of_any_length_is_held(name):
    """Long namespaces do not share a name by being cut off."""
    first, second = NodeName(name + "x" * 200, DOMAIN), NodeName(name + "x" * 201, DOMAIN)
    first.take()
    second.take()
    with pytest.raises(ConfigurationError, match="runs already"):
        NodeName(name + "x" * 200, DOMAIN).take()
    first.release()
    first.take()
    first.release()
    second.release()


def test_names_are_checked_for_the_domain_of_the_environment(name):
    """As the nodes that launch is about to start would find them; a check holds nothing."""
    held = NodeName(name, DOMAIN)
    held.take()
    with pytest.raises(ConfigurationError, match="runs already"):
        check_names((name,), {"ROS_DOMAIN_ID": str(DOMAIN)})
    check_names((name,), {})
    with pytest.raises(ConfigurationError, match="ROS_DOMAIN_ID is 'seven'"):
        check_names((name,), {"ROS_DOMAIN_ID": "seven"})
    held.release()
    check_names((name,), {"ROS_DOMAIN_ID": str(DOMAIN)})
    check_names((name,), {"ROS_DOMAIN_ID": str(DOMAIN)})
