"""A driver is what listens and acts: who counts as one, who may be one, and what to say of the others."""

import pytest

from video2act_ros.core.controller_reports import Controllers, ControllerState
from video2act_ros.core.drivers import Proof, Subscriber, find_driver
from video2act_ros.core.robot_profile import CommandOutput
from video2act_ros.core.topic_list import COMMAND_TYPES

TOPIC = "/arm_controller/joint_trajectory"
TYPE = COMMAND_TYPES["joint_trajectory"]
MANAGER = Controllers(managers={"/": "/controller_manager"})

ONLOOKERS = (
    "/rosbag2_recorder",
    "/left_cell/rosbag2_recorder",
    "/rosbag2_snapshot",
    "/foxglove_bridge",
    "/viz/foxglove_bridge",
    "/rosbridge_websocket",
    "/rosapi",
    "/rosapi_params",
    "/plotjuggler",
    "/plotjuggler_ros2_subscriber",
    "/rqt_gui_py_node_4711",
    "/rqt_gui_cpp_node_4711",
    "/rviz",
    "/rviz2",
    "/_ros2cli_17",
    "/_ros2cli_daemon_0_abc",
    "/recorder",
    "/left/recorder",
    "/demo",
    "/replay",
    "/system1",
    "/rerun_bridge",
    "/robot_state_publisher",
    "/move_group",
    "/episode_recorder",
    "/mcap_recorder",
    "/my_data_logger",
)
MAY_PASS_ON = (
    "/relay",
    "/domain_bridge_7",
    "/ros_bridge",
    "/zenoh_bridge_ros2dds",
    "/ros_gz_bridge",
    "/_NODE_NAMESPACE_UNKNOWN_/_NODE_NAME_UNKNOWN_",
    "/piper_ctrl_single_node",
    "/arm_controller",
    "/my_bag",
)


def find(*nodes, driver="", controllers=None, topic=TOPIC, kind="joint_trajectory", **others):
    output = CommandOutput(topic=topic, type=kind, joints=("shoulder",), driver=driver)
    subscribers = [Subscriber(node, COMMAND_TYPES[kind], **others) for node in nodes]
    return find_driver(2, output, topic, subscribers, controllers or Controllers())


def told(node, state, managers=None):
    return Controllers({node: state}, MANAGER.managers if managers is None else managers)


@pytest.mark.parametrize("node", ONLOOKERS)
def test_who_records_or_shows_is_no_driver(node):
    """Named, with the remedy for the case that it is one all the same."""
    finding = find(node)
    assert (finding.output, finding.proof) == (2, Proof.ABSENT)
    assert (
        f"no driver listens on {TOPIC} ({TYPE}), only who records or shows: {node}; start the" in finding.text
    )
    assert "or correct commands[2].topic in the robot profile" in finding.text
    assert finding.text.endswith("name it in commands[2].driver")


@pytest.mark.parametrize("node", MAY_PASS_ON)
def test_whoever_may_move_the_arm_is_unproven(node):
    """Bridges and relays can be the way to a driver elsewhere; an unknown name can be anything."""
    finding = find(node)
    assert finding.proof is Proof.UNPROVEN
    if "UNKNOWN" in node:
        assert "without a ROS node name" in finding.text
    else:
        assert f"{node} listens on {TOPIC}, and nothing tells whether it moves the arm" in finding.text
        assert f"add driver: {node} to commands[2] in the robot profile" in finding.text


@pytest.mark.parametrize("node", ["/sim_robot", "/mock_driver", "/left_cell/mock_driver"])
@pytest.mark.parametrize("driver", ["", "/arm_controller"])
def test_our_stand_ins_are_proven_whatever_the_profile_names(node, driver):
    """`video2act run mock` works with any robot's profile."""
    assert find(node, driver=driver).proof is Proof.PROVEN


def test_nobody_at_all():
    """The topic, its type and the key."""
    assert find().text == (
        f"nobody listens on {TOPIC} ({TYPE}); start the arm's driver and activate its controller, or correct "
        "commands[2].topic in the robot profile"
    )


def test_an_onlooker_beside_the_driver_changes_nothing():
    """A bag is recorded while the arm is driven."""
    assert find("/rosbag2_recorder", "/sim_robot").proof is Proof.PROVEN
    beside, alone = find("/rosbag2_recorder", "/arm"), find("/arm")
    assert beside == alone


@pytest.mark.parametrize(
    ("driver", "node"),
    [
        ("/left/arm_driver", "/left/arm_driver"),
        ("arm_driver", "/left/arm_driver"),
        ("arm_driver", "/arm_driver"),
        ("left/arm_driver", "/cell/left/arm_driver"),
        ("rosbag2_recorder", "/rosbag2_recorder"),
    ],
)
def test_the_node_that_the_profile_names_is_the_driver(driver, node):
    """With its namespace, or in any; also one whose name says otherwise."""
    assert find(node, driver=driver).proof is Proof.PROVEN


