"""Writes the draft of a robot profile from a URDF and a list of topics.

What is guessed is marked `check`; what cannot be guessed is left empty and marked `fill in`, and the profile is refused
until somebody has done so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence

import yaml

from video2act_ros.core.draft_limits import draft_limits
from video2act_ros.core.draft_outputs import Output, assign_outputs, choose_sources
from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.topic_list import (
    COMMAND_TYPES,
    IMAGE_TYPES,
    CameraTopic,
    Topic,
    camera_topics,
    command_topics,
    joint_state_topics,
)
from video2act_ros.core.urdf import Urdf, UrdfJoint, choose_joints

MANY_JOINTS = 16
"""More than two arms with grippers have: a policy drives only some of them."""

_ASSUMED = (
    Topic("/joint_states", COMMAND_TYPES["joint_state"]),
    Topic("/joint_trajectory_controller/joint_trajectory", COMMAND_TYPES["joint_trajectory"]),
    Topic("/camera/image_raw", IMAGE_TYPES["raw"]),
)
"""What ROS calls them by default, for a robot whose topics nobody has listed."""

_RAMP_S = 0.5  # to a joint's full speed
_DECIMALS = 10**6
_JERK_S = 0.1  # to its full acceleration
_HEAD = """\
# {name}: draft of a robot profile, from {urdf} and {topics}.
#
# FILL IN everything marked "fill in": the start pose, and what nothing told. Until then the profile is refused.
# CHECK AGAINST YOUR ROBOT before the first engage everything marked "check": topics, joints and their order, grippers,
# limits. Try it without hardware first: video2act run mock --robot THIS_FILE
# Units: rad and s for turning joints, m and s for sliding ones.

name: {name}  # what bundles and messages call this robot
description: {description}

# The policy's joint order (check: it must equal the bundle's). Of each joint:
#   position_min, position_max   range of commands; from the URDF
#   velocity_max                 largest speed of a command; from the URDF unless marked
#   acceleration_max, jerk_max   largest change of that speed, and of the acceleration; a URDF has none: full speed
#                                takes {ramp:g} s, full acceleration {jerk:g} s (check)
#   start                        where an episode starts (fill in: inside the range, free of collisions)
#   gripper                      true: the model sees [0, 1], 0 at position_min (check: closed), 1 at position_max
joints:
"""
_COMMAND_SPEED = """
# Share of every velocity_max that commands use (check: raise it once all is well).
command_speed: 0.25

# The model's camera names, in its order, and the drivers' topics (check: names and order must be the bundle's).
# transport: raw (sensor_msgs/Image) or compressed (sensor_msgs/CompressedImage).
cameras:
"""
_JOINT_STATES = """
# Where joint positions come from. `names` (ours: theirs) is needed only where the driver's joint names differ.
joint_states:
"""
_COMMANDS = """
# Where commands go. type: joint_trajectory, forward_position (Float64MultiArray) or joint_state.
# Every joint is driven by exactly one output, in the order listed (check: the order that the driver expects).
# driver: the node that moves the arm; without it the first motion is slow, to find out whether the arm follows.
# A joint_state output sends positions only; velocities: true adds speeds, for a driver that takes them for such.
commands:
"""
_THRESHOLDS = """
# What is watched. From `slow` on chunks are executed more slowly, from `hold` on the arm decelerates and holds
# until the input is good again, from `fault` on it holds until it is engaged anew. A plain number means hold.
thresholds:
  joint_state_age_s: 0.2                # check: a few periods of the driver; newest joint state
  chunk_age_s: {slow: 0.7, hold: 1.0}   # newest action chunk, counted from its observation
  latent_age_s: {slow: 1.2, hold: 2.0}  # newest System 2 latents, counted from the newest frame of their window
  image_age_s: {slow: 0.35, hold: 0.5}  # check: a few periods of the cameras; newest image of any camera
  image_frozen_s: 0.5                   # a camera's image has not changed for so long while joints moved
  image_dark_s: 0.3                     # a camera's image has been without content for so long
  frame_gap_s: {slow: 0.3, hold: 1.0}   # largest gap in System 2's frame history
  tracking_error_rad: {hold: 0.2, fault: 0.5}  # check; arm joints against the commands of the last 0.3 s
  second_publisher_s: {fault: 0.1}      # another publisher on a command topic
  camera_skew_s: 0.05                   # largest difference of capture times within one set of images
