"""The quality-of-service profiles of every topic. Subscribers ask for no more than drivers commonly offer."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _keep_last(depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability
    )


_VOLATILE = DurabilityPolicy.VOLATILE

CAMERA = _keep_last(5, ReliabilityPolicy.BEST_EFFORT, _VOLATILE)
"""Images: System 2 wants every frame; best effort matches every camera driver."""

RELIABLE_CAMERA = _keep_last(5, ReliabilityPolicy.RELIABLE, _VOLATILE)
"""Images over a lossy link: best effort loses each image of which one piece is lost."""

JOINT_STATES = _keep_last(5, ReliabilityPolicy.BEST_EFFORT, _VOLATILE)
"""Measured joints, from any driver."""

LATENTS = _keep_last(1, ReliabilityPolicy.RELIABLE, _VOLATILE)
"""Only the newest update of System 2 matters; up to several megabytes."""

DATA = _keep_last(5, ReliabilityPolicy.RELIABLE, _VOLATILE)
"""Action chunks, instructions and figures."""

SOURCE = _keep_last(20, ReliabilityPolicy.RELIABLE, _VOLATILE)
"""Images and joints where we publish them: what a recorder can take is not lost on the way to it."""

COMMAND = _keep_last(1, ReliabilityPolicy.RELIABLE, _VOLATILE)
"""Joint commands: an older one is never wanted."""

LATCHED = _keep_last(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
"""State that a late joiner must see: run state, known instructions, task success."""
