"""What System 1 and System 2 must know of the command node's run state."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunContext:
    """The present epoch and episode, when they began, and the instruction (empty: each node's own choice).

    The default stands for "no command node heard yet".
    """

    epoch: int = 0
    epoch_stamp_ns: int = 0
    episode: int = 0
    episode_stamp_ns: int = 0
    instruction: str = ""
