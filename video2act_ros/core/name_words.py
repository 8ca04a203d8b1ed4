"""What the names of joints, links and topics say: their parts, and the side of a robot that they belong to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

LEFT, RIGHT = "left", "right"

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")  # of leftArm_2: left, Arm, 2
_SIDES = {"left": LEFT, "right": RIGHT, "l": LEFT, "r": RIGHT, "larm": LEFT, "rarm": RIGHT}
_SURE = {"left", "right", "larm", "rarm"}  # a single letter may mean anything, such as roll
_MIRRORED = {"left": "right", "right": "left", "l": "r", "r": "l", "larm": "rarm", "rarm": "larm"}


def parts(name: str) -> tuple[str, ...]:
    """Return the parts of a name in order, in lower case: between / _ - and where letters and cases change."""
    return tuple(part.lower() for part in _PARTS.findall(name))


def words(name: str) -> frozenset[str]:
    """Return the parts of a name, in any order."""
    return frozenset(parts(name))


def side_of(path: Iterable[str], known: Collection[str]) -> str:
    """Return the side that a place on the robot belongs to: `left`, `right`, or empty.

    The name closest to the root decides whose mirrored name is known, too, so that the left finger of a right hand
    is on the right. Without any the first one decides that says left or right in full.

    Args:
        path: names on the way from the root to the place.
        known: names of the same kind, of the whole robot.
    """
    mirrored = {parts(name) for name in known}
    first = ""
    for name in path:
        for side, other in _mirrors(parts(name)):
            if other in mirrored:
                return side
        first = first or next((_SIDES[part] for part in parts(name) if part in _SURE), "")
    return first


def _mirrors(name: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the side of a name's first side word and the names on the other side: that word changed, or all."""
    at = next((index for index, part in enumerate(name) if part in _SIDES), None)
    if at is None:
        return []
    one = (*name[:at], _MIRRORED[name[at]], *name[at + 1 :])
    every = tuple(_MIRRORED.get(part, part) for part in name)
    return [(_SIDES[name[at]], one), (_SIDES[name[at]], every)]
