"""The joints of a URDF: names, kinds and limits; links, meshes and transmissions are not looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.schema_mistakes import closest

_XACRO = "http://ros.org/wiki/xacro"
_MOVABLE = ("revolute", "continuous", "prismatic")
_FULL_TURN = (-3.1415, 3.1415)  # of joints without ends


@dataclass(frozen=True, slots=True)
class UrdfJoint:
    """A joint that can be driven. Limits in rad or m, and per s; None where the URDF gives none."""

    name: str
    kind: str
    lower: float | None
    upper: float | None
    velocity: float | None


@dataclass(frozen=True, slots=True)
class Urdf:
    """A robot's name, its joints in the file's order, and the joints that cannot be driven, with the reason."""

    name: str
    joints: tuple[UrdfJoint, ...]
    left_out: tuple[tuple[str, str], ...]


def read_urdf(path: Path) -> Urdf:
    """Read the joints of a URDF file.

    Raises:
        ConfigurationError: there is no such file, it is no URDF, or no joint in it can move.
    """
    if not path.is_file():
        known = ", ".join(sorted(file.name for file in path.parent.glob("*.urdf"))) or "none"
        raise ConfigurationError(f"no URDF at {path}; URDF files there: {known}")
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise ConfigurationError(f"{path}:{error.position[0]}: not XML: {error}") from error
    if _is_xacro(root):
        expanded = f"{path.name.split('.')[0]}.urdf"
        raise ConfigurationError(
            f"{path} is a xacro file, not a URDF; expand it first: ros2 run xacro xacro {path} > {expanded}"
        )
    if root.tag != "robot":
        raise ConfigurationError(f"{path} is no URDF: its root is <{root.tag}>, not <robot>")
    urdf = _joints(path, root)
    if not urdf.joints:
        left_out = ", ".join(f"{name} ({why})" for name, why in urdf.left_out) or "none"
        raise ConfigurationError(f"{path} has no joint that can be driven; joints in it: {left_out}")
    return urdf


def choose_joints(urdf: Urdf, names: Sequence[str]) -> tuple[UrdfJoint, ...]:
    """Return the joints of these names in their order, or all of the URDF, each with its position limits.

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
    chosen = tuple(known[name] for name in names) if names else urdf.joints
    if bare := [joint.name for joint in chosen if joint.lower is None or joint.upper is None]:
        raise ConfigurationError(
            f"no position limits in the URDF: {', '.join(bare)}; add <limit lower=… upper=… velocity=…> there, "
            "or leave them out with --joints"
        )
    if wrong := [joint.name for joint in chosen if not (joint.lower or 0.0) < (joint.upper or 0.0)]:
        raise ConfigurationError(
            f"lower is not below upper in the URDF: {', '.join(wrong)}; correct <limit> there"
        )
    return chosen


def _is_xacro(root: ElementTree.Element) -> bool:
    return any(element.tag.startswith(f"{{{_XACRO}}}") for element in root.iter()) or any(
        "${" in value for element in root.iter() for value in element.attrib.values()
    )


def _joints(path: Path, root: ElementTree.Element) -> Urdf:
    joints, left_out = [], []
    for element in root.findall("joint"):  # not those inside <transmission> or <ros2_control>
        name, kind = element.get("name", ""), element.get("type", "")
        if element.find("mimic") is not None:
            left_out.append((name, "follows another joint"))
        elif kind not in _MOVABLE:
            left_out.append((name, kind or "no type"))
        else:
            joints.append(_joint(path, element, name, kind))
    return Urdf(root.get("name", "") or path.stem, tuple(joints), tuple(left_out))


def _joint(path: Path, element: ElementTree.Element, name: str, kind: str) -> UrdfJoint:
    limit = element.find("limit")
    lower, upper, velocity = (
        None if limit is None else _number(path, name, key, limit.get(key))
        for key in ("lower", "upper", "velocity")
    )
    if kind == "continuous":
        lower, upper = _FULL_TURN
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
    if not math.isfinite(value):
        raise ConfigurationError(f"{path}: joint '{joint}': {key}=\"{text}\" is no finite number")
    return value
