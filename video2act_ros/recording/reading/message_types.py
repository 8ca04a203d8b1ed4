"""Message types for reading: those that bags carry, and those of this version of `video2act_msgs`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.recording.writing.message_definitions import share_folders

OWN_PACKAGE = "video2act_msgs"


def own_messages_folder() -> Path:
    """Return the folder of the package's `.msg` files: those that the messages in use were built from.

    Raises:
        ConfigurationError: there is none.
    """
    source = Path(__file__).resolve().parents[3] / "ros2_ws" / "src" / OWN_PACKAGE / "msg"
    for folder in (*(share / "msg" for share in share_folders(OWN_PACKAGE)), source):
        if any(folder.glob("*.msg")):
            return folder
    raise ConfigurationError(
        f"the definitions of {OWN_PACKAGE} were not found; source the workspace's setup.bash or run: make setup"
    )


@cache
def own_types() -> dict[str, Any]:  # rosbags' definitions have no public type
    """Return rosbags' field definitions of every message of this version, by full type name."""
    types: dict[str, Any] = {}
    for path in sorted(own_messages_folder().glob("*.msg")):
        types.update(get_types_from_msg(path.read_text(), f"{OWN_PACKAGE}/msg/{path.stem}"))
    return types


@cache
def default_typestore() -> Any:
    """Return the types for bags without embedded definitions: those of ROS 2 Kilted and ours."""
    store = get_typestore(Stores.ROS2_KILTED)
    store.register(own_types())
    return store


def typestore_of(carried: Iterable[tuple[str, str, str]]) -> Any:
    """Return the types that a bag carries, and those of `default_typestore` for what it does not define.

    A definition that cannot be read costs the messages of its topic only.

    Args:
        carried: type, format (ros2msg, ros2idl or none) and definition of each topic.

    Raises:
        ValueError: the bag defines one type in two ways.
    """
    types: dict[str, Any] = {}
    known: set[tuple[str, str, str]] = set()
    for name, form, text in carried:
        if (name, form, text) in known:
            continue
        known.add((name, form, text))
        for found, fields in _parsed(name, form, text).items():
            if not _equal(types.setdefault(found, fields), fields):
                raise ValueError(f"it holds two definitions of {found}; read its files one by one")
    default = default_typestore().fielddefs
    types |= {name: fields for name, fields in default.items() if name not in types}
    store = get_typestore(Stores.EMPTY)
    store.register(types)
    return store


def _parsed(name: str, form: str, text: str) -> dict[str, Any]:
    try:
        if form == "ros2msg":
            return dict(get_types_from_msg(text, name))
        if form != "ros2idl":
            return {}
        types: dict[str, Any] = {}
        for part in re.split(r"^=+\n(?:IDL: .*\n)?", text, flags=re.MULTILINE):
            types |= get_types_from_idl(part) if part.strip() else {}
        return types
    except Exception:  # noqa: BLE001 - whatever their parser raises; its topic is told when it is read
        return {}


def _equal(first: Any, second: Any) -> bool:
    return [(name.lower(), kind) for name, kind in first[1]] == [
        (name.lower(), kind) for name, kind in second[1]
    ]


def lacking_fields(msgtype: str, carried: Any) -> tuple[str, ...]:
    """Return the fields of one of our messages that a bag's definition lacks, or has with another type.

    Args:
        msgtype: full type name; that of another package lacks nothing.
        carried: the bag's type store.
    """
    wanted = own_types().get(msgtype)
    if wanted is None:
        return ()
    known = dict(carried.fielddefs[msgtype][1]) if msgtype in carried.fielddefs else {}
    return tuple(name for name, kind in wanted[1] if known.get(name) != kind)
