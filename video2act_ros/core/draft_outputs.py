"""Which command topic of a list drives which joint, as far as names and kinematics tell; the rest is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from video2act_ros.core.joint_tree import JointTree, is_gripper_name
from video2act_ros.core.name_words import side_of, words
from video2act_ros.core.topic_list import Topic
from video2act_ros.core.urdf import UrdfJoint

_GROUPS = {"head", "neck", "torso", "trunk", "leg", "base", "lift"}
"""Parts of a robot that topics are named after, beside arms and grippers."""
_ARMS = {"arm", "larm", "rarm"}


@dataclass(frozen=True, slots=True)
class Output:
    """Joints that are driven together, and the (type, topic) that fit: of several somebody must choose one."""

    joints: tuple[UrdfJoint, ...]
    choices: tuple[tuple[str, Topic], ...]


def assign_outputs(
    joints: Sequence[UrdfJoint], tree: JointTree, commands: Sequence[tuple[str, Topic]]
) -> tuple[Output, ...]:
    """Give every joint the command topics whose names say most of it and nothing against it.

    Args:
        joints: the joints in the policy's order.
        tree: how they hang together.
        commands: (output type, topic) of what looks like a joint command.
    """
    fit = _Fit(joints, tree, [topic for _, topic in commands])
    groups: dict[tuple[int, ...], list[UrdfJoint]] = {}
    for joint in joints:
        scores = {index: fit.score(topic, joint) for index, (_, topic) in enumerate(commands)}
        known = {index: score for index, score in scores.items() if score is not None}
        best = tuple(index for index, score in known.items() if score == max(known.values()))
        groups.setdefault(best, []).append(joint)
    return tuple(
        Output(tuple(members), tuple(commands[index] for index in best)) for best, members in groups.items()
    )


def choose_sources(
    sources: Sequence[Topic], sides: Mapping[str, str]
) -> tuple[tuple[Topic, ...], tuple[Topic, ...]]:
    """Return the joint-state topics to take, and the others; none to take where nothing tells which.

    One alone is taken, else ROS's own `/joint_states`, else one for each side of a robot with two.

    Args:
        sources: what looks like measured joints.
        sides: the side of each joint by its name.
    """
    if len(sources) == 1:
        return tuple(sources), ()
    usual = tuple(topic for topic in sources if topic.name == "/joint_states")
    if usual:
        return usual, tuple(topic for topic in sources if topic not in usual)
    names = [topic.name for topic in sources]
    sided = [side_of([topic.name], names) for topic in sources]
    if sorted(sided) == sorted(set(sides.values())) and all(sided):
        return tuple(sources), ()
    return (), tuple(sources)


class _Fit:
    """How well a topic's name fits a joint."""

    def __init__(self, joints: Sequence[UrdfJoint], tree: JointTree, topics: Sequence[Topic]) -> None:
        names = [topic.name for topic in topics]
        self._tree = tree
        self._sides = {joint.name: tree.side(joint.name) for joint in joints}
        self._topic_sides = {name: side_of([name], names) for name in names}

    def score(self, topic: Topic, joint: UrdfJoint) -> int | None:
        """Return how many traits a topic's name shares with a joint; None where one speaks against it."""
        traits = (
            self._same_side(topic, joint),
            self._same_hand(topic, joint),
            self._same_group(topic, joint),
        )
        return None if None in traits else sum(filter(None, traits))

    def _same_side(self, topic: Topic, joint: UrdfJoint) -> int | None:
        side, theirs = self._sides[joint.name], self._topic_sides[topic.name]
        if not theirs or not any(self._sides.values()):
            return 0
        return 1 if side == theirs else None

    def _same_hand(self, topic: Topic, joint: UrdfJoint) -> int | None:
        gripper = self._tree.is_gripper(joint.name)
        if is_gripper_name(topic.name):
            return None if gripper is False else 1
        if words(topic.name) & _ARMS:
            return None if gripper else 1
        return 0

    def _same_group(self, topic: Topic, joint: UrdfJoint) -> int | None:
        groups = words(topic.name) & _GROUPS
        if not groups:
            return 0
        return 1 if groups & words(joint.name) else None
