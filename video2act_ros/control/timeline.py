"""Where action chunks become one function of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import ConfigurationError, unknown_choice
from video2act_ros.core.types import NS_PER_S, ActionChunk, seconds_to_ns

SPLICES = ("replace", "average")
KEEP = 4  # chunks averaged at most; at four a second the fifth is a second old
FUTURE_TOLERANCE_S = 0.05  # clocks of two machines synchronised by NTP agree better than this


def smooth_step(fraction: float) -> float:
    """Rise from 0 at `fraction` <= 0 to 1 at >= 1, twice continuously differentiable."""
    u = min(max(fraction, 0.0), 1.0)
    return u * u * u * (10.0 + u * (6.0 * u - 15.0))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a chunk was not taken, in words; `routine` where that happens whenever an epoch begins."""

    text: str
    routine: bool = False


@dataclass(frozen=True, slots=True)
class _Placed:
    """A chunk on the time axis, its slopes (H, J) at the actions [1/s], and when it began to count."""

    chunk: ActionChunk
    slopes: NDArray[np.float64]
    fade_start_ns: int
    blend_ns: int

    def fade_in(self, time_ns: int) -> float:
        return smooth_step((time_ns - self.fade_start_ns) / self.blend_ns) if self.blend_ns else 1.0

    def fade_out(self, time_ns: int) -> float:
        return smooth_step((self.chunk.end_ns - time_ns) / self.blend_ns) if self.blend_ns else 1.0

    def at(self, time_ns: int) -> NDArray[np.float64]:
        """Return positions (J,) by cubic Hermite interpolation; the first or last action outside."""
        positions, step_s = self.chunk.positions, self.chunk.step_s
        elapsed = max((time_ns - self.chunk.stamp_ns) / self.chunk.step_ns, 0.0)
        index = min(int(elapsed), len(positions) - 1)
        u = elapsed - index
        if u <= 0.0 or index == len(positions) - 1:
            return np.array(positions[index], dtype=np.float64)
        u2, u3 = u * u, u * u * u
        return (
            (2.0 * u3 - 3.0 * u2 + 1.0) * positions[index]
            + (3.0 * u2 - 2.0 * u3) * positions[index + 1]
            + (u3 - 2.0 * u2 + u) * step_s * self.slopes[index]
            + (u3 - u2) * step_s * self.slopes[index + 1]
        )


