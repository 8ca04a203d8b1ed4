"""What the policy wants: the newest chunks as one motion in real time, slowed where asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from video2act_ros.control.plan import PlanHistory
from video2act_ros.control.timeline import Refusal, Seam, Timeline
from video2act_ros.control.warp import TimeWarp
from video2act_ros.core.motion import MotionState, Vector
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import NS_PER_S, ActionChunk

_REMEDY = "check System 1"


class PolicyMotion:
    """Joins timeline, slow motion and the memory of what was sent. All times are real.

    Not thread-safe: the control loop guards it.
    """

    def __init__(self, profile: RobotProfile, splice: str, decay: float, blend_s: float, epoch: int) -> None:
        limits = (profile.limits("position_min"), profile.limits("position_max"))
        self._timeline = Timeline(profile.joint_names, splice, decay, blend_s, epoch, limits)
        self._warp = TimeWarp()
        self._sent = PlanHistory()
        self._newest: ActionChunk | None = None
        self._first: Vector | None = None
        self._sent_ns: int | None = None
        self._why = ""  # why there is no chunk, beyond what can be seen

    @property
    def epoch(self) -> int:
        """The only epoch whose chunks are accepted."""
        return self._timeline.epoch

    @property
    def newest(self) -> ActionChunk | None:
        """The newest accepted chunk of the current epoch."""
        return self._newest

    @property
    def first(self) -> Vector | None:
        """Where the newest chunk alone would have begun to drive the arm: (J,) due when it arrived."""
        return self._first

    @property
    def scale(self) -> float:
        """Share of full speed at which chunks are executed."""
        return self._warp.scale

    @property
    def missing(self) -> str:
        """What to say where the newest chunk is missing or old."""
        return self._why or _REMEDY

    def raise_epoch(self, epoch: int, now_ns: int, why: str = "") -> None:
        """Drop every chunk; accept only those of `epoch` observed at `now_ns` or later. `why` is told."""
        self._timeline.raise_epoch(epoch, self._warp.virtual_ns(now_ns))
        self._newest = self._first = None
        self._why = f"{why}; waiting for System 1" if why else ""

    def step_clock(self) -> None:
        """Forget what depends on the clock, which has jumped; raise the epoch next."""
        self._warp = TimeWarp()
        self._sent_ns = None
        self._sent.clear()

    def refused(self, text: str) -> None:
        """Remember why the newest chunk was not taken."""
        self._why = f"the newest one was refused: {text}"

    def add(self, chunk: ActionChunk, now_ns: int) -> Refusal | None:
        """Splice a chunk in where the commands that were sent end; return None, or why it is refused."""
        warp, virtual_ns = self._warp, self._warp.virtual_ns(now_ns)
        sent_ns = None if self._sent_ns is None else warp.virtual_ns(self._sent_ns)
        placed = replace(chunk, stamp_ns=warp.virtual_ns(chunk.stamp_ns))
        refusal = self._timeline.add(placed, virtual_ns, sent_ns)
        if refusal is None:
            self._newest, self._why = chunk, ""
            self._first = _due(chunk, now_ns)
        elif not refusal.routine:
            self.refused(refusal.text)
        return refusal

    def take_seam(self) -> Seam | None:
        """Return the newest splice's figures once."""
        return self._timeline.take_seam()

    def advance(self, now_ns: int, wanted_scale: float) -> None:
        """Go on to `now_ns`, towards the speed `wanted_scale`."""
        self._warp.advance(now_ns, wanted_scale)

    def target(self, due_ns: int) -> MotionState | None:
        """Return what is due at `due_ns`; None where the chunks are used up."""
        state = self._timeline.sample(self._warp.virtual_ns(due_ns))
        return None if state is None else self._warp.real(state, due_ns)

    def hand_out(self, due_ns: int) -> None:
        """Take that commands up to `due_ns` are settled: a splice begins after that."""
        self._sent_ns = due_ns

    def record(self, due_ns: int, positions: Vector) -> None:
        """Remember a command that was sent."""
        self._sent.record(due_ns, positions)

    def forget_sent(self) -> None:
        """Forget what was sent: the arm was let go or put elsewhere."""
        self._sent.clear()

    def plan(self, now_ns: int) -> ActionChunk | None:
        """Return what was sent and what will be, in the steps of the newest chunk, for real-time chunking."""
        if self._newest is None:
            return None
        return self._sent.plan(now_ns, self._timeline, self._newest.step_s, self._warp)

    def horizon_s(self, now_ns: int) -> float:
        """Return for how long the newest chunk still reaches."""
        newest = self._timeline.newest
        left_ns = 0 if newest is None else newest.end_ns - self._warp.virtual_ns(now_ns)
        return max(left_ns / NS_PER_S, 0.0)


def _due(chunk: ActionChunk, time_ns: int) -> Vector:
    """Return the positions (J,) that a chunk alone has for `time_ns`, linear between its actions."""
    last = len(chunk.positions) - 1
    index = min(max((time_ns - chunk.stamp_ns) / chunk.step_ns, 0.0), float(last))
    before = int(index)
    rows = np.asarray(chunk.positions[[before, min(before + 1, last)]], dtype=np.float64)  # (2, J)
    return rows[0] + (index - before) * (rows[1] - rows[0])