@pytest.mark.parametrize(
    ("driver", "node"),
    [
        ("/arm_driver", "/left/arm_driver"),
        ("arm_driver", "/other_arm_driver"),
        ("arm_driver", "/arm_driver/part"),
    ],
)
def test_with_a_name_in_the_profile_nobody_else_is_a_driver(driver, node):
    """Who listens instead is named."""
    finding = find(node, "/foxglove_bridge", driver=driver)
    assert finding.proof is Proof.ABSENT
    assert f"the driver {driver} does not listen on {TOPIC} ({TYPE}), only " in finding.text
    assert node in finding.text
    assert "/foxglove_bridge" in finding.text
    assert "correct commands[2].driver in the robot profile" in finding.text


def test_a_named_driver_that_is_not_there_is_named():
    """Nobody listens: who should."""
    assert (
        f"nobody listens on {TOPIC} ({TYPE}); start the driver arm_driver" in find(driver="arm_driver").text
    )


@pytest.mark.parametrize("driver", ["", "/arm_controller"])
@pytest.mark.parametrize(
    ("state", "proof", "words"),
    [
        (ControllerState.ACTIVE, Proof.PROVEN, ""),
        (
            ControllerState.INACTIVE,
            Proof.ABSENT,
            "controller /arm_controller is loaded, but inactive; activate it: ros2 control switch_controllers "
            "--activate arm_controller",
        ),
        (ControllerState.SILENT, Proof.ABSENT, "no /arm_controller/controller_state arrives"),
    ],
)
def test_what_is_told_of_a_controller_decides(driver, state, proof, words):
    """Whatever the profile names: an inactive controller listens and moves nothing."""
    finding = find("/arm_controller", driver=driver, controllers=told("/arm_controller", state))
    assert finding.proof is proof
    assert words in finding.text


def test_the_remedy_names_the_manager_of_the_controllers_namespace():
    """Two arms have two managers."""
    node, topic = "/left/arm_controller", "/left/arm_controller/joint_trajectory"
    managers = {"/left": "/left/controller_manager", "/": "/controller_manager"}
    known = told(node, ControllerState.INACTIVE, managers)
    assert (
        "-c /left/controller_manager --activate arm_controller"
        in find(node, controllers=known, topic=topic).text
    )


@pytest.mark.parametrize("driver", ["", "/arm_controller"])
def test_a_controller_of_which_nothing_is_told_is_unproven_even_if_named(driver):
    """The profile knows who it is, not whether it is active: the message packages would tell."""
    finding = find("/arm_controller", driver=driver, controllers=MANAGER)
    assert finding.proof is Proof.UNPROVEN
    assert "/arm_controller is a controller of /controller_manager" in finding.text
    assert "install ros-$ROS_DISTRO-control-msgs" in finding.text


def test_a_named_driver_beside_a_controller_manager_is_proven():
    """A node that listens on a topic that is not under its own name is no controller."""
    assert find("/vendor_driver", driver="vendor_driver", controllers=MANAGER).proof is Proof.PROVEN


def test_an_inactive_stand_in_is_no_driver():
    """It listens as before, and moves nothing."""
    known = told("/mock_driver", ControllerState.INACTIVE, {})
    finding = find("/mock_driver", controllers=known)
    assert (finding.proof, finding.text) == (
        Proof.ABSENT,
        f"/mock_driver listens on {TOPIC}, but is inactive; activate it",
    )


def test_an_inactive_controller_is_told_beside_an_unproven_listener():
    """A recorder under another name does not hide it."""
    known = told("/arm_controller", ControllerState.INACTIVE)
    finding = find("/my_bag", "/arm_controller", controllers=known)
    assert finding.proof is Proof.UNPROVEN
    assert "/my_bag listens" in finding.text
    assert "controller /arm_controller is loaded, but inactive" in finding.text
    assert "add driver: /arm_controller" not in finding.text


@pytest.mark.parametrize("node", ["/mock_driver", "/arm_driver"])
def test_a_listener_that_cannot_receive_is_no_driver(node):
    """Another durability, or another message type: named, with what to change."""
    latched = find(node, driver="arm_driver", latched=True)
    assert latched.proof is Proof.ABSENT
    assert f"{node} listens on {TOPIC} with durability transient local" in latched.text
    output = CommandOutput(topic=TOPIC, type="joint_state", joints=("shoulder",))
    finding = find_driver(2, output, TOPIC, [Subscriber(node, TYPE)], Controllers())
    assert finding.proof is Proof.ABSENT
    assert f"{node} listens on {TOPIC} for {TYPE}" in finding.text
    assert "set commands[2].type: joint_trajectory" in finding.text


def test_the_words_do_not_depend_on_the_order_in_which_the_graph_lists_nodes():
    """How long a driver is away is counted by the words."""
    nodes = ("/c", "/a", "/b", "/rosbag2_recorder")
    assert find(*nodes) == find(*reversed(nodes))
    assert find(*nodes, driver="/d") == find(*reversed(nodes), driver="/d")
