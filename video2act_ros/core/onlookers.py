"""Nodes that listen to joint commands without moving an arm: they record, show or pass on to people."""

from __future__ import annotations

from fnmatch import fnmatchcase

from video2act_ros.core.config import (
    CommandConfig,
    MockDriverConfig,
    RecorderConfig,
    ReplayConfig,
    SafeSourceConfig,
    SimRobotConfig,
    System1Config,
    System2Config,
)

UNKNOWN_NAME = "_NODE_NAME_UNKNOWN_"
"""What the middleware gives for an endpoint whose node it does not know (yet), or that is of no ROS node."""

STAND_INS = (SimRobotConfig.NODE_NAME, MockDriverConfig.NODE_NAME)
"""Our own nodes that act on commands in the place of a robot's drivers."""

_PATTERNS = (
    # Of this package.
    RecorderConfig.NODE_NAME,  # writes bags
    ReplayConfig.NODE_NAME,  # plays them
    CommandConfig.NODE_NAME,  # sends commands
    System1Config.NODE_NAME,
    System2Config.NODE_NAME,
    SafeSourceConfig.NODE_NAME,
    "demo",  # judges commands in `video2act demo` and `video2act faults`
    # Recorders.
    "rosbag2_*",  # ros2 bag record: rosbag2_recorder; also as a component and with a snapshot
    "snapshotter",  # rosbag2_snapshot
    "episode_recorder",  # rosetta
    # Bridges to a person's screen.
    "foxglove_bridge*",  # Foxglove, Lichtblick
    "rosbridge_*",  # rosbridge_websocket, rosbridge_tcp: web pages
    "rosapi*",  # rosapi, rosapi_params: beside rosbridge
    "rerun*",  # Rerun's bridges
    # Plotters and viewers.
    "plotjuggler*",  # plotjuggler, plotjuggler_ros2_subscriber
    "rqt_*",  # rqt_gui_py_node_<pid>, rqt_gui_cpp_node_<pid>: rqt_plot, rqt_topic, rqt_graph
    "rviz*",  # rviz, rviz2
    # What computes poses or pictures from joint positions.
    "robot_state_publisher*",  # frames
    "joint_state_publisher*",  # merges joint states; also with a window
    "move_group",  # MoveIt: looks at joint states
    # Command line tools and their daemon hide behind a leading underscore: _ros2cli_<pid>.
    "_*",
)
_WORDS = {"recorder", "rosbag", "logger", "plotter", "monitor", "viewer", "visualizer", "visualiser"}
"""A name that holds one of these, between underscores, says itself that it only looks."""


def bare_name(node: str) -> str:
    """Return a node's name without its namespace."""
    return node.rsplit("/", 1)[-1]


def is_stand_in(node: str) -> bool:
    """Return whether a node is one of ours that stands in for a robot, in any namespace."""
    return bare_name(node) in STAND_INS


def is_onlooker(node: str) -> bool:
    """Return whether a node, in any namespace, is known to move nothing.

    Bridges to other ROS domains, hosts and middlewares (domain_bridge, ros_bridge, zenoh_bridge_ros2dds,
    ros_gz_bridge) and relays are not: the driver may be behind them.
    """
    name = bare_name(node)
    if name == UNKNOWN_NAME:
        return False
    return any(fnmatchcase(name, pattern) for pattern in _PATTERNS) or bool(_WORDS & set(name.split("_")))
