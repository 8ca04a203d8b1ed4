"""Keeps names that others wrote inside the folder that they are about."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath


def is_plain_name(name: str) -> bool:
    """Return whether a file's name stays below its folder as written: relative, no `..`, nothing to be guessed."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def is_inside(path: Path, folders: Iterable[Path]) -> bool:
    """Return whether a path, with every link followed, is one of the folders or lies below one."""
    real = path.resolve()
    return any(real.is_relative_to(folder.resolve()) for folder in folders)
