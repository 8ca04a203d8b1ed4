"""What `ros2 topic list` prints, sorted by what a robot profile needs of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.name_words import parts, words

IMAGE_TYPES = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}
"""What ROS calls the messages of a camera's transports."""

COMMAND_TYPES = {
    "joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "forward_position": "std_msgs/msg/Float64MultiArray",
    "joint_state": "sensor_msgs/msg/JointState",
}
"""What ROS calls the messages of a command output's types."""

_LINE = re.compile(
    r"(?:\* )?(?P<topic>/?[\w/]+)\s*[\s:]\s*\[?(?P<type>\w+(?:/\w+){1,2})[\w\s,/]*\]?"
    r"(?:\s+(?P<count>\d+) (?P<role>publisher|subscriber)s?)?"
)
_HEADING = re.compile(r"(?:Published|Subscribed) topics:")
_COMMANDED = {"command", "commands", "cmd", "ctrl", "master", "target", "desired", "goal", "setpoint"}
_NO_POSITIONS = {"velocity", "effort", "torque"}
_NO_COLOUR = {
    *("depth", "disparity", "confidence", "infra", "infrared", "ir", "nir", "thermal", "lwir"),
    *("amplitude", "intensity", "phase", "mask", "segmentation", "labels", "debug", "annotated", "overlay"),
}
_TRANSPORTS = {
    *("compresseddepth", "theora", "zstd", "ffmpeg", "draco", "rvl", "zdepth", "h264", "h265", "hevc"),
    *("av1", "foxglove", "cloudini"),
}
"""Last parts of topics that image_transport's plugins add to an image's, and that no node here decodes."""

_PLAIN_WORDS = {"camera", "color", "colour", "rgb", "image", "raw", "rect", "compressed", "stream"}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic, its message type as `package/msg/Name`, and how many publish and listen; None: nobody counted."""

    name: str
    type: str
    publishers: int | None = None
    listeners: int | None = None

    @property
    def words(self) -> frozenset[str]:
        """The parts of its name, in lower case."""
        return words(self.name)

    @property
    def commanded(self) -> bool:
        """Whether its name says that it carries what somebody wants rather than what is measured."""
        return bool(self.words & _COMMANDED)


@dataclass(frozen=True, slots=True)
class CameraTopic:
    """A camera by the name that its topic gives it, the transport of its images, and that topic."""

    name: str
    transport: str
    topic: Topic


def parse_topics(lines: Iterable[str]) -> tuple[Topic, ...]:
    """Read what `ros2 topic list -t` or, with the numbers of publishers and subscribers, `-v` prints.

    Lines such as `/joint_states [sensor_msgs/msg/JointState]` or `/joint_states:sensor_msgs/JointState`; of `-v`
    also ` * /joint_states [sensor_msgs/msg/JointState] 1 publisher`.

    Raises:
        ConfigurationError: a line is none of these, or there is none.
    """
    types: dict[str, str] = {}
    counts: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#") or _HEADING.fullmatch(text):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise ConfigurationError(
                f"topic list, line {number}: '{text}' is not `/topic [package/msg/Type]`{_hint(text)}"
            )
        package, name = match["type"].split("/")[0], match["type"].split("/")[-1]
        types.setdefault(match["topic"], f"{package}/msg/{name}")
        if match["count"]:
            counts[match["topic"], match["role"]] = int(match["count"])
    if not types:
        raise ConfigurationError(
            "the topic list is empty; start the drivers and cameras, then: ros2 topic list -v"
        )
    counted = {topic for topic, _ in counts}
    return tuple(
        Topic(name, kind, counts.get((name, "publisher"), 0), counts.get((name, "subscriber"), 0))
        if name in counted
        else Topic(name, kind)
        for name, kind in types.items()
    )


def _hint(text: str) -> str:
    named = re.fullmatch(r"(\* )?/[\w/]+", text)
    return "; list them with their types: ros2 topic list -v" if named else ""


def command_topics(topics: Iterable[Topic]) -> tuple[tuple[str, Topic], ...]:
    """Return (output type, topic) of everything that looks like a joint command.

    Where it is known who publishes and who listens, that decides before the name does.
    """
    known = tuple(topics)
    return tuple(
        (name, topic)
        for name, ros_type in COMMAND_TYPES.items()
        for topic in known
        if topic.type == ros_type and _commands(name, topic)
    )


def _commands(output_type: str, topic: Topic) -> bool:
    if topic.listeners == 0:
        return False
    if output_type == "joint_trajectory":
        return True
    if output_type == "forward_position":
        return topic.commanded and not topic.words & _NO_POSITIONS
    return topic.commanded or (topic.publishers == 0 and bool(topic.listeners))


def joint_state_topics(topics: Iterable[Topic]) -> tuple[Topic, ...]:
    """Return the topics that look like measured joints."""
    return tuple(
        topic
        for topic in topics
        if topic.type == COMMAND_TYPES["joint_state"] and not topic.commanded and topic.publishers != 0
    )


def camera_topics(topics: Iterable[Topic]) -> tuple[tuple[CameraTopic, ...], tuple[tuple[Topic, str], ...]]:
    """Return each colour camera, raw images before compressed ones, and the image topics not taken, with the reason."""
    known = tuple(topics)
    names = {topic.name for topic in known if topic.type == IMAGE_TYPES["raw"]}
    cameras: dict[str, CameraTopic] = {}
    left: list[tuple[Topic, str]] = []
    for transport, ros_type in IMAGE_TYPES.items():
        for topic in known:
            if topic.type != ros_type:
                continue
            name = _camera_name(topic.name)
            if why := _no_camera(topic, names):
                left.append((topic, why))
            elif name in cameras:
                left.append((topic, f"another topic of camera {name}"))
            else:
                cameras[name] = CameraTopic(name, transport, topic)
    return tuple(cameras.values()), tuple(left)


def _no_camera(topic: Topic, raw_names: set[str]) -> str:
    """Return why a topic with images is none of a colour camera; empty: it is."""
    image, _, last = topic.name.rpartition("/")
    if topic.publishers == 0:
        return "nobody publishes it"
    if last.lower() in _TRANSPORTS or (image in raw_names and last.lower() != "compressed"):
        return f"images in the transport {last}, which is not decoded here"
    if {part.rstrip("0123456789") for part in parts(topic.name)} & _NO_COLOUR:
        return "no colour image by its name"
    return ""


def _camera_name(topic: str) -> str:
    """Return what is special in an image topic's name: `/cam_high/color/image_raw` → `cam_high`."""
    special = [part for part in topic.lower().split("/") if words(part) - _PLAIN_WORDS]
    return "_".join(special) or "camera"
