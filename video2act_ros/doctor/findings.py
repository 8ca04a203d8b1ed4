"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad a finding is; a problem keeps the stack from running."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `remedy` is empty where nothing needs to be done."""

    topic: str
    level: Level
    text: str
    remedy: str = ""


def ok(topic: str, text: str) -> Finding:
    """Return a finding that needs no remedy."""
    return Finding(topic, Level.OK, text)


def warning(topic: str, text: str, remedy: str) -> Finding:
    """Return a finding that makes the stack slower, less regular or less complete."""
    return Finding(topic, Level.WARNING, text, remedy)


def problem(topic: str, text: str, remedy: str) -> Finding:
    """Return a finding that keeps the stack from running."""
    return Finding(topic, Level.PROBLEM, text, remedy)
