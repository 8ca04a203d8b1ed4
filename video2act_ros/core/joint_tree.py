"""How the joints of a robot hang together: their order, what lies between one and the root, which move a gripper."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from video2act_ros.core.name_words import parts, side_of, words

_MOVABLE = ("revolute", "continuous", "prismatic")
_FINGERS = ("finger", "jaw", "knuckle", "thumb", "claw")  # also inside a part: leftfinger
_HANDS = {"gripper", "hand", "grip"}
_TURNS_GRIPPER = {"roll", "pitch", "yaw", "wrist", "rotate", "rotation"}  # gripper_roll turns it


@dataclass(frozen=True, slots=True)
class TreeJoint:
    """A joint of any kind, the links that it connects, and the joint that it follows (empty: none)."""

    name: str
    parent: str
    child: str
    kind: str
    follows: str = ""

    @property
    def moves(self) -> bool:
        """Whether it is driven by itself."""
        return self.kind in _MOVABLE and not self.follows


class JointTree:
    """The joints of a URDF from the root outwards; where its links make no tree, joints stay in the file's order."""

    def __init__(self, joints: Iterable[TreeJoint]) -> None:
        self._joints = {joint.name: joint for joint in joints}
        self._below: dict[str, list[TreeJoint]] = defaultdict(list)  # by the link that they hang on
        self._above: dict[str, TreeJoint] = {}  # by the link that hangs on them
        for joint in self._joints.values():
            if joint.parent:
                self._below[joint.parent].append(joint)
            if joint.child:
                self._above.setdefault(joint.child, joint)
        self._names = [*self._joints, *self._below, *self._above]

    @property
    def order(self) -> tuple[str, ...]:
        """All joints, each before those that hang on it, branches in the file's order."""
        roots = [joint for joint in self._joints.values() if joint.parent not in self._above]
        found = dict.fromkeys(name for root in roots for name in self._outwards(root))
        return tuple(found | dict.fromkeys(self._joints))

    def below(self, name: str) -> tuple[TreeJoint, ...]:
        """Return the joints that hang on a joint, near ones first."""
        return tuple(self._joints[other] for other in self._outwards(self._joints[name]) if other != name)

    def path(self, name: str) -> tuple[str, ...]:
        """Return the names of joints and links from the root to a joint and the link that it moves."""
        joint: TreeJoint | None = self._joints[name]
        names: list[str] = [self._joints[name].child]
        seen: set[str] = set()
        while joint is not None and joint.name not in seen:
            seen.add(joint.name)
            names += [joint.name, joint.parent]
            joint = self._above.get(joint.parent)
        return tuple(filter(None, reversed(names)))

    def side(self, name: str) -> str:
        """Return which arm a joint belongs to: `left`, `right`, or empty."""
        return side_of(self.path(name), self._names)

    def is_gripper(self, name: str) -> bool | None:
        """Return whether a joint moves a gripper; None where nothing tells.

        It does where it is called so and no joint of the arm hangs on it. A sliding joint does where another one
        follows or faces it, as jaws do; it does not where it is the first one or carries others. A last sliding joint
        that is called nothing may be either.
        """
        joint, outer = self._joints[name], [other for other in self.below(name) if other.moves]
        if any(not _is_called_gripper(other) for other in outer):
            return False
        if outer and words(name) & _TURNS_GRIPPER:
            return False
        if _is_called_gripper(joint):
            return True
        if joint.kind != "prismatic":
            return False
        if any(other.follows == name or self._face(joint, other) for other in self._joints.values()):
            return True
        inner = [self._joints[other] for other in self.path(name) if other in self._joints and other != name]
        return None if any(other.moves for other in inner) and not outer else False

    def _face(self, joint: TreeJoint, other: TreeJoint) -> bool:
        same_link = bool(joint.parent) and other.parent == joint.parent
        return other is not joint and other.kind == "prismatic" and same_link

    def _outwards(self, joint: TreeJoint) -> Iterator[str]:
        """Yield a joint and those that hang on it, depth first; a ring of links ends where it closes."""
        waiting, seen = [joint], set()
        while waiting:
            one = waiting.pop()
            if one.name in seen:
                continue
            seen.add(one.name)
            yield one.name
            waiting += reversed(self._below.get(one.child, ()) if one.child else ())


def is_gripper_name(name: str) -> bool:
    """Return whether a joint or topic is called after a gripper."""
    return bool(words(name) & _HANDS) or _is_finger(name)


def _is_finger(name: str) -> bool:
    return any(finger in part for part in parts(name) for finger in _FINGERS)


def _is_called_gripper(joint: TreeJoint) -> bool:
    """Return whether a joint is called after a gripper, or moves a finger; what a hand hangs on may be the arm's."""
    return is_gripper_name(joint.name) or _is_finger(joint.child)
