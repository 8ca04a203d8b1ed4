"""The rules of a robot profile that go beyond the type of a single key.

They read plain content, as YAML gives it, and pass over what is not of the right type: so every mistake of a
file can be told at once, whatever else is wrong in it.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from video2act_ros.core.schema_mistakes import closest
from video2act_ros.core.yaml_source import Location, Mistake, path_text

_TOPIC = re.compile(r"(~/|/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_NODE = re.compile(r"/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_LONGEST_TOPIC = 200  # ROS allows 255 with the namespace and its own prefix
_SIMPLE_MOCK = {"start_from": "measured", "splice_at_stamp": False, "rate_hz": 200.0, "lag_s": 0.0}
_LISTS = ("joints", "cameras", "joint_states", "commands")


def broken_rules(content: object) -> Iterator[Mistake]:
    """Yield every rule that a profile's content breaks."""
    if not isinstance(content, Mapping):
        return
    joints, cameras, sources, outputs = (_entries(content, name) for name in _LISTS)
    known = [str(entry["name"]) for _, entry in joints if isinstance(entry.get("name"), str)]
    for location, joint in joints:
        yield from _joint(location, joint)
    for entries in (joints, cameras):
        yield from _twice(((*location, "name"), entry.get("name")) for location, entry in entries)
    yield from _topics([*cameras, *sources, *outputs])
    for location, source in sources:
        yield from _names(location, source, known, known, "joint of the profile")
    for location, output in outputs:
        yield from _output(location, output, known)
    if outputs:
        yield from _driven(joints, outputs)
    yield from _mock(content.get("mock"), known)


def _joint(location: Location, joint: Mapping[str, Any]) -> Iterator[Mistake]:
    low, high, start = (_number(joint.get(key)) for key in ("position_min", "position_max", "start"))
    if low is None or high is None:
        return
    if low >= high:
        text = f"must be above position_min ({low:g}); got {high:g}; exchange the two or correct one"
        yield Mistake((*location, "position_max"), text)
    elif start is not None and not low <= start <= high:
        text = (
            f"lies outside position_min to position_max; got {start:g}, give a value from {low:g} to {high:g}"
        )
        yield Mistake((*location, "start"), text)


def _twice(values: Iterable[tuple[Location, object]]) -> Iterator[Mistake]:
    """Yield each value that stood before."""
    first: dict[object, Location] = {}
    for location, value in values:
        if not isinstance(value, str):
            continue
        if value in first:
            text = f"'{value}' stands already in {path_text(first[value])}; give each one once"
            yield Mistake(location, text)
        first.setdefault(value, location)


def _topics(entries: Sequence[tuple[Location, Mapping[str, Any]]]) -> Iterator[Mistake]:
    """Yield names that are none in ROS, and topics that are used twice."""
    yield from _twice(((*location, "topic"), entry.get("topic")) for location, entry in entries)
    for location, entry in entries:
        topic = entry.get("topic")
        if isinstance(topic, str) and topic and (why := _no_topic(topic)):
            yield Mistake((*location, "topic"), f"'{topic}' is no ROS topic name: {why}")


def _no_topic(topic: str) -> str:
    """Return why ROS would refuse a topic's name, and what it takes; empty if it would not."""
    if len(topic) > _LONGEST_TOPIC:
        return f"it is longer than {_LONGEST_TOPIC} characters"
    if _TOPIC.fullmatch(topic):
        return ""
    if strange := sorted(set(re.findall(r"[^A-Za-z0-9_/~]", topic))):
        return f"{' '.join(repr(sign) for sign in strange)} not allowed; use letters, digits, _ and /"
    if "//" in topic or topic.endswith("/"):
        return "write one / between two parts and none at the end"
    if "~" in topic:
        return "~ may only stand at the beginning, before a /"
    return "no part may begin with a digit"


