"""Slow motion: the same path, executed more slowly."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from video2act_ros.core.motion import MotionState
from video2act_ros.core.types import NS_PER_S, seconds_to_ns

SLOWEST = 0.1  # of an arm that is driven
RATE_PER_S = 8.0  # of both filters: a change of scale is nine tenths done after half a second
STAND_RATE_PER_S = 20.0  # before and after a stand: chunk time coasts for 0.1 s, about as a fast arm brakes
MEMORY_NS = seconds_to_ns(10.0)  # no observation that is still of use is older


@dataclass(frozen=True, slots=True)
class _Segment:
    """The scale from `real_ns` on, while one scale is wanted: two equal low-pass filters in a row.

    With x = rate * t, the inner filter goes as wanted + inner e^-x, and the scale as
    wanted + (outer + inner x) e^-x. `inner` and `outer` are the distances from `wanted` at the start.
    """

    real_ns: int
    virtual_ns: int
    wanted: float
    inner: float = 0.0
    outer: float = 0.0
    rate_per_s: float = RATE_PER_S

    def filters(self, time_ns: int) -> tuple[float, float]:
        """Return the inner filter's output and the scale."""
        x = self.rate_per_s * (time_ns - self.real_ns) / NS_PER_S
        decay = math.exp(-x)
        return self.wanted + self.inner * decay, self.wanted + (self.outer + self.inner * x) * decay

    def virtual(self, time_ns: int) -> int:
        """Return the integral of the scale: chunk time."""
        elapsed_ns = time_ns - self.real_ns
        if self.wanted == 1.0 and self.inner == 0.0 and self.outer == 0.0:
            return self.virtual_ns + elapsed_ns
        x = self.rate_per_s * elapsed_ns / NS_PER_S
        faded = -math.expm1(-x)  # 1 - e^-x
        extra = (self.outer * faded + self.inner * (faded - x * math.exp(-x))) / self.rate_per_s
        return self.virtual_ns + round(self.wanted * elapsed_ns + extra * NS_PER_S)


class TimeWarp:
    """Maps real time to chunk time, which runs at a scale in [0.1, 1], or stands.

    Chunk time falls behind while the scale is below 1 and never catches up. A chunk lies at the chunk time
    of its observation; sampling at the chunk time of the present then follows every chunk's path at the
    scale's speed. The scale approaches the wanted one through two low-pass filters: it is continuously
    differentiable, never leaves [0, 1] and never overshoots, whatever is wanted when.

    Not thread-safe: the control loop guards it.
    """

    def __init__(self, scale: float = 1.0) -> None:
        """Begin at the speed `scale`; chunk time is real time until the first `advance` or `stand`."""
        self._segments: deque[_Segment] = deque()  # newest first
        self._scale = scale
        self._now_ns = 0

    @property
    def scale(self) -> float:
        """The speed of chunk time at the newest `advance`."""
        return self._segments[0].filters(self._now_ns)[1] if self._segments else self._scale

    def advance(self, now_ns: int, wanted_scale: float) -> None:
        """Go on to `now_ns`, from which on `wanted_scale` is wanted; one that is not finite means the slowest.

        Where the clock stepped back, chunk time begins anew at the present scale.
        """
        self._advance(
            now_ns, min(max(wanted_scale, SLOWEST), 1.0) if math.isfinite(wanted_scale) else SLOWEST
        )

    def stand(self, now_ns: int) -> None:
        """Go on to `now_ns`, from which on chunk time shall stand: the arm is held, its motion does not go on."""
        self._advance(now_ns, 0.0)

    def _advance(self, now_ns: int, wanted: float) -> None:
        if not self._segments:
            away = self._scale - wanted
            rate_per_s = _rate_per_s(self._scale, wanted)
            self._segments.append(_Segment(now_ns, now_ns, wanted, away, away, rate_per_s))
        newest = self._segments[0]
        rate_per_s = _rate_per_s(newest.wanted, wanted)
        if now_ns < newest.real_ns:
            inner, scale = newest.filters(max(self._now_ns, newest.real_ns))
            self._segments.clear()
            self._segments.append(
                _Segment(now_ns, now_ns, wanted, inner - wanted, scale - wanted, rate_per_s)
            )
        elif wanted != newest.wanted and now_ns > newest.real_ns:
            inner, scale = newest.filters(now_ns)
            virtual_ns = newest.virtual(now_ns)
            segment = _Segment(now_ns, virtual_ns, wanted, inner - wanted, scale - wanted, rate_per_s)
            self._segments.appendleft(segment)
        self._now_ns = now_ns
        while len(self._segments) > 1 and self._segments[-2].real_ns < now_ns - MEMORY_NS:
            self._segments.pop()

    def virtual_ns(self, time_ns: int) -> int:
        """Return the chunk time of `time_ns`: the recent past, the present, or the next few ticks."""
        for segment in self._segments:
            if time_ns >= segment.real_ns:
                return segment.virtual(time_ns)
        if not self._segments:
            return time_ns
        oldest = self._segments[-1]
        return oldest.virtual_ns - (oldest.real_ns - time_ns)

    def real(self, state: MotionState, time_ns: int | None = None) -> MotionState:
        """Return `state`, a motion in chunk time, as a motion in real time.

        Args:
            state: what the timeline gave for `virtual_ns(time_ns)`.
            time_ns: the real time that the state is for; the newest `advance` when None.
        """
        if not self._segments:
            return state
        segment = self._segments[0]
        inner, scale = segment.filters(self._now_ns if time_ns is None else time_ns)
        slope = segment.rate_per_s * (inner - scale)  # of the scale [1/s]
        return MotionState(
            state.positions,
            state.velocities * scale,
            state.accelerations * (scale * scale) + state.velocities * slope,
        )


def _rate_per_s(before: float, wanted: float) -> float:
    """Return how fast the scale goes from one that was wanted to another."""
    return STAND_RATE_PER_S if before == 0.0 or wanted == 0.0 else RATE_PER_S
