"""Which instruction is in force, and whether System 1 knows it."""

from __future__ import annotations

from video2act_ros.core.errors import InstructionError, unknown_choice


class InstructionBook:
    """The instructions that System 1 has told it knows, one per line on `known_instructions`."""

    def __init__(self) -> None:
        self.known: tuple[str, ...] = ()

    def read(self, text: str) -> None:
        """Take the newest list."""
        self.known = tuple(line for line in text.splitlines() if line)

    def check(self, instruction: str) -> None:
        """Raise an InstructionError unless System 1 knows `instruction`; the empty one is its own choice."""
        if not self.known:
            raise InstructionError(
                "System 1 is not up yet and has told no instructions; ask again when it is"
            )
        if instruction and instruction not in self.known:
            raise InstructionError(unknown_choice("instruction", instruction, self.known))
