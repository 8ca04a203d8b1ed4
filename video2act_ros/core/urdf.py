"""The joints of a URDF: names, kinds, limits and how they hang together; meshes and transmissions are not looked at."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.joint_tree import JointTree, TreeJoint
from video2act_ros.core.name_words import words
from video2act_ros.core.schema_mistakes import closest

_XACRO = "http://ros.org/wiki/xacro"
_XACRO_OLD = "http://www.ros.org/wiki/xacro"
_MOVABLE = ("revolute", "continuous", "prismatic")
_WHEELS = {"wheel", "wheels", "caster", "casters"}
FULL_TURN = 3.1415
"""Of joints without ends, to either side [rad]."""


@dataclass(frozen=True, slots=True)
class UrdfJoint:
    """A joint that can be driven. Limits in rad or m, and per s; None where the URDF gives none."""

    name: str
    kind: str
    lower: float | None
    upper: float | None
    velocity: float | None

    @property
    def turns(self) -> bool:
        """Whether it turns rather than slides."""
        return self.kind != "prismatic"

    @property
    def is_wheel(self) -> bool:
        """Whether it belongs to a mobile base rather than to an arm."""
        return bool(words(self.name) & _WHEELS)


@dataclass(frozen=True, slots=True)
class Urdf:
    """A robot's name, its joints in kinematic order, and the joints that cannot be driven, with the reason."""

    name: str
    joints: tuple[UrdfJoint, ...]
    left_out: tuple[tuple[str, str], ...]
    tree: JointTree


def read_urdf(path: Path) -> Urdf:
    """Read the joints of a URDF file.

    Prefixes that nothing declares are taken as ROS's own reader takes them: as parts of names.

    Raises:
        ConfigurationError: there is no such file, it is no URDF, or no joint in it can move.
    """
    if not path.is_file():
        known = ", ".join(sorted(file.name for file in path.parent.glob("*.urdf"))) or "none"
        raise ConfigurationError(f"no URDF at {path}; URDF files there: {known}")
    try:
        root = _parse(path.read_bytes())
    except (expat.ExpatError, ValueError, LookupError) as error:  # of the last two: an encoding that is none
        raise ConfigurationError(f"{path}:{getattr(error, 'lineno', 1)}: not XML: {error}") from error
    if _is_xacro(root):
        expanded = shlex.quote(f"{path.name.split('.')[0]}.urdf")
        raise ConfigurationError(
            f"{path} is a xacro file, not a URDF; expand it first: "
            f"ros2 run xacro xacro {shlex.quote(str(path))} > {expanded}"
        )
    if root.tag != "robot":
        raise ConfigurationError(f"{path} is no URDF: its root is <{root.tag}>, not <robot>")
    urdf = _joints(path, root)
    if not urdf.joints:
        left_out = ", ".join(f"{name} ({why})" for name, why in urdf.left_out) or "none"
        raise ConfigurationError(f"{path} has no joint that can be driven; joints in it: {left_out}")
    return urdf


def _parse(data: bytes) -> Element:
    """Return the root of an XML document whose names keep their prefixes."""
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.Parse(data.lstrip(), True)
    return builder.close()


def choose_joints(urdf: Urdf, names: Sequence[str]) -> tuple[UrdfJoint, ...]:
    """Return the joints of these names in their order, or all of the URDF but wheels, each with its position limits.

    Raises:
        ConfigurationError: a name is unknown or stands twice, or a joint has no limits; all are named.
    """
    known = {joint.name: joint for joint in urdf.joints}
    if unknown := [name for name in names if name not in known]:
        raise ConfigurationError(
            f"no joint '{unknown[0]}' that can be driven in the URDF; {closest(unknown[0], known)}"
        )
    if len(set(names)) != len(names):
        raise ConfigurationError(f"a joint is named twice in {', '.join(names)}; name each once")
    arms = tuple(joint for joint in urdf.joints if not joint.is_wheel)
    chosen = tuple(known[name] for name in names) if names else arms
    if not chosen:
        wheels = ", ".join(joint.name for joint in urdf.joints)
        raise ConfigurationError(
            f"the URDF has wheels only ({wheels}); give those that a policy drives by --joints"
        )
    if bare := [joint.name for joint in chosen if joint.lower is None or joint.upper is None]:
        raise ConfigurationError(
            f"no position limits in the URDF: {', '.join(bare)}; add <limit lower=… upper=… velocity=…> there, "
            "or leave them out with --joints"
        )
    if wrong := [joint.name for joint in chosen if not (joint.lower or 0.0) < (joint.upper or 0.0)]:
        raise ConfigurationError(
            f"lower is not below upper in the URDF: {', '.join(wrong)}; correct <limit> there, or leave them out with "
            "--joints"
        )
    return chosen


def _is_xacro(root: Element) -> bool:
    """Return whether macros stand in it: elements of xacro's namespace, whatever their prefix, or ${…} in a value."""
    prefixes = {
        name.partition(":")[2]
        for name, value in root.attrib.items()
        if name.startswith("xmlns:") and value.rstrip("/") in (_XACRO, _XACRO_OLD)
    } | {"xacro"}
    return any(
        element.tag.rpartition(":")[0] in prefixes or any("${" in value for value in element.attrib.values())
        for element in root.iter()
    )


def _joints(path: Path, root: Element) -> Urdf:
    joints: dict[str, UrdfJoint] = {}
    left_out, tree_joints = [], []
    elements = root.findall("joint")  # not those inside <transmission> or <ros2_control>
    counts = Counter(element.get("name", "") for element in elements)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ConfigurationError(
            f"{path}: joint '{twice[0]}' stands twice; give each joint a name of its own"
        )
    for element in elements:
        name, kind, mimic = element.get("name", ""), element.get("type", ""), element.find("mimic")
        followed = "" if mimic is None else mimic.get("joint", "")
        tree_joints.append(TreeJoint(name, _link(element, "parent"), _link(element, "child"), kind, followed))
        if mimic is not None:
            left_out.append((name, "follows another joint"))
        elif kind not in _MOVABLE:
            left_out.append((name, kind or "no type"))
        else:
            joints[name] = _joint(path, element, name, kind)
    tree = JointTree(tree_joints)
    ordered = tuple(joints[name] for name in tree.order if name in joints)
    return Urdf(root.get("name", "") or path.stem, ordered, tuple(left_out), tree)


def _link(joint: Element, end: str) -> str:
    element = joint.find(end)
    return "" if element is None else element.get("link", "")


def _joint(path: Path, element: Element, name: str, kind: str) -> UrdfJoint:
    limit = element.find("limit")
    lower, upper, velocity = (
        None if limit is None else _number(path, name, key, limit.get(key))
        for key in ("lower", "upper", "velocity")
    )
    if kind == "continuous":
        lower, upper = -FULL_TURN, FULL_TURN
    elif limit is not None:  # a missing end is 0 by the URDF's definition
        lower, upper = (0.0 if value is None else value for value in (lower, upper))
    return UrdfJoint(name, kind, lower, upper, velocity if velocity else None)


def _number(path: Path, joint: str, key: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise ConfigurationError(f"{path}: joint '{joint}': {key}=\"{text}\" is no finite number")
    return value
