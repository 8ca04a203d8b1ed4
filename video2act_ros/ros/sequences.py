"""Numbers that publishers give their messages: which message came before, and how many are missing."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

_RECENT = 1000  # messages of a topic that are known again
_PUBLISHERS = 1000  # of a topic that are followed at once; who was silent longest is forgotten


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a message's number tells; `publisher` tells publishers of a topic apart, empty: unknown."""

    publisher: bytes
    repeated: bool = False
    missing: int = 0


@dataclass(slots=True)
class Sequences:
    """Follows the publishers of one topic.

    rclpy tells whose a message is from Kilted on. On Jazzy it does not: there a message that comes again is known by
    its number and its time, and another one is taken for the next of that publisher whose newest number is the
    nearest below.
    """

    _newest: OrderedDict[bytes, int] = field(default_factory=OrderedDict)
    _recent: OrderedDict[tuple[int, int], None] = field(default_factory=OrderedDict)
    _guessed: int = 0

    def arrive(self, publisher: bytes, number: int, sent_ns: int, publishers: int) -> Arrival:
        """Account for a message.

        Args:
            publisher: its identity, empty where the middleware does not tell it.
            number: counted by its publisher from 1; 0 where unknown.
            sent_ns: when it was published [ns].
            publishers: how many the topic has now.
        """
        if not number:
            return Arrival(publisher)
        if not publisher:
            if self._came_before(number, sent_ns):
                return Arrival(publisher, repeated=True)
            publisher = self._guess(number, publishers)
        newest = self._newest.pop(publisher, None)
        if newest is not None and number <= newest:
            self._newest[publisher] = newest
            return Arrival(publisher, repeated=True)
        self._newest[publisher] = number
        if len(self._newest) > _PUBLISHERS:
            self._newest.popitem(last=False)
        return Arrival(publisher, missing=0 if newest is None else number - newest - 1)

    def _came_before(self, number: int, sent_ns: int) -> bool:
        if (number, sent_ns) in self._recent:
            return True
        self._recent[number, sent_ns] = None
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return False

    def _guess(self, number: int, publishers: int) -> bytes:
        """Return whose next message that is; a new name where no known publisher can have sent it."""
        below = [(newest, name) for name, newest in self._newest.items() if newest < number]
        newest, name = max(below, default=(0, b""))
        if name and (newest == number - 1 or len(self._newest) >= publishers):
            return name
        self._guessed += 1
        return b"%d" % self._guessed