def _names(
    location: Location, entry: Mapping[str, Any], known: list[str], carried: Iterable[str], what: str
) -> Iterator[Mistake]:
    """Yield mistakes in a map `ours: theirs` of an entry that carries the joints `carried`."""
    names = entry.get("names")
    if not isinstance(names, Mapping):
        return
    users: dict[str, list[str]] = defaultdict(list)
    for ours in carried:
        users[str(names.get(ours, ours))].append(ours)
    for ours, theirs in names.items():
        at = (*location, "names", ours)
        if ours not in known:
            yield Mistake(at, f"'{ours}' is no {what}; {closest(ours, known)} (write ours: theirs)")
        elif len(same := users[str(theirs)]) > 1 and ours in same:
            others = ", ".join(joint for joint in same if joint != ours)
            yield Mistake(at, f"'{theirs}' is the name of {others}, too; two joints cannot share one")


def _output(location: Location, output: Mapping[str, Any], known: list[str]) -> Iterator[Mistake]:
    joints = [joint for joint in _list(output.get("joints")) if isinstance(joint, str)]
    for index, joint in enumerate(_list(output.get("joints"))):
        if isinstance(joint, str) and joint not in known:
            text = f"'{joint}' is no joint of the profile; {closest(joint, known)}"
            yield Mistake((*location, "joints", index), text)
    yield from _driver(location, output)
    if output.get("velocities") and output.get("type") in ("joint_trajectory", "forward_position"):
        why = (
            "a JointTrajectory always"
            if output["type"] == "joint_trajectory"
            else "a Float64MultiArray never"
        )
        text = f"{why} carries velocities; remove the key, it is for type joint_state"
        yield Mistake((*location, "velocities"), text)
    if output.get("type") == "joint_trajectory" and output.get("rate_hz") is not None:
        text = "a trajectory says what is due when, at any rate; remove the key, it is for drivers of single set-points"
        yield Mistake((*location, "rate_hz"), text)
    if output.get("type") == "forward_position" and output.get("names"):
        text = "a Float64MultiArray carries no names; remove the key, the order of joints decides"
        yield Mistake((*location, "names"), text)
        return
    ours = [joint for joint in joints if joint in known]
    yield from _names(location, output, ours, ours, "joint of this output")


def _driver(location: Location, output: Mapping[str, Any]) -> Iterator[Mistake]:
    driver = output.get("driver")
    if isinstance(driver, str) and driver and not _NODE.fullmatch(driver):
        text = f"'{driver}' is no ROS node name; write it as ros2 node list shows it, for example /arm_controller"
        yield Mistake((*location, "driver"), text)


def _driven(
    joints: Sequence[tuple[Location, Mapping[str, Any]]],
    outputs: Sequence[tuple[Location, Mapping[str, Any]]],
) -> Iterator[Mistake]:
    """Yield joints that two outputs drive, or none."""
    first: dict[str, Location] = {}
    for location, output in outputs:
        for index, joint in enumerate(_list(output.get("joints"))):
            if isinstance(joint, str) and joint in first:
                text = f"'{joint}' is driven by commands[{first[joint][1]}] already; give it to one output"
                yield Mistake((*location, "joints", index), text)
            elif isinstance(joint, str):
                first[joint] = location
    for location, entry in joints:
        name = entry.get("name")
        if isinstance(name, str) and name not in first:
            text = f"no command output drives '{name}'; add it to commands[].joints, or remove it here"
            yield Mistake((*location, "name"), text)


def _mock(mock: object, known: list[str]) -> Iterator[Mistake]:
    """Yield joints of `mock.lag_s` that there are not, and keys that mean nothing to the simple driver."""
    if not isinstance(mock, Mapping):
        return
    lag_s = mock.get("lag_s")
    for name in lag_s if isinstance(lag_s, Mapping) else ():
        if name not in known:
            text = f"'{name}' is no joint of the profile; {closest(name, known)}"
            yield Mistake(("mock", "lag_s", str(name)), text)
    if mock.get("controller", "simple") != "simple":
        return
    for key, default in _SIMPLE_MOCK.items():
        if mock.get(key, default) != default:
            text = "means nothing to the simple driver; add controller: joint_trajectory_controller, or remove it"
            yield Mistake(("mock", key), text)


def _entries(content: Mapping[str, Any], name: str) -> list[tuple[Location, Mapping[str, Any]]]:
    entries = enumerate(_list(content.get(name)))
    return [((name, index), entry) for index, entry in entries if isinstance(entry, Mapping)]


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
