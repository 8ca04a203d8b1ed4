"""Which chunks cannot be executed, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video2act_ros.control.chunk_plausibility import ChunkPlausibility
from video2act_ros.core.other_clock import FUTURE_TOLERANCE_S, is_other_clock, other_clock_words
from video2act_ros.core.types import NS_PER_S, ActionChunk, seconds_to_ns

Vector = NDArray[np.float64]

RANGE_TOLERANCE = 0.2  # policy units beyond a position limit; a policy errs by less, the limiter clips that


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a chunk was not taken, in words; `routine` where that happens whenever an epoch begins."""

    text: str
    routine: bool = False


class ChunkGate:
    """Decides which chunks may be executed at all, by real time. Not thread-safe."""

    def __init__(
        self,
        joint_names: tuple[str, ...],
        position_limits: tuple[Vector, Vector] | None = None,
        epoch: int = 0,
        plausible: ChunkPlausibility | None = None,
    ) -> None:
        """Make a gate through which no chunk has gone.

        Args:
            joint_names: what every chunk must drive, in this order.
            position_limits: least and largest positions (J,) in policy units; chunks far outside are refused.
            epoch: the first epoch.
            plausible: what the robot profile says of a chunk's content; None: nothing.
        """
        self._plausible = plausible
        self._joint_names = joint_names
        self._limits = position_limits
        self._epoch = epoch
        self._epoch_stamp_ns = self._episode_ns = 0
        self._newest_ns: int | None = None

    @property
    def epoch(self) -> int:
        """The only epoch whose chunks are accepted."""
        return self._epoch

    def raise_epoch(self, epoch: int, stamp_ns: int, episode_ns: int = 0) -> None:
        """Accept only chunks of `epoch` that were observed at `stamp_ns` or later.

        Every image and joint sample that a chunk names counts as observed; latents, where it names them, must be of
        `episode_ns`, the episode's begin, or later.
        """
        self._epoch, self._epoch_stamp_ns, self._newest_ns = epoch, stamp_ns, None
        self._episode_ns = episode_ns

    def admit(self, chunk: ActionChunk, now_ns: int) -> Refusal | None:
        """Let a chunk through at `now_ns`; return None, or why it is refused."""
        if chunk.epoch != self._epoch:
            text = f"chunk of epoch {chunk.epoch} while the current epoch is {self._epoch}"
            return Refusal(text, routine=True)
        if chunk.oldest_seen_ns < self._epoch_stamp_ns:
            return Refusal(f"chunk was observed before the current epoch {self._epoch} began", routine=True)
        if 0 < chunk.latent_stamp_ns < self._episode_ns:
            return Refusal("chunk was made of latents from before the present episode", routine=True)
        problem = self._wrong_content(chunk)
        if problem is None and self._newest_ns is not None and chunk.stamp_ns <= self._newest_ns:
            problem = "chunk was observed no later than one that was accepted already"
        problem = problem or wrong_time(chunk, now_ns)
        if problem is not None:
            return Refusal(problem)
        self._newest_ns = chunk.stamp_ns
        return None

    def _wrong_content(self, chunk: ActionChunk) -> str | None:
        plausible = self._plausible
        if plausible is not None and (step := plausible.wrong_step(chunk)) is not None:
            return step
        problem = wrong_content(chunk, self._joint_names, self._limits)
        if (
            plausible is None
            or chunk.joint_names != self._joint_names
            or not np.isfinite(chunk.positions).all()
        ):
            return problem
        return plausible.leap(chunk) if problem is None else problem + plausible.unit_words(chunk)


def wrong_content(
    chunk: ActionChunk, joint_names: tuple[str, ...], limits: tuple[Vector, Vector] | None
) -> str | None:
    """Return what is wrong with the chunk's joints or positions; None when nothing is.

    Args:
        chunk: what System 1 made.
        joint_names: the robot's joints in their order.
        limits: least and largest positions (J,) in policy units.
    """
    if chunk.joint_names != joint_names:
        return (
            f"chunk drives {len(chunk.joint_names)} joints ({', '.join(chunk.joint_names)}); "
            f"the robot profile has {len(joint_names)} ({', '.join(joint_names)}): "
            "use a bundle made for this robot"
        )
    if len(chunk.positions) == 0 or not np.all(np.isfinite(chunk.positions)):
        return "chunk is empty or contains NaN or infinite positions; check System 1's bundle and inputs"
    if limits is None:
        return None
    low, high = limits
    beyond = np.maximum(chunk.positions - high, low - chunk.positions).max(axis=0)  # (J,)
    worst = int(np.argmax(beyond))
    if beyond[worst] <= RANGE_TOLERANCE:
        return None
    return (
        f"chunk moves {joint_names[worst]} {beyond[worst]:.2f} beyond its position limits "
        f"({low[worst]:.2f} to {high[worst]:.2f}); check System 1's bundle and the robot profile"
    )


def wrong_time(chunk: ActionChunk, now_ns: int) -> str | None:
    """Return why the chunk is not due at `now_ns`; None when it is."""
    age_s = (now_ns - chunk.stamp_ns) / NS_PER_S
    if is_other_clock(age_s):
        return f"chunk is {other_clock_words(age_s, 'System 1')}"
    if chunk.end_ns < now_ns:
        return (
            f"all {len(chunk.positions)} actions of the chunk are past by "
            f"{(now_ns - chunk.end_ns) / NS_PER_S:.2f} s; System 1 is too slow for this horizon"
        )
    if chunk.stamp_ns > now_ns + seconds_to_ns(FUTURE_TOLERANCE_S):
        return (
            f"chunk is stamped {(chunk.stamp_ns - now_ns) / NS_PER_S:.2f} s in the future; "
            "synchronise the clocks, or set use_sim_time on every node"
        )
    return None
