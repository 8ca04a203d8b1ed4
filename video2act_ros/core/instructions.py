"""Which instruction is in force."""

from __future__ import annotations

from collections.abc import Sequence

from video2act_ros.core.errors import InstructionError


def choose_instruction(known: Sequence[str], wanted: str) -> str:
    """Return `wanted`, or the first known instruction when `wanted` is empty.

    Raises:
        InstructionError: the bundle does not know it; lists those it knows.
    """
    if wanted and wanted not in known:
        raise InstructionError(f"unknown instruction '{wanted}'; this bundle knows: {'; '.join(known)}")
    return wanted or known[0]
