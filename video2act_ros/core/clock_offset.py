"""How far two machines' clocks lie apart, measured by asking for the other one's time."""

from __future__ import annotations

from dataclasses import dataclass

from video2act_ros.core.input_report import InputCheck, InputValue
from video2act_ros.core.types import NS_PER_S

_KEPT = 10  # exchanges; of these the quickest counts
_PRECISE_S = 0.1  # uncertainty from which on an exchange tells too little to trust a clock
_VALID_S = 30.0  # two clocks drift apart by less than 3 ms meanwhile (100 ppm)


@dataclass(frozen=True, slots=True)
class ClockExchange:
    """One question for the other machine's time.

    Args:
        asked_ns: own clock when the question left.
        told_ns: the other machine's clock when it answered.
        returned_ns: own clock when the answer came.
        took_s: time between the two by a steady clock, which nobody sets.
    """

    asked_ns: int
    told_ns: int
    returned_ns: int
    took_s: float

    @property
    def offset_s(self) -> float:
        """How far the own clock is ahead of the other one, if both ways took equally long."""
        return ((self.asked_ns + self.returned_ns) / 2 - self.told_ns) / NS_PER_S

    @property
    def uncertainty_s(self) -> float:
        """How wrong `offset_s` can be: the answer was given at any time between question and return."""
        return max(self.took_s, abs(self.returned_ns - self.asked_ns) / NS_PER_S) / 2

    def contradicts(self, other: ClockExchange) -> bool:
        """Whether no offset agrees with both: one of the clocks was set between them."""
        return abs(self.offset_s - other.offset_s) > self.uncertainty_s + other.uncertainty_s


class ClockOffset:
    """The own clock's offset from another one's, by the quickest of the last exchanges. Not thread-safe.

    An exchange that was slow can hide an offset of half its round trip. Where even the quickest one was slow, the
    offset is unknown: what nobody could have noticed is not trusted.
    """

    def __init__(self) -> None:
        self._exchanges: list[tuple[float, ClockExchange]] = []

    def add(self, exchange: ClockExchange, now_s: float) -> None:
        """Take an exchange that ended at `now_s` of a steady clock; what contradicts it is out of date."""
        agreeing = [row for row in self._exchanges if not exchange.contradicts(row[1])]
        self._exchanges = [*agreeing, (now_s, exchange)][-_KEPT:]

    def best(self, now_s: float) -> ClockExchange | None:
        """Return the exchange that counts; None where no recent one is known."""
        recent = (exchange for made_s, exchange in self._exchanges if now_s - made_s <= _VALID_S)
        return min(recent, key=lambda exchange: exchange.uncertainty_s, default=None)

    def values(self, now_s: float) -> tuple[InputValue, ...]:
        """Return how far the own clock is certainly ahead and behind [s], one of them 0; None while unknown."""
        exchange = self.best(now_s)
        if exchange is None or exchange.uncertainty_s > _PRECISE_S:
            ahead_s, behind_s = None, None
        else:
            ahead_s = max(0.0, exchange.offset_s - exchange.uncertainty_s)
            behind_s = max(0.0, -exchange.offset_s - exchange.uncertainty_s)
        return (
            InputValue(InputCheck.CLOCK_AHEAD, "", ahead_s),
            InputValue(InputCheck.CLOCK_BEHIND, "", behind_s),
        )
