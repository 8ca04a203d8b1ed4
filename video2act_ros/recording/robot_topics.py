"""Where a bag holds what a robot profile describes: cameras and joint states, in whatever namespace."""

from __future__ import annotations

from dataclasses import dataclass

from video2act_ros.core.errors import BagError, InputError
from video2act_ros.core.robot_profile import Camera, RobotProfile
from video2act_ros.recording.bag import Bag

RAW_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
JOINTS_TYPE = "sensor_msgs/msg/JointState"
COMPRESSED_SUFFIX = "/compressed"


@dataclass(frozen=True, slots=True)
class CameraTopic:
    """Which topic of the bag carries a camera's images, and whether as CompressedImage."""

    camera: Camera
    topic: str
    compressed: bool


@dataclass(frozen=True, slots=True)
class RobotTopics:
    """The topics of a bag that belong to one robot; `joint_states` in the order of the profile's sources."""

    namespace: str  # "" or "/name"
    cameras: tuple[CameraTopic, ...]
    joint_states: tuple[str, ...]

    def absolute(self, name: str) -> str:
        """Return the bag's name of a topic: under the namespace, unless it is absolute."""
        return _absolute(self.namespace, name)

    @property
    def names(self) -> tuple[str, ...]:
        """Every camera and joint-state topic."""
        return (*(camera.topic for camera in self.cameras), *self.joint_states)


def find_robot_topics(bag: Bag, profile: RobotProfile, namespace: str | None = None) -> RobotTopics:
    """Return where the bag holds the profile's cameras and joints, which must be this robot's.

    Args:
        namespace: of the recorded robot; None finds it where the bag holds one robot only.

    Raises:
        BagError: a topic is missing, has another type, or carries another robot's joints.
    """
    chosen = _only_namespace(bag, profile) if namespace is None else _normalise(namespace)
    cameras = tuple(_camera_topic(bag, camera, chosen) for camera in profile.cameras)
    joints = tuple(_absolute(chosen, source.topic) for source in profile.joint_states)
    bag.require(*joints)
    found = RobotTopics(chosen, cameras, joints)
    _check_types(bag, found)
    _check_joints(bag, profile, joints)
    return found


def _absolute(namespace: str, name: str) -> str:
    return name if name.startswith("/") else f"{namespace}/{name}"


def _normalise(namespace: str) -> str:
    return "/" + namespace.strip("/") if namespace.strip("/") else ""


def _only_namespace(bag: Bag, profile: RobotProfile) -> str:
    """Return the namespace under which the profile's first joint-state topic was recorded."""
    wanted = profile.joint_states[0].topic
    if wanted.startswith("/"):
        return ""
    suffix = f"/{wanted}"
    found = sorted(name[: -len(suffix)] for name, info in bag.topics.items() if name.endswith(suffix) and info.count)
    if len(found) > 1:
        listed = ", ".join(name or "/" for name in found)
        raise BagError(f"bag {bag.path} holds several robots; choose one with --namespace: {listed}")
    return found[0] if found else ""


def _camera_topic(bag: Bag, camera: Camera, namespace: str) -> CameraTopic:
    """Return the camera's topic; images that the recorder compressed lie under `…/compressed`."""
    topic = _absolute(namespace, camera.topic)
    if camera.transport == "compressed":
        bag.require(topic)
        return CameraTopic(camera, topic, compressed=True)
    packed = topic + COMPRESSED_SUFFIX
    if not _holds(bag, topic) and _holds(bag, packed):
        return CameraTopic(camera, packed, compressed=True)
    bag.require(topic)
    return CameraTopic(camera, topic, compressed=bag.topics[topic].type == COMPRESSED_TYPE)


def _holds(bag: Bag, topic: str) -> bool:
    return topic in bag.topics and bag.topics[topic].count > 0


def _check_types(bag: Bag, topics: RobotTopics) -> None:
    wanted = {item.topic: COMPRESSED_TYPE if item.compressed else RAW_TYPE for item in topics.cameras}
    wanted |= dict.fromkeys(topics.joint_states, JOINTS_TYPE)
    for topic, kind in wanted.items():
        if (found := bag.topics[topic].type) != kind:
            raise BagError(
                f"bag {bag.path} has {found} on '{topic}', {kind} is needed; "
                "correct the topic or transport in the robot profile"
            )


def _check_joints(bag: Bag, profile: RobotProfile, topics: tuple[str, ...]) -> None:
    """Refuse a bag whose joint states do not carry every joint of the profile."""
    carried: set[str] = set()
    names: list[str] = []
    for topic, source in zip(topics, profile.joint_states, strict=True):
        first = next(iter(bag.messages([topic]))).message
        names += list(first.name)
        try:
            carried |= set(profile.order(list(first.name), source))
        except InputError as error:
            raise BagError(f"bag {bag.path} holds another robot's joints: {error}") from error
    if missing := [name for name in profile.joint_names if name not in carried]:
        raise BagError(
            f"bag {bag.path} holds another robot's joints: {', '.join(missing)} of profile '{profile.name}' are not "
            f"among the recorded ones ({', '.join(names)}); choose the robot's profile with --robot"
        )
