"""Recognises files that git-lfs has not fetched: a few lines of text stand where the content should be."""

from __future__ import annotations

from pathlib import Path

_BEGIN = b"version https://git-lfs.github.com/spec/"


def is_lfs_pointer(path: Path) -> bool:
    """Return whether the file holds a git-lfs pointer in place of its content; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(_BEGIN)) == _BEGIN
    except OSError:
        return False


def lfs_words(path: Path) -> str:
    """Return what to say of such a file."""
    return f"{path} is a git-lfs pointer, not the file itself; run `git lfs pull` in its folder, or download the file"
