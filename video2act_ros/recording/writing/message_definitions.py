"""Message definitions as bags embed them: the text with all its dependencies, and the type's hash."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from video2act_ros.core.errors import BagError

_FIELD = re.compile(r"^\s*(?P<type>[A-Za-z][\w/]*)(<=\d+)?(\[[^\]]*\])?\s+\w+")
_INTEGERS = (f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_PRIMITIVES = frozenset(("bool", "byte", "char", "float32", "float64", "string", "wstring", *_INTEGERS))
_SEPARATOR = "=" * 80


@dataclass(frozen=True, slots=True)
class MessageDefinition:
    """The `ros2msg` text of a type (its own, then `MSG: package/Name` sections) and its RIHS01 hash."""

    type: str
    text: str
    hash: str


@functools.cache
def definition_of(type_name: str) -> MessageDefinition:
    """Return the definition of a message type from the share folders of this installation.

    Args:
        type_name: `package/msg/Name`.

    Raises:
        BagError: its package is not installed, or the type comes without a `.msg` file.
    """
    texts = {type_name: _read(type_name, ".msg")}
    waiting = [type_name]
    while waiting:
        name = waiting.pop()
        for needed in _dependencies(name, texts[name]):
            if needed not in texts:
                texts[needed] = _read(needed, ".msg")
                waiting.append(needed)
    own, *others = texts.items()
    sections = [own[1], *(f"{_SEPARATOR}\nMSG: {_short(name)}\n{text}" for name, text in others)]
    return MessageDefinition(type_name, "\n".join(sections), _hash(type_name, texts))


def _dependencies(type_name: str, text: str) -> list[str]:
    package = type_name.split("/")[0]
    found = []
    for line in text.splitlines():
        match = _FIELD.match(line.split("#")[0])
        if match is None or (name := match["type"]) in _PRIMITIVES:
            continue
        parts = name.split("/")
        found.append("/".join((parts[0] if len(parts) > 1 else package, "msg", parts[-1])))
    return found


def _hash(type_name: str, texts: dict[str, str]) -> str:
    """Return the hash that the message's generator wrote, or compute it where it wrote none."""
    try:
        hashes = json.loads(_read(type_name, ".json"))["type_hashes"]
        return next(item["hash_string"] for item in hashes if item["type_name"] == type_name)
    except (BagError, KeyError, StopIteration):
        store = get_typestore(Stores.EMPTY)
        for name, text in texts.items():
            store.register(get_types_from_msg(text, name))
        return str(store.hash_rihs01(type_name))


def share_folders(package: str) -> tuple[Path, ...]:
    """Return the share folders of an installed package, the one that counts first."""
    prefixes = (*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix)
    folders = (Path(prefix, "share", package) for prefix in prefixes if prefix)
    return tuple(folder for folder in folders if folder.is_dir())


def _read(type_name: str, suffix: str) -> str:
    package, _, name = type_name.partition("/")
    for folder in share_folders(package):
        file = folder / f"{name}{suffix}"
        if file.is_file():
            return file.read_text()
    raise BagError(
        f"the definition of {type_name} is not installed ({package}/{name}{suffix}); "
        f"install or source the package {package} where the recorder runs"
    )


def _short(type_name: str) -> str:
    return type_name.replace("/msg/", "/")
