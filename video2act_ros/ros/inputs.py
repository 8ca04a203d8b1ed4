"""Subscriptions to what a robot profile describes: cameras and joint states."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image, JointState

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_profile import Camera, RobotProfile
from video2act_ros.core.topic_list import IMAGE_TYPES
from video2act_ros.core.types import CameraFrame, JointSample
from video2act_ros.ros import qos
from video2act_ros.ros.convert import JointStateMerger, stamp_to_ns
from video2act_ros.ros.convert_images import IMAGE_MESSAGES, frame_from_message
from video2act_ros.ros.lifecycle import ManagedNode


def now_ns(node: Node) -> int:
    """Return the ROS clock's time."""
    return int(node.get_clock().now().nanoseconds)


def choose_cameras(profile: RobotProfile, names: Iterable[str], user: str) -> tuple[Camera, ...]:
    """Return the profile's cameras of these names, in the names' order.

    Raises:
        ConfigurationError: the profile lacks one; lists those it has.
    """
    known = {camera.name: camera for camera in profile.cameras}
    names = tuple(names)
    if missing := [name for name in names if name not in known]:
        raise ConfigurationError(
            f"{user} looks at {', '.join(missing)}, but robot profile '{profile.name}' has only the cameras "
            f"{', '.join(known)}; rename them there or choose another bundle"
        )
    return tuple(known[name] for name in names)


def check_same_cameras(bundle: str, names: Iterable[str], running: Iterable[str]) -> None:
    """Raise ConfigurationError when a bundle for a running node looks at other cameras than the present one."""
    if set(names) != set(running):
        raise ConfigurationError(
            f"bundle '{bundle}' looks at {', '.join(names)}, the running one at {', '.join(running)}; other "
            "cameras take effect only at configuration: deactivate and clean up the node first"
        )


def camera_remedy(node: Node, camera: Camera) -> str:
    """Return what to look after when a camera's images do not come: who publishes on its topic, and what."""
    topic = node.resolve_topic_name(camera.topic)
    seen = sorted({info.topic_type for info in node.get_publishers_info_by_topic(topic)})
    if not seen:
        return (
            f"nobody publishes on {topic}; start the camera's driver, or correct the topic of {camera.name} "
            "in the robot profile"
        )
    if IMAGE_TYPES[camera.transport] in seen:
        return f"check the camera driver on {topic}"
    other = next((name for name, image_type in IMAGE_TYPES.items() if image_type in seen), None)
    what = f"{topic} carries {', '.join(seen)}, not {IMAGE_TYPES[camera.transport]}"
    if other is None:
        return f"{what}; correct the topic of {camera.name} in the robot profile"
    return f"{what}; set transport: {other} of {camera.name} in the robot profile"


def subscribe_camera(
    node: ManagedNode,
    camera: Camera,
    on_frame: Callable[[CameraFrame], None],
    wanted: Callable[[int], bool] | None = None,
    profile: QoSProfile = qos.CAMERA,
) -> None:
    """Give one camera's images to `on_frame` as RGB: all, or those whose capture time [ns] is `wanted`.

    Images that are not wanted are never decoded.
    """

    def handle(message: Image | CompressedImage) -> None:
        if wanted is None or wanted(stamp_to_ns(message.header.stamp)):
            on_frame(frame_from_message(message, camera.name))

    node.subscribe(IMAGE_MESSAGES[camera.transport], camera.topic, handle, profile)


def subscribe_joints(
    node: ManagedNode, profile: RobotProfile, on_sample: Callable[[JointSample], None]
) -> JointStateMerger:
    """Give joint samples in policy order and units to `on_sample` once every joint is known."""
    merger = JointStateMerger(profile)

    def handler(index: int) -> Callable[[JointState], None]:
        def handle(message: JointState) -> None:
            if merger.passes_over(index, message):
                return
            sample = merger.update(index, message, now_ns(node))
            if sample is not None:
                on_sample(sample)

        return handle

    for index, source in enumerate(profile.joint_states):
        node.subscribe(JointState, source.topic, handler(index), qos.JOINT_STATES)
    return merger
