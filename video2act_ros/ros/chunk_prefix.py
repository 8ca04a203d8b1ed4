"""Real-time chunking of System 1: the command node's plans in, the prefix of the next chunk out."""

from __future__ import annotations

import numpy as np

from video2act_msgs.msg import ActionChunk as ActionChunkMessage
from video2act_ros.core.types import ActionChunk
from video2act_ros.ros import qos
from video2act_ros.ros.convert_policy import chunk_from_message
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.system1.realtime_chunking import DelayForecast, NoPrefix, Prefix, make_prefix


class ChunkPrefix:
    """Keeps the newest plan and the measured delays; does nothing where `enabled` is false.

    Make it in the node's `start`. The executor's thread takes plans, the worker's alone uses the rest.
    """

    def __init__(self, node: ManagedNode, enabled: bool) -> None:
        self._health = node.health
        self._enabled = enabled
        self._plan: ActionChunk | None = None  # replaced as a whole
        self._forecast = DelayForecast()
        if enabled:
            node.subscribe(ActionChunkMessage, "planned_actions", self._on_plan, qos.DATA)

    def _on_plan(self, message: ActionChunkMessage) -> None:
        self._plan = chunk_from_message(message)

    def next(
        self,
        stamp_ns: int,
        epoch: int,
        joint_names: tuple[str, ...],
        horizon: int,
        step_s: float,
        now_ns: int,
    ) -> Prefix | None:
        """Return what leads the chunk of an observation at `stamp_ns`, or None: then it begins freely.

        `/diagnostics` tells how many actions are frozen, or why none is.
        """
        if not self._enabled:
            return None
        coming = ActionChunk(stamp_ns, 0, epoch, step_s, joint_names, np.zeros((horizon, len(joint_names))))
        prefix = make_prefix(self._plan, coming, now_ns, self._forecast.delay_s)
        if isinstance(prefix, NoPrefix):
            self._health.value("frozen_actions", 0)
            self._health.value("chunk_begins_freely", prefix.reason)
            return None
        self._health.value("frozen_actions", prefix.frozen)
        self._health.value("chunk_begins_freely", "no")
        return prefix

    def published(self, delay_s: float, epoch: int, bundle_id: str) -> None:
        """Take how long the newest chunk took from the start of its inference until it was published."""
        self._forecast.add(delay_s, epoch, bundle_id)
