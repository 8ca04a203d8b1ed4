"""Which chunks cannot be executed, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.types import NS_PER_S, ActionChunk, seconds_to_ns

Vector = NDArray[np.float64]

FUTURE_TOLERANCE_S = 0.05  # clocks of two machines synchronised by NTP agree better than this
RANGE_TOLERANCE = 0.2  # policy units beyond a position limit; a policy errs by less, the limiter clips that


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a chunk was not taken, in words; `routine` where that happens whenever an epoch begins."""

    text: str
    routine: bool = False


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
