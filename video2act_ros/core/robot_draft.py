"""Writes the draft of a robot profile from a URDF and a list of topics; what is guessed is marked `check`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import yaml

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.topic_list import (
    COMMAND_TYPES,
    IMAGE_TYPES,
    Topic,
    camera_topics,
    command_topics,
    joint_state_topics,
    words,
)
from video2act_ros.core.urdf import Urdf, UrdfJoint, choose_joints

_SIDES = {"left", "right"}
_GRIPPERS = {"gripper", "hand", "finger", "fingers", "jaw"}
_SPEED = {"prismatic": 0.05}  # where the URDF gives none [m/s]
_TURNING_SPEED = 0.5  # [rad/s]
_RAMP_S = 0.5  # to a joint's full speed
_DECIMALS = 10**6
_JERK_S = 0.1  # to its full acceleration
_HEAD = """\
# {name}: draft of a robot profile, from {urdf} and {topics} topics.
#
# CHECK AGAINST YOUR ROBOT before the first engage everything marked "check": topics, joints and their order, the
# start pose, grippers, limits. Then look at it without hardware: video2act run mock --robot THIS_FILE
# Units: rad and s for turning joints, m and s for sliding ones.

name: {name}  # what bundles and messages call this robot
description: {description}

# The policy's joint order (check: it must equal the bundle's). Of each joint:
#   position_min, position_max   range of commands; from the URDF
#   velocity_max                 largest speed of a command; from the URDF unless marked
#   acceleration_max, jerk_max   largest change of that speed, and of the acceleration; a URDF has none: full speed
#                                takes {ramp:g} s, full acceleration {jerk:g} s (check)
#   start                        where an episode starts (check: must be free of collisions)
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


@dataclass(frozen=True, slots=True)
class _Output:
    kind: str
    topic: Topic
    joints: tuple[UrdfJoint, ...]


def draft_profile(
    urdf: Urdf, urdf_name: str, topics: Sequence[Topic], name: str, joint_names: Sequence[str] = ()
) -> str:
    """Return the text of a robot profile with a comment on every key.

    Args:
        urdf: the robot's joints.
        urdf_name: what the comment calls the file.
        topics: what the drivers and cameras publish and take.
        name: of the robot; empty takes the URDF's.
        joint_names: the joints in the policy's order; empty takes all in the URDF's order.

    Raises:
        ConfigurationError: a joint has no limits, or joint states, cameras or commands are missing.
    """
    joints = choose_joints(urdf, joint_names)
    cameras, sources = camera_topics(topics), joint_state_topics(topics)
    if not sources:
        raise ConfigurationError(_missing("joint states", [COMMAND_TYPES["joint_state"]], topics))
    if not cameras:
        raise ConfigurationError(_missing("camera images", list(IMAGE_TYPES.values()), topics))
    outputs, unused = _outputs(joints, topics)
    title, text = _text(name or urdf.name), _text(f"{len(joints)} joints, from {urdf_name}")
    head = _HEAD.format(
        name=title, description=text, urdf=urdf_name, topics=len(topics), ramp=_RAMP_S, jerk=_JERK_S
    )
    parts = [
        head,
        *(_joint(joint) for joint in joints),
        *_left_out(urdf, joints),
        _COMMAND_SPEED,
        *(
            f"  - {{name: {_text(n)}, topic: {t.name}, transport: {kind}}}  # check\n"
            for n, kind, t in cameras
        ),
        _JOINT_STATES,
        *(f"  - {{topic: {source.name}}}  # check\n" for source in sources),
        _COMMANDS,
        *(_output(output) for output in outputs),
        *(f"# Not used: {topic.name} ({topic.type})\n" for topic in unused),
        _THRESHOLDS,
    ]
    return "".join(parts)


def _left_out(urdf: Urdf, joints: Sequence[UrdfJoint]) -> list[str]:
    """Return comments on the joints of the URDF that the profile does not have."""
    bound = [f"# Not driven: {name} ({why})\n" for name, why in urdf.left_out if why != "fixed"]
    return bound + [f"# Not chosen: {joint.name}\n" for joint in urdf.joints if joint not in joints]


def is_gripper(joint: UrdfJoint) -> bool:
    """Return whether a joint looks like a gripper: it slides, or is called so."""
    return joint.kind == "prismatic" or bool(words(joint.name) & _GRIPPERS)


