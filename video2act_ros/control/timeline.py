"""Where action chunks become one function of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video2act_ros.control.chunk_curve import ChunkCurve
from video2act_ros.control.jet import ONE, ZERO, Jet, fade, smooth_step
from video2act_ros.core.errors import ConfigurationError, unknown_choice
from video2act_ros.core.motion import MotionState
from video2act_ros.core.types import NS_PER_S, ActionChunk, seconds_to_ns

Vector = NDArray[np.float64]

SPLICES = ("replace", "blend", "ensemble", "rtc")
KEEP = 4  # chunks averaged at most; at four a second the fifth is a second old
RTC_FADE = 0.5  # share of blend_s: a chunk that continues the plan has little left to fade over


@dataclass(frozen=True, slots=True)
class Seam:
    """How far a new chunk lay from the motion it took over, at the splice; largest over the joints.

    Jumps are in policy units, per s and s². `actions_skipped` of the new chunk were past already;
    `effective_horizon_s` is how long the chunk before it was the newest.
    """

    position_jump: float
    velocity_jump: float
    acceleration_jump: float
    actions_skipped: int
    effective_horizon_s: float


@dataclass(frozen=True, slots=True)
class _Placed:
    """A chunk on the time axis: when it took over, and over how long it is faded in and out."""

    curve: ChunkCurve
    splice_ns: int
    fade_start_ns: int
    fade_in_ns: int
    fade_out_ns: int

    def fade_in(self, time_ns: int) -> Jet:
        return fade(time_ns, self.fade_start_ns, self.fade_in_ns)

    def fade_out(self, time_ns: int) -> Jet:
        return ONE - fade(time_ns, self.curve.chunk.end_ns - self.fade_out_ns, self.fade_out_ns)


def _blend(weighted: list[tuple[_Placed, Jet]], scale: Jet, time_ns: int) -> NDArray[np.float64]:
    """Return the sum of curves (3, J) times weights times `scale`, by the product rule, in one product."""
    positions: list[float] = []
    velocities: list[float] = []
    accelerations: list[float] = []
    tables: list[NDArray[np.float64]] = []
    for placed, weight in weighted:
        (p, v, a), coefficients = placed.curve.parts(time_ns)
        w = weight * scale
        w0, w1, w2, twice = w.value, w.first, w.second, 2.0 * w.first
        positions += [w0 * x for x in p]
        velocities += [w1 * x + w0 * y for x, y in zip(p, v, strict=True)]
        accelerations += [w2 * x + twice * y + w0 * z for x, y, z in zip(p, v, a, strict=True)]
        tables.append(coefficients)
    basis = np.array((positions, velocities, accelerations))  # (3, 4 n)
    return np.asarray(basis @ np.concatenate(tables))


class Timeline:
    """The newest action chunks, placed by their observation stamps and spliced into one C2 motion.

    A chunk is due from its observation stamp on, so actions whose time has passed are skipped by
    construction. A new one takes over where the commands handed out so far end:

    * `replace`: at once and alone. The limiter makes the step a motion.
    * `blend`: faded in over `blend_s`, then alone.
    * `ensemble`: faded in likewise; an older one weighs `decay` times the next newer one, and nothing
      any more at its own end.
    * `rtc`: real-time chunking. The chunk continues what was sent by itself; a fade half as long covers
      what the forecast missed.

    Not thread-safe: the control loop guards it. With a `TimeWarp`, every time handed in is virtual.
    """

    def __init__(self, splice: str = "ensemble", decay: float = 0.8, blend_s: float = 0.08) -> None:
        """Make an empty timeline.

        Args:
            splice: one of `SPLICES`.
            decay: weight of an older chunk relative to the next newer one, for `ensemble`.
            blend_s: length of the cross-fade.

        Raises:
            ConfigurationError: unknown splice mode.
        """
        if splice not in SPLICES:
            raise ConfigurationError(unknown_choice("splice mode", splice, SPLICES))
        self._splice = splice
        self._decay = Jet(1.0 - decay if splice == "ensemble" else 1.0)  # what a newer chunk takes
        self._blend_ns = 0 if splice == "replace" else seconds_to_ns(blend_s)
        self._placed: list[_Placed] = []  # newest first
        self._seam: Seam | None = None

    @property
    def newest(self) -> ActionChunk | None:
        """The newest chunk, as it was added."""
        return self._placed[0].curve.chunk if self._placed else None

    def clear(self) -> None:
        """Drop every chunk."""
        self._placed.clear()
        self._seam = None

    def add(self, chunk: ActionChunk, now_ns: int, sent_ns: int | None = None) -> None:
        """Splice `chunk` in.

        Args:
            chunk: not empty, and observed later than every chunk before it: see `ChunkGate`.
            now_ns: the present time.
            sent_ns: time up to which commands were handed out already, `now_ns` when that is later or
                nothing was sent: the splice begins there.
        """
        splice_ns = now_ns if sent_ns is None else max(now_ns, sent_ns)
        curve, running = ChunkCurve(chunk), self.sample(splice_ns)
        share = RTC_FADE if self._splice == "rtc" else 1.0
        # Before its own stamp a chunk only stands; it is not faded in earlier.
        fade_start_ns, fade_in_ns = max(splice_ns, chunk.stamp_ns), round(share * self._blend_ns)
        if running is None:
            fade_start_ns, fade_in_ns = 0, 0  # nothing to fade over, also if the clock steps back a little
        else:
            self._seam = self._measure(curve, running, splice_ns)
        self._placed.insert(0, _Placed(curve, splice_ns, fade_start_ns, fade_in_ns, self._blend_ns))
        self._drop_spent(splice_ns)

    def take_seam(self) -> Seam | None:
        """Return the newest splice's seam once; None where no motion was taken over since the last call."""
        seam, self._seam = self._seam, None
        return seam

    def sample(self, time_ns: int) -> MotionState | None:
        """Return what is due at `time_ns`; None past the newest chunk's end.

        Velocities and accelerations are the exact derivatives of the positions, also within a fade.
        """
        if not self._placed or time_ns > self._placed[0].curve.chunk.end_ns:
            return None
        weighted = self._weights(time_ns)
        if len(weighted) == 1:
            return MotionState(*weighted[0][0].curve.at(time_ns))
        total = ZERO
        for _, weight in weighted:
            total = total + weight
        return MotionState(*_blend(weighted, total.reciprocal(), time_ns))

    def _weights(self, time_ns: int) -> list[tuple[_Placed, Jet]]:
        """Return every chunk that counts at `time_ns` with its weight, newest first; at least one.

        In `ensemble`, an older chunk's end takes effect only as far as a newer one has come in: until then
        its last action stands in, so that a late hand-over is no step either.
        """
        weighted: list[tuple[_Placed, Jet]] = []
        left, rank, replaced = ONE, ZERO, ZERO
        for placed in self._placed:
            fade_in = placed.fade_in(time_ns)
            activity = fade_in
            if replaced is not ZERO and self._splice == "ensemble":
                activity = fade_in * (ONE - replaced * (ONE - placed.fade_out(time_ns)))
            weight = activity * left
            if rank.value > KEEP - 1:
                weight = weight * (ONE - smooth_step(rank - Jet(KEEP - 1)))
            if weight.value > 0.0:
                weighted.append((placed, weight))
            left = left * (ONE - self._decay * activity)
            rank = rank + fade_in
            replaced = replaced + fade_in - replaced * fade_in
        return weighted or [(self._placed[0], ONE)]

    def _drop_spent(self, now_ns: int) -> None:
        """Forget chunks that newer ones have faded out entirely, for good."""
        kept: list[_Placed] = []
        rank, replaced = 0.0, False
        for placed in self._placed:
            gone = replaced and (self._splice != "ensemble" or placed.curve.chunk.end_ns < now_ns)
            if not gone and rank < KEEP:
                kept.append(placed)
            fade_in = placed.fade_in(now_ns).value
            rank += fade_in
            replaced = replaced or fade_in >= 1.0
        self._placed = kept

    def _measure(self, curve: ChunkCurve, running: MotionState, splice_ns: int) -> Seam:
        """Compare `curve` with the `running` motion at the splice."""
        new = MotionState(*curve.at(splice_ns))
        return Seam(
            position_jump=float(np.abs(new.positions - running.positions).max()),
            velocity_jump=float(np.abs(new.velocities - running.velocities).max()),
            acceleration_jump=float(np.abs(new.accelerations - running.accelerations).max()),
            actions_skipped=curve.actions_before(splice_ns),
            effective_horizon_s=(splice_ns - self._placed[0].splice_ns) / NS_PER_S,
        )
