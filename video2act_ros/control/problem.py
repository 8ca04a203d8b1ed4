"""What is wrong now, how grave it is, and in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from video2act_ros.core.thresholds import Outcome, Threshold


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong now: what it does to the arm, and why, with value, limit and remedy."""

    outcome: Outcome
    text: str


def worst(problems: Iterable[Problem]) -> Outcome | None:
    """Return the gravest outcome, or None without problems."""
    return max((problem.outcome for problem in problems), default=None)


def describe(problems: Iterable[Problem]) -> str:
    """Return every problem in words, gravest first."""
    return "; ".join(problem.text for problem in sorted(problems, key=lambda problem: -problem.outcome))


def graded(threshold: Threshold, value: float, text: str, **named: object) -> Problem | None:
    """Return the problem that `value` is, or None.

    `text` is a format string with the fields `value`, `limit` (the one that was passed) and those `named`.
    """
    outcome = threshold.outcome(value)
    if outcome is None:
        return None
    limits = {Outcome.SLOW: threshold.slow, Outcome.HOLD: threshold.hold, Outcome.FAULT: threshold.fault}
    return Problem(outcome, text.format(value=value, limit=limits[outcome], **named))