"""


def draft_profile(
    urdf: Urdf, urdf_name: str, topics: Sequence[Topic], name: str, joint_names: Sequence[str] = ()
) -> str:
    """Return the text of a robot profile with a comment on every key.

    Args:
        urdf: the robot's joints.
        urdf_name: what the comment calls the file.
        topics: what the drivers and cameras publish and take; none: the usual names are assumed, and marked.
        name: of the robot; empty takes the URDF's.
        joint_names: the joints in the policy's order; empty takes all but wheels, from the root outwards.

    Raises:
        ConfigurationError: a joint has no limits, or joint states, cameras or commands are missing.
    """
    joints = choose_joints(urdf, joint_names)
    return _Draft(urdf, joints, topics).text(name or urdf.name, urdf_name)


class _Draft:
    """The parts of one draft."""

    def __init__(self, urdf: Urdf, joints: Sequence[UrdfJoint], topics: Sequence[Topic]) -> None:
        self._urdf, self._joints = urdf, joints
        self._check = "check" if topics else "check: assumed, for no topics were listed"
        self._count = len(topics)
        self._topics = tuple(topics) or _ASSUMED

    def text(self, name: str, urdf_name: str) -> str:
        """Return the whole file."""
        head = _HEAD.format(
            name=_text(name),
            description=_text(f"{len(self._joints)} joints, from {urdf_name}"),
            urdf=urdf_name,
            topics=f"{self._count} topics" if self._count else "topics that are usual, as none were listed",
            ramp=_RAMP_S,
            jerk=_JERK_S,
        )
        sources, cameras, commands = self._sources(), self._cameras(), self._commands()
        joints = "".join(self._joint(joint) for joint in self._joints)
        return "".join(
            (
                *(head, joints, self._left_out(), _COMMAND_SPEED, cameras),
                *(_JOINT_STATES, sources, _COMMANDS, commands, _THRESHOLDS),
            )
        )

    def _left_out(self) -> str:
        """Return comments on the joints of the URDF that the profile does not have."""
        bound = [f"# Not driven: {name} ({why})\n" for name, why in self._urdf.left_out if why != "fixed"]
        others = [joint for joint in self._urdf.joints if joint not in self._joints]
        wheels = (f"# Not chosen: {joint.name}{' (a wheel)' * joint.is_wheel}\n" for joint in others)
        return "".join([*bound, *wheels])

    def _joint(self, joint: UrdfJoint) -> str:
        limits, gripper = draft_limits(joint), self._urdf.tree.is_gripper(joint.name)
        acceleration = limits.speed / _RAMP_S
        values = {
            "name": _text(joint.name),
            "position_min": "" if limits.low is None else _number(limits.low, math.ceil),
            "position_max": "" if limits.high is None else _number(limits.high, math.floor),
            "velocity_max": _number(limits.speed, math.floor),
            "acceleration_max": _number(acceleration),
            "jerk_max": _number(acceleration / _JERK_S),
            "start": "",
        }
        remarks, asked = [*limits.remarks, "acceleration_max, jerk_max"], ["start"]
        if gripper is None:
            values["gripper"] = ""
            asked.append("gripper: true or false")
        elif gripper:
            values["gripper"] = "true"
            remarks.append("gripper")
        inside = ", ".join(f"{key}: {value}" for key, value in values.items())
        return f"  - {{{inside}}}  # fill in: {', '.join(asked)}; check: {', '.join(remarks)}\n"

    def _cameras(self) -> str:
        cameras, left = camera_topics(self._topics)
        if not cameras:
            raise ConfigurationError(_missing("camera images", list(IMAGE_TYPES.values()), self._topics))
        lines = (self._camera(camera) for camera in cameras)
        return "".join([*lines, *(f"# Not taken: {topic.name} ({why})\n" for topic, why in left)])

    def _camera(self, camera: CameraTopic) -> str:
        inside = f"name: {_text(camera.name)}, topic: {camera.topic.name}, transport: {camera.transport}"
        return f"  - {{{inside}}}  # {self._check}\n"

    def _sources(self) -> str:
        found = joint_state_topics(self._topics)
        if not found:
            raise ConfigurationError(_missing("joint states", [COMMAND_TYPES["joint_state"]], self._topics))
        sides = {joint.name: self._urdf.tree.side(joint.name) for joint in self._joints}
        taken, others = choose_sources(found, sides)
        if not taken:
            return f"  - {{topic: }}  # fill in those that carry these joints: {_listed(others)}\n"
        lines = [f"  - {{topic: {source.name}}}  # {self._check}\n" for source in taken]
        return "".join([*lines, *(f"# Not taken: {topic.name} (JointState, too)\n" for topic in others)])

    def _commands(self) -> str:
        commands = command_topics(self._topics)
        if not commands:
            raise ConfigurationError(_missing("joint commands", list(COMMAND_TYPES.values()), self._topics))
        outputs = assign_outputs(self._joints, self._urdf.tree, commands)
        used = {topic for output in outputs for _, topic in output.choices}
        left = [topic for _, topic in commands if topic not in used]
        return "".join(
            [
                *(self._output(output) for output in outputs),
                *(f"# Not taken: {topic.name} ({topic.type})\n" for topic in left),
            ]
        )

    def _output(self, output: Output) -> str:
        joints = ", ".join(_text(joint.name) for joint in output.joints)
        if len(output.choices) == 1:
            ((kind, topic),) = output.choices
            place = f"  - topic: {topic.name}  # {self._check}\n    type: {kind}\n{_driver(topic)}"
        else:
            place = _asked(output.choices)
        return f"{place}    joints: [{joints}]\n"


def _asked(choices: Sequence[tuple[str, Topic]]) -> str:
    """Return the lines of an output whose topic somebody has to choose, or to find where there is none."""
    kinds = sorted({kind for kind, _ in choices})
    known = "; ".join(f"{topic.name} (type: {kind})" for kind, topic in choices)
    topic = f"fill in one of: {known}" if choices else "fill in: no topic of the list fits these joints"
    kind = kinds[0] if len(kinds) == 1 else "  # fill in that of the topic"
    return f"  - topic:   # {topic}\n    type: {kind}\n    # driver: check: ros2 topic info -v TOPIC\n"


def _driver(topic: Topic) -> str:
    """Return the line that names the driver: a ros2_control controller's topics stand under its own name."""
    how = f"check: ros2 topic info -v {topic.name}"
    node = topic.name.rpartition("/")[0]
    return (
        f"    driver: {node}  # {how}\n"
        if "controller" in node.rpartition("/")[2]
        else f"    # driver: {how}\n"
    )


def _listed(topics: Sequence[Topic]) -> str:
    return ", ".join(topic.name for topic in topics)


def _missing(what: str, types: list[str], topics: Sequence[Topic]) -> str:
    return (
        f"no topic for {what} among the {len(topics)} of the list: none that fits is of type {' or '.join(types)}; "
        "start the drivers and list the topics again, or add one by --topic"
    )


def _number(value: float, rounding: Callable[[float], int] = round) -> str:
    """Return a number as YAML reads it back, with a point and six decimals at most."""
    text = f"{rounding(value * _DECIMALS) / _DECIMALS:.6f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _text(value: str) -> str:
    """Return text as YAML reads it back, in quotes where needed."""
    plain = re.fullmatch(r"[A-Za-z_][\w ,/()-]*", value) and ", " not in value
    return value if plain and yaml.safe_load(value) == value else json.dumps(value, ensure_ascii=False)
