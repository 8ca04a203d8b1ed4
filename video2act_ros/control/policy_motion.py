"""What the policy wants: the newest chunks as one motion in real time, slowed where asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from video2act_ros.control.chunk_check import ChunkGate, Refusal
from video2act_ros.control.chunk_plausibility import ChunkPlausibility
from video2act_ros.control.plan import PlanHistory
from video2act_ros.control.timeline import Seam, Timeline
from video2act_ros.control.warp import TimeWarp
from video2act_ros.core.motion import MotionState, Vector
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import NS_PER_S, ActionChunk

_REMEDY = "check System 1"


class PolicyMotion:
    """Joins timeline, slow motion and the memory of what was sent. All times are real.

    While the arm is held, its chunks wait for it: chunk time stands, and the newest chunk alone counts, so that
    the arm goes on from the beginning of what the policy planned for an arm that stands.

    Not thread-safe: the control loop guards it.
    """

    def __init__(self, profile: RobotProfile, splice: str, decay: float, blend_s: float, epoch: int) -> None:
        limits = (profile.limits("position_min"), profile.limits("position_max"))
        self._gate = ChunkGate(profile.joint_names, limits, epoch, ChunkPlausibility(profile))
        self._timeline = Timeline(splice, decay, blend_s)
        self._warp = TimeWarp()
        self._standing = False
        self._sent = PlanHistory()
        self._newest: ActionChunk | None = None
        self._sent_ns: int | None = None
        self._why = ""  # why there is no chunk, beyond what can be seen

    @property
    def epoch(self) -> int:
        """The only epoch whose chunks are accepted."""
        return self._gate.epoch

    @property
    def newest(self) -> ActionChunk | None:
        """The newest accepted chunk of the current epoch."""
        return self._newest

    @property
    def first(self) -> Vector | None:
        """Where the newest chunk begins: (J,) in policy units, due at its observation."""
        return None if self._newest is None else np.asarray(self._newest.positions[0], dtype=np.float64)

    @property
    def scale(self) -> float:
        """Share of full speed at which chunks are executed."""
        return self._warp.scale

    @property
    def missing(self) -> str:
        """What to say where the newest chunk is missing or old."""
        return self._why or _REMEDY

    def raise_epoch(self, epoch: int, now_ns: int, why: str = "", episode_ns: int = 0) -> None:
        """Drop every chunk; accept only those of `epoch` observed at `now_ns` or later. `why` is told.

        Their latents must be of the episode that began at `episode_ns`.
        """
        self._gate.raise_epoch(epoch, now_ns, episode_ns)
        self._timeline.clear()
        self._newest = None
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
        refusal = self._gate.admit(chunk, now_ns)
        if refusal is not None:
            if not refusal.routine or self._newest is not None:  # routine only until the epoch's first chunk
                self.refused(refusal.text)
            return refusal
        if self._standing:
            self._timeline.clear()
        warp = self._warp
        sent_ns = None if self._sent_ns is None else warp.virtual_ns(self._sent_ns)
        placed = replace(chunk, stamp_ns=warp.virtual_ns(chunk.stamp_ns))
        self._timeline.add(placed, warp.virtual_ns(now_ns), sent_ns)
        self._newest, self._why = chunk, ""
        return None

    def take_seam(self) -> Seam | None:
        """Return the newest splice's figures once."""
        return self._timeline.take_seam()

    def advance(self, now_ns: int, wanted_scale: float) -> None:
        """Go on to `now_ns`, towards the speed `wanted_scale`."""
        self._standing = False
        self._warp.advance(now_ns, wanted_scale)

    def stand(self, now_ns: int) -> None:
        """Go on to `now_ns` while the arm is held."""
        self._standing = True
        self._warp.stand(now_ns)

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

    def take_arm(self) -> None:
        """Begin with an arm that stands: nothing was sent to it, and chunk time stands."""
        self._warp = TimeWarp(scale=0.0)
        self._sent_ns = None
        self._sent.clear()
        self._standing = True

    def forget_sent(self) -> None:
        """Forget what was sent: the arm was put elsewhere."""
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
