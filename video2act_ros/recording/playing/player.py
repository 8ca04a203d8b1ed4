"""Plays events in time: every message when the replay's clock shows its time, a clock that ticks between them."""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from video2act_ros.core.types import NS_PER_S
from video2act_ros.recording.playing.replay_plan import EpisodeBegin, ReplayEvent
from video2act_ros.recording.reading.bag import RawMessage

CLOCK_PERIOD_S = 0.01  # largest time between two clock messages
_CLOCK_LEAST_S = 0.001  # a clock that is no more behind, in either time, is not told again with a message


class Stage(Protocol):
    """Where a player publishes. Called by the player's thread alone."""

    def clock(self, time_ns: int) -> None:
        """Publish the clock."""

    def message(self, raw: RawMessage) -> None:
        """Publish a message."""

    def episode(self, begin: EpisodeBegin) -> None:
        """Begin a new episode; the clock has been told already."""


@dataclass(frozen=True, slots=True)
class PlayFigures:
    """What was played: messages by topic, delays against their time [s], and how fast."""

    messages: dict[str, int]
    episodes: int
    recorded_s: float  # of the bag
    played_s: float  # on the wall
    delay_p50_s: float
    delay_p99_s: float
    delay_max_s: float

    @property
    def speed(self) -> float:
        """Speed relative to the recording."""
        return self.recorded_s / self.played_s if self.played_s else 0.0


class Player:
    """Plays events on a stage at a rate; a rate of 0 as fast as the stage takes them. `stop` ends it at once."""

    def __init__(self, stage: Stage, rate: float) -> None:
        self._stage = stage
        self._rate = rate
        self._stopping = threading.Event()
        self._messages: Counter[str] = Counter()
        self._episodes = 0
        self._delays_s = array("d")
        self._recorded_ns = 0
        self._played_s = 0.0
        self._anchor = (0, 0.0)  # clock [ns], monotonic time [s]
        self._told_s = -1.0  # monotonic time of the newest clock message
        self._told_ns = 0  # what it showed

    def stop(self) -> None:
        """End `play` at once; from any thread."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def play(self, events: Iterable[ReplayEvent]) -> None:
        """Play events to their end, or until `stop`."""
        newest_ns, begun_s = 0, time.monotonic()
        for event in self._until_stopped(events):
            if isinstance(event, EpisodeBegin):
                begun_s = self._begin(event, newest_ns, begun_s)
            else:
                due_s = self._wait(event.clock_ns)
                if self.stopping:
                    break
                self._tell(event.clock_ns)
                self._delays_s.append(time.monotonic() - due_s)
                self._messages[event.raw.topic] += 1
                self._stage.message(event.raw)
            newest_ns = event.clock_ns
        self._account(newest_ns, begun_s)

    def figures(self) -> PlayFigures:
        """Return what was played so far."""
        delays_s = np.asarray(self._delays_s[:]) if self._delays_s else np.zeros(1)  # a copy: it still grows
        p50, p99 = np.percentile(delays_s, (50, 99))
        return PlayFigures(
            messages=dict(sorted(self._messages.items())),
            episodes=self._episodes,
            recorded_s=self._recorded_ns / NS_PER_S,
            played_s=self._played_s,
            delay_p50_s=float(p50),
            delay_p99_s=float(p99),
            delay_max_s=float(delays_s.max()),
        )

    def _until_stopped(self, events: Iterable[ReplayEvent]) -> Iterator[ReplayEvent]:
        for event in events:
            if self.stopping:
                return
            yield event

    def _begin(self, event: EpisodeBegin, newest_ns: int, begun_s: float) -> float:
        """Set the clock, begin an episode, and count time from now on; return that time."""
        if newest_ns and 0 <= event.clock_ns - newest_ns <= NS_PER_S:
            self._wait(event.clock_ns)
            newest_ns = event.clock_ns
        self._account(newest_ns, begun_s)
        self._episodes += 1
        self._told_s = -1.0
        self._tell(event.clock_ns)
        self._stage.episode(event)
        self._anchor = (event.clock_ns, time.monotonic())
        return self._anchor[1]

    def _account(self, newest_ns: int, begun_s: float) -> None:
        if newest_ns:
            self._recorded_ns += max(0, newest_ns - self._anchor[0])
            self._played_s += time.monotonic() - begun_s

    def _wait(self, clock_ns: int) -> float:
        """Wait until the clock shows `clock_ns`, telling it meanwhile; return when that was due [s]."""
        if not self._rate:
            return time.monotonic()
        due_s = self._due_s(clock_ns)
        while not self.stopping and (left_s := due_s - time.monotonic()) > 0:
            tick_s = self._told_s + CLOCK_PERIOD_S - time.monotonic()
            if tick_s <= 0:
                self._tell(clock_ns - round(left_s * self._rate * NS_PER_S))
            else:
                self._stopping.wait(min(left_s, tick_s))
        return due_s

    def _due_s(self, clock_ns: int) -> float:
        from_ns, from_s = self._anchor
        return from_s + (clock_ns - from_ns) / NS_PER_S / self._rate

    def _tell(self, clock_ns: int) -> None:
        now_s = time.monotonic()
        behind_s = (clock_ns - self._told_ns) / NS_PER_S  # much where messages are late, or played fast
        if max(now_s - self._told_s, behind_s) >= _CLOCK_LEAST_S:
            self._stage.clock(clock_ns)
            self._told_s, self._told_ns = now_s, clock_ns