def _joint(joint: UrdfJoint) -> str:
    low, high = float(joint.lower or 0.0), float(joint.upper or 0.0)
    guessed = ["acceleration_max", "jerk_max", "start"]
    speed = joint.velocity
    if speed is None:
        speed = _SPEED.get(joint.kind, _TURNING_SPEED)
        guessed.insert(0, "velocity_max: none in the URDF")
    if joint.kind == "continuous":
        guessed.insert(0, "position_min and position_max: the joint has no ends")
    gripper = is_gripper(joint)
    start = high if gripper else 0.0 if low <= 0.0 <= high else (low + high) / 2
    acceleration = speed / _RAMP_S
    values = {
        "name": _text(joint.name),
        "position_min": _number(low, math.ceil),
        "position_max": _number(high, math.floor),
        "velocity_max": _number(speed, math.floor),
        "acceleration_max": _number(acceleration),
        "jerk_max": _number(acceleration / _JERK_S),
        "start": _number(start, math.floor if gripper else round),
    }
    if gripper:
        values["gripper"] = "true"
        guessed.append("gripper")
    inside = ", ".join(f"{key}: {value}" for key, value in values.items())
    return f"  - {{{inside}}}  # check: {', '.join(guessed)}\n"


def _output(output: _Output) -> str:
    joints = ", ".join(_text(joint.name) for joint in output.joints)
    return (
        f"  - topic: {output.topic.name}  # check\n    type: {output.kind}\n{_driver(output.topic)}"
        f"    joints: [{joints}]\n"
    )


def _driver(topic: Topic) -> str:
    """Return the line that names the driver: a ros2_control controller's topics stand under its own name."""
    how = f"check: ros2 topic info -v {topic.name}"
    node = topic.name.rpartition("/")[0]
    return (
        f"    driver: {node}  # {how}\n"
        if "controller" in node.rpartition("/")[2]
        else f"    # driver: {how}\n"
    )


def _outputs(joints: Sequence[UrdfJoint], topics: Sequence[Topic]) -> tuple[list[_Output], list[Topic]]:
    """Give every joint to one command topic: by message type, then to those whose names say more."""
    order = list(COMMAND_TYPES)
    candidates = sorted(
        command_topics(topics),
        key=lambda item: (order.index(item[0]), -len(item[1].words & (_SIDES | _GRIPPERS | {"arm"}))),
    )
    if not candidates:
        raise ConfigurationError(_missing("joint commands", list(COMMAND_TYPES.values()), topics))
    outputs, unused, left = [], [], list(joints)
    for kind, topic in candidates:
        taken = tuple(joint for joint in left if _fits(topic, joint))
        if taken:
            outputs.append(_Output(kind, topic, taken))
            left = [joint for joint in left if joint not in taken]
        else:
            unused.append(topic)
    if left:
        raise ConfigurationError(
            f"no command topic for {', '.join(joint.name for joint in left)}; command topics: "
            f"{', '.join(topic.name for _, topic in candidates)}; leave the joints out with --joints, or add "
            "their topic to the list"
        )
    return outputs, unused


def _fits(topic: Topic, joint: UrdfJoint) -> bool:
    """Return whether a topic's name speaks for a joint or at least not against it."""
    sides = words(joint.name) & _SIDES
    if sides and topic.words & _SIDES and not sides & topic.words:
        return False
    if topic.words & _GRIPPERS:
        return is_gripper(joint)
    return not ("arm" in topic.words and is_gripper(joint))


def _missing(what: str, types: list[str], topics: Sequence[Topic]) -> str:
    return (
        f"no topic for {what} among the {len(topics)} of the list: none is of type {' or '.join(types)}; "
        "start the drivers and list the topics again"
    )


def _number(value: float, rounding: Callable[[float], int] = round) -> str:
    """Return a number as YAML reads it back, with a point and six decimals at most."""
    text = f"{rounding(value * _DECIMALS) / _DECIMALS:.6f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _text(value: str) -> str:
    """Return text as YAML reads it back, in quotes where needed."""
    plain = re.fullmatch(r"[A-Za-z_][\w ,/()-]*", value) and ", " not in value
    return value if plain and yaml.safe_load(value) == value else json.dumps(value, ensure_ascii=False)
