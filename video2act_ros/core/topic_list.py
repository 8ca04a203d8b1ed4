"""What `ros2 topic list -t` prints, sorted by what a robot profile needs of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from video2act_ros.core.errors import ConfigurationError

IMAGE_TYPES = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}
"""What ROS calls the messages of a camera's transports."""

COMMAND_TYPES = {
    "joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "forward_position": "std_msgs/msg/Float64MultiArray",
    "joint_state": "sensor_msgs/msg/JointState",
}
"""What ROS calls the messages of a command output's types, best first."""

_LINE = re.compile(r"(?P<topic>/?[\w/]+)\s*[\s:]\s*\[?(?P<type>\w+(?:/\w+){1,2})[\w\s,/]*\]?")
_COMMANDED = {"command", "commands", "cmd", "ctrl", "master", "target", "desired", "goal"}
_NO_POSITIONS = {"velocity", "effort", "torque"}
_NO_COLOUR = {"depth", "infra", "infra1", "infra2", "compresseddepth", "confidence", "disparity"}
_PLAIN_WORDS = {"camera", "color", "rgb", "image", "raw", "rect", "compressed", "stream"}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic and its message type, as `package/msg/Name`."""

    name: str
    type: str

    @property
    def words(self) -> frozenset[str]:
        """The parts of its name, in lower case."""
        return words(self.name)


def words(name: str) -> frozenset[str]:
    """Return the parts of a topic's or joint's name between / and _, in lower case."""
    return frozenset(filter(None, re.split(r"[/_]+", name.lower())))


def parse_topics(lines: Iterable[str]) -> tuple[Topic, ...]:
    """Read lines such as `/joint_states [sensor_msgs/msg/JointState]` or `/joint_states:sensor_msgs/JointState`.

    Raises:
        ConfigurationError: a line is neither, or there is none.
    """
    topics = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            hint = (
                "; list them with their types: ros2 topic list -t" if re.fullmatch(r"/[\w/]+", text) else ""
            )
            raise ConfigurationError(
                f"topic list, line {number}: '{text}' is not `/topic [package/msg/Type]`{hint}"
            )
        package, name = match["type"].split("/")[0], match["type"].split("/")[-1]
        topics.append(Topic(match["topic"], f"{package}/msg/{name}"))
    if not topics:
        raise ConfigurationError(
            "the topic list is empty; start the drivers and cameras, then: ros2 topic list -t"
        )
    return tuple(topics)


def command_topics(topics: Iterable[Topic]) -> tuple[tuple[str, Topic], ...]:
    """Return (output type, topic) of everything that looks like a joint command, best type first."""
    known = tuple(topics)
    return tuple(
        (name, topic)
        for name, ros_type in COMMAND_TYPES.items()
        for topic in known
        if topic.type == ros_type and _commands(name, topic)
    )


def joint_state_topics(topics: Iterable[Topic]) -> tuple[Topic, ...]:
    """Return the topics that look like measured joints; `/joint_states` alone where there is one."""
    found = tuple(
        topic
        for topic in topics
        if topic.type == COMMAND_TYPES["joint_state"] and not topic.words & _COMMANDED
    )
    return next(((topic,) for topic in found if topic.name == "/joint_states"), found)


def camera_topics(topics: Iterable[Topic]) -> tuple[tuple[str, str, Topic], ...]:
    """Return (camera name, transport, topic) of each colour camera; raw images before compressed ones."""
    cameras: dict[str, tuple[str, str, Topic]] = {}
    known = tuple(topics)
    for transport, ros_type in IMAGE_TYPES.items():
        for topic in known:
            if topic.type == ros_type and not topic.words & _NO_COLOUR:
                name = _camera_name(topic.name)
                cameras.setdefault(name, (name, transport, topic))
    return tuple(cameras.values())


def _commands(output_type: str, topic: Topic) -> bool:
    if output_type == "joint_trajectory":
        return True
    if output_type == "forward_position":
        return "commands" in topic.words and not topic.words & _NO_POSITIONS
    return bool(topic.words & _COMMANDED)


def _camera_name(topic: str) -> str:
    """Return what is special in an image topic's name: `/cam_high/color/image_raw` → `cam_high`."""
    parts = [part for part in topic.lower().split("/") if words(part) - _PLAIN_WORDS]
    return "_".join(parts) or "camera"
