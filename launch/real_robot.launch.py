"""System 2, System 1 and the command node, for a robot that brings its own drivers and cameras."""

from launch import LaunchDescription
from video2act_ros.ros.launch_description import stack_description
from video2act_ros.ros.stack import REAL_ROBOT


def generate_launch_description() -> LaunchDescription:
    """Return the stack; `ros2 launch video2act_ros real_robot.launch.py --show-args` lists its arguments."""
    return stack_description(REAL_ROBOT)
