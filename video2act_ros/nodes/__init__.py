"""The ROS 2 nodes. Each one only wires: convert, call the core, convert."""

from video2act_ros.ros.environment import check_installation

check_installation()  # before an import of messages fails without a remedy
