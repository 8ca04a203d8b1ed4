"""The two ways to execute chunks in lock-step."""

import numpy as np

from video2act_ros.core.types import ActionChunk
from video2act_ros.training.execution import OpenLoop


def chunk(stamp_ns, positions):
    return ActionChunk(stamp_ns, 0, 0, 0.02, ("elbow",), np.array(positions)[:, None])


def test_the_open_loop_sends_every_action_once_and_then_waits():
    """The released script's way: no action is skipped however late the chunk comes, the last one stays."""
    loop = OpenLoop(np.zeros(1))
    assert loop.wants_chunk
    assert loop.observed_ns is None
    loop.add(chunk(0, [0.1, 0.2]), 500_000_000)
    assert [float(loop.command(0)[0]) for _ in range(2)] == [0.1, 0.2]
    assert loop.wants_chunk
    assert float(loop.command(0)[0]) == 0.2
    assert loop.observed_ns == 0
