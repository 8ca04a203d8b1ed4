"""The stack with the simulated ALOHA robot."""

from launch import LaunchDescription
from video2act_ros.ros.launch_description import stack_description
from video2act_ros.ros.stack import SIM


def generate_launch_description() -> LaunchDescription:
    """Return the stack; `ros2 launch video2act_ros sim.launch.py --show-args` lists its arguments."""
    return stack_description(SIM)