class Timeline:
    """The newest action chunks, placed by their observation stamps and spliced without a step.

    A chunk is due from its observation stamp on, so actions whose time has passed are skipped by
    construction. A new chunk is faded in over `blend_s` from the moment it arrives. In `replace` it then
    stands alone; in `average` an older one weighs `decay` times the next newer one, and nothing any more
    at its own end.

    Not thread-safe: the control loop guards it.
    """

    def __init__(
        self,
        joint_names: tuple[str, ...],
        splice: str = "replace",
        decay: float = 0.8,
        blend_s: float = 0.08,
        epoch: int = 0,
    ) -> None:
        if splice not in SPLICES:
            raise ConfigurationError(unknown_choice("splice mode", splice, SPLICES))
        self._joint_names = joint_names
        self._decay = decay if splice == "average" else 0.0
        self._blend_ns = seconds_to_ns(blend_s)
        self._epoch = epoch
        self._epoch_stamp_ns = 0
        self._placed: list[_Placed] = []  # newest first

    @property
    def epoch(self) -> int:
        """The only epoch whose chunks are accepted."""
        return self._epoch

    @property
    def newest(self) -> ActionChunk | None:
        """The newest accepted chunk of the current epoch."""
        return self._placed[0].chunk if self._placed else None

    def raise_epoch(self, epoch: int, stamp_ns: int) -> None:
        """Drop every chunk; accept only those of `epoch` that were observed at `stamp_ns` or later."""
        self._epoch = epoch
        self._epoch_stamp_ns = stamp_ns
        self._placed.clear()

    def add(self, chunk: ActionChunk, now_ns: int) -> Refusal | None:
        """Splice `chunk` in from `now_ns` on; return None, or the reason why it is refused."""
        newest, refusal = self.newest, self._refusal(chunk, now_ns)
        if refusal is not None:
            return refusal
        overlaps = newest is not None and newest.end_ns >= now_ns
        fade_start_ns = now_ns if overlaps else now_ns - self._blend_ns
        positions = np.asarray(chunk.positions, dtype=np.float64)
        slopes = (
            np.gradient(positions, chunk.step_s, axis=0) if len(positions) > 1 else np.zeros_like(positions)
        )
        self._placed.insert(0, _Placed(chunk, slopes, fade_start_ns, self._blend_ns))
        self._drop_spent(now_ns)
        return None

    def sample(self, time_ns: int) -> NDArray[np.float64] | None:
        """Return positions (J,) in policy units due at `time_ns`; None past the newest chunk's end."""
        if not self._placed or time_ns > self._placed[0].chunk.end_ns:
            return None
        total, blend = 0.0, np.zeros(len(self._joint_names))
        for placed, weight in self._weights(time_ns):
            total += weight
            blend += weight * placed.at(time_ns)
        return blend / total if total > 0.0 else self._placed[0].at(time_ns)

    def _weights(self, time_ns: int) -> Iterator[tuple[_Placed, float]]:
        """Yield every chunk that counts at `time_ns` with its weight, newest first.

        An older chunk's end takes effect only as far as a newer one has come in: until then its last
        action stands in, so that a late hand-over is no step either.
        """
        left, rank, replaced = 1.0, 0.0, 0.0
        for placed in self._placed:
            fade_in = placed.fade_in(time_ns)
            activity = fade_in * (1.0 - replaced * (1.0 - placed.fade_out(time_ns)))
            weight = activity * left * (1.0 - smooth_step(rank - (KEEP - 1)))
            if weight > 0.0:
                yield placed, weight
            left *= 1.0 - (1.0 - self._decay) * activity
            rank += fade_in
            replaced = max(replaced, fade_in)

    def _drop_spent(self, now_ns: int) -> None:
        """Forget chunks that newer ones have faded out entirely, for good."""
        kept: list[_Placed] = []
        rank, replaced = 0.0, 0.0
        for placed in self._placed:
            gone = replaced >= 1.0 and (self._decay == 0.0 or placed.chunk.end_ns < now_ns)
            if not gone and rank < KEEP:
                kept.append(placed)
            rank += placed.fade_in(now_ns)
            replaced = max(replaced, placed.fade_in(now_ns))
        self._placed = kept

    def _refusal(self, chunk: ActionChunk, now_ns: int) -> Refusal | None:
        newest = self.newest
        if chunk.epoch != self._epoch:
            text = f"chunk of epoch {chunk.epoch} while the current epoch is {self._epoch}"
            return Refusal(text, routine=True)
        if chunk.stamp_ns < self._epoch_stamp_ns:
            return Refusal(f"chunk was observed before the current epoch {self._epoch} began", routine=True)
        if chunk.joint_names != self._joint_names:
            return Refusal(
                f"chunk drives {len(chunk.joint_names)} joints ({', '.join(chunk.joint_names)}); "
                f"the robot profile has {len(self._joint_names)} ({', '.join(self._joint_names)}): "
                "use a bundle made for this robot"
            )
        if len(chunk.positions) == 0 or not np.all(np.isfinite(chunk.positions)):
            return Refusal(
                "chunk is empty or contains NaN or infinite positions; check System 1's bundle and inputs"
            )
        if newest is not None and chunk.stamp_ns <= newest.stamp_ns:
            return Refusal("chunk was observed no later than one that was accepted already")
        if chunk.end_ns < now_ns:
            return Refusal(
                f"all {len(chunk.positions)} actions of the chunk are past by "
                f"{(now_ns - chunk.end_ns) / NS_PER_S:.2f} s; System 1 is too slow for this horizon"
            )
        if chunk.stamp_ns > now_ns + seconds_to_ns(FUTURE_TOLERANCE_S):
            return Refusal(
                f"chunk is stamped {(chunk.stamp_ns - now_ns) / NS_PER_S:.2f} s in the future; "
                "synchronise the clocks, or set use_sim_time on every node"
            )
        return None
