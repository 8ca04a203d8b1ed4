"""Two ways to execute chunks in lock-step: ours, and the released robot script's."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from video2act_ros.control.limiter import JointLimits, Limiter
from video2act_ros.control.plan import PlanHistory
from video2act_ros.control.timeline import Timeline
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import ActionChunk
from video2act_ros.system1.realtime_chunking import Prefix, make_prefix

Vector = NDArray[np.float64]


class Execution(Protocol):
    """Chunks in, one joint command per control period out; one episode."""

    @property
    def observed_ns(self) -> int | None:
        """Stamp of the newest observation that the newest command depends on."""

    @property
    def wants_chunk(self) -> bool:
        """Whether an inference that blocks may begin now."""

    def prefix(self, chunk: ActionChunk, now_ns: int, delay_s: float) -> Prefix | None:
        """Return what the leading actions of the coming chunk, like `chunk`, shall be; None: it begins freely."""

    def add(self, chunk: ActionChunk, now_ns: int) -> None:
        """Take a chunk when its inference ends."""

    def command(self, now_ns: int) -> Vector:
        """Return the set-point (J,) of this tick, in policy units."""


class Streaming:
    """The control runtime: timeline and limiter, inferences beside the motion."""

    wants_chunk = True

    def __init__(
        self, profile: RobotProfile, joints: Vector, period_s: float, splice: str, decay: float
    ) -> None:
        self.timeline = Timeline(splice, decay)
        self._sent = PlanHistory() if splice == "rtc" else None
        self._limiter = Limiter(JointLimits.of_commands(profile), period_s)
        self._limiter.reset(joints)

    @property
    def observed_ns(self) -> int | None:
        """Stamp of the newest chunk's observation."""
        newest = self.timeline.newest
        return None if newest is None else newest.stamp_ns

    def prefix(self, chunk: ActionChunk, now_ns: int, delay_s: float) -> Prefix | None:
        """Continue what was sent, in splice mode rtc."""
        if self._sent is None:
            return None
        plan = self._sent.plan(now_ns, self.timeline, chunk.step_s)
        prefix = make_prefix(plan, chunk, now_ns, delay_s)
        return prefix if isinstance(prefix, Prefix) else None

    def add(self, chunk: ActionChunk, now_ns: int) -> None:
        """Splice the chunk in."""
        self.timeline.add(chunk, now_ns)

    def command(self, now_ns: int) -> Vector:
        """Follow the timeline within the limits."""
        positions = self._limiter.step(self.timeline.sample(now_ns)).positions
        if self._sent is not None:
            self._sent.record(now_ns, positions)
        return positions


class OpenLoop:
    """The released script: all actions of a chunk one after the other, then the arm waits for the next chunk."""

    def __init__(self, joints: Vector) -> None:
        self._command = joints
        self._chunk: ActionChunk | None = None
        self._next = 0
        self.observed_ns: int | None = None

    @property
    def wants_chunk(self) -> bool:
        """True once every action was sent."""
        return self._chunk is None or self._next >= len(self._chunk.positions)

    def prefix(self, chunk: ActionChunk, now_ns: int, delay_s: float) -> Prefix | None:
        """Return None: every chunk begins freely."""
        return None

    def add(self, chunk: ActionChunk, now_ns: int) -> None:
        """Begin with the chunk's first action, however old it is."""
        self._chunk, self._next = chunk, 0

    def command(self, now_ns: int) -> Vector:
        """Return the next action, or the last one again while there is none."""
        if self._chunk is not None and self._next < len(self._chunk.positions):
            self._command = np.asarray(self._chunk.positions[self._next], dtype=np.float64)
            self.observed_ns = self._chunk.stamp_ns
            self._next += 1
        return self._command
