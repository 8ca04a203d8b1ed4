"""What was sent and what will be sent, in one table: the plan that real-time chunking continues."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from video2act_ros.control.timeline import Timeline
from video2act_ros.control.warp import TimeWarp
from video2act_ros.core.types import ActionChunk, seconds_to_ns

MEMORY_NS = seconds_to_ns(2.0)
PAST_NS = seconds_to_ns(0.5)  # a plan begins there: before the observation of any inference that still runs
GAP_NS = seconds_to_ns(0.1)  # longer without a command, and there is no motion to continue
WARP_TOLERANCE_NS = 1_000_000  # chunk time may differ by less over a plan's past


class PlanHistory:
    """The commands that were really sent in the last two seconds, and plans that continue them.

    Not thread-safe: the control loop guards it.
    """

    def __init__(self) -> None:
        self._sent: deque[tuple[int, NDArray[np.float64]]] = deque()  # oldest first
        self._sequence = 0

    def clear(self) -> None:
        """Forget what was sent, as after an engagement from a measured pose."""
        self._sent.clear()

    def record(self, stamp_ns: int, positions: NDArray[np.float64]) -> None:
        """Remember a command that was sent: positions (J,) in policy units, due at `stamp_ns`.

        After a backward step of the clock, or a gap, the memory begins anew.
        """
        if self._sent and not 0 < stamp_ns - self._sent[-1][0] <= GAP_NS:
            self._sent.clear()
        self._sent.append((stamp_ns, np.array(positions, dtype=np.float64)))
        while self._sent[0][0] < stamp_ns - MEMORY_NS:
            self._sent.popleft()

    def plan(
        self, now_ns: int, timeline: Timeline, step_s: float, warp: TimeWarp | None = None
    ) -> ActionChunk | None:
        """Return rows every `step_s` from half a second ago to the end of the timeline.

        The leading `committed` rows were sent (interpolated between commands), the others are what the
        timeline will give. None where nothing was sent lately, the timeline is used up, or the motion is
        slowed: a chunk knows nothing of slow motion.

        Args:
            now_ns: the present time, real.
            timeline: where the chunks are; in chunk time where there is a warp.
            step_s: time between rows.
            warp: the slow motion of the timeline.
        """
        newest, step_ns = timeline.newest, seconds_to_ns(step_s)
        if newest is None or not self._sent or now_ns - self._sent[-1][0] > GAP_NS:
            return None
        lag_ns = self._lag_ns(now_ns, warp)
        if lag_ns is None:
            return None
        stamp_ns = max(self._sent[0][0], self._sent[-1][0] - PAST_NS)
        committed = (self._sent[-1][0] - stamp_ns) // step_ns + 1
        rows = self._past(stamp_ns, committed, step_ns)
        while (state := timeline.sample(stamp_ns + len(rows) * step_ns - lag_ns)) is not None:
            rows.append(state.positions)
        if len(rows) == committed:
            return None
        self._sequence += 1
        positions = np.array(rows)
        return ActionChunk(
            stamp_ns=stamp_ns,
            sequence=self._sequence,
            epoch=newest.epoch,
            step_s=step_s,
            joint_names=newest.joint_names,
            positions=positions,
            instruction=newest.instruction,
            bundle_id=newest.bundle_id,
            features_id=newest.features_id,
            committed=committed,
            prefix=positions[:committed],
        )

    def _past(self, stamp_ns: int, count: int, step_ns: int) -> list[NDArray[np.float64]]:
        """Return `count` rows (J,) of what was sent, linear between two commands."""
        offsets = np.array([sent_ns - stamp_ns for sent_ns, _ in self._sent], dtype=np.float64)
        sent = np.stack([positions for _, positions in self._sent])  # (n, J)
        due = np.arange(count, dtype=np.float64) * step_ns
        table = np.stack([np.interp(due, offsets, joint) for joint in sent.T], axis=1)  # (count, J)
        return list(table)

    @staticmethod
    def _lag_ns(now_ns: int, warp: TimeWarp | None) -> int | None:
        """Return how far chunk time lies behind; None while that changes."""
        if warp is None:
            return 0
        lag_ns = now_ns - warp.virtual_ns(now_ns)
        before_ns = now_ns - PAST_NS - warp.virtual_ns(now_ns - PAST_NS)
        steady = abs(lag_ns - before_ns) < WARP_TOLERANCE_NS and 1.0 - warp.scale < 1e-3
        return lag_ns if steady else None
