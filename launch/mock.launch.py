"""The stack with drivers and cameras that need no hardware, for any robot profile."""

from launch import LaunchDescription
from video2act_ros.ros.launch_description import stack_description
from video2act_ros.ros.stack import MOCK


def generate_launch_description() -> LaunchDescription:
    """Return the stack; `ros2 launch video2act_ros mock.launch.py --show-args` lists its arguments."""
    return stack_description(MOCK)
