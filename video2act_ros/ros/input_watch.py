"""Tells on `input_health` what a node's inputs are like, steadily, whatever its model is doing."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock
from rclpy.clock_type import ClockType

from video2act_msgs.msg import InputHealth
from video2act_ros.core.input_monitor import InputMonitor
from video2act_ros.core.input_report import REPORT_PERIOD_S, InputReport, InputValue
from video2act_ros.core.robot_profile import Camera, RobotProfile
from video2act_ros.ros import qos
from video2act_ros.ros.clock_comparison import ClockComparison
from video2act_ros.ros.input_health import TOPIC, message_from_report
from video2act_ros.ros.inputs import now_ns, subscribe_camera
from video2act_ros.ros.lifecycle import ManagedNode


def publish_input_health(
    node: ManagedNode, system: str, values: Callable[[int], tuple[InputValue, ...]]
) -> None:
    """Publish `values(now_ns)` at 20 Hz from the executor's thread for as long as the node is active.

    What the comparison of the node's clock with the command node's gives comes along.
    The timer runs on the steady clock: it goes on when the ROS clock jumps, stops or never comes. Call it in
    the node's `start`.
    """
    publisher = node.create_publisher(InputHealth, TOPIC, qos.DATA)
    clock = ClockComparison(node)

    def publish() -> None:
        with node.reporting(TOPIC):
            time_ns = now_ns(node)
            rows = (*values(time_ns), *clock.values())
            publisher.publish(message_from_report(InputReport(time_ns, system, rows)))

    node.create_timer(REPORT_PERIOD_S, publish, clock=Clock(clock_type=ClockType.STEADY_TIME))


def watch_cameras(
    node: ManagedNode, system: str, profile: RobotProfile, used: tuple[Camera, ...]
) -> InputMonitor:
    """Return a monitor of every camera of the profile, and publish what it sees.

    The node itself gives it joints and the frames of the cameras it uses; those of the others come by
    themselves, and no more of them are decoded than watching needs. Call it in the node's `start`.
    """
    monitor = InputMonitor(profile.camera_names)
    for camera in profile.cameras:
        if camera not in used:
            subscribe_camera(node, camera, monitor.add_frame, monitor.camera(camera.name).content_due)
    publish_input_health(node, system, monitor.values)
    return monitor
