"""Both systems and the command node on the cameras and joints of a bag; no arm can move."""

from launch import LaunchDescription
from video2act_ros.ros.launch_description import stack_description
from video2act_ros.ros.stack import REPLAY


def generate_launch_description() -> LaunchDescription:
    """Return the stack; `ros2 launch video2act_ros replay.launch.py --show-args` lists its arguments."""
    return stack_description(REPLAY)
