"""Both streams of one System 2 update belong together."""

import numpy as np

from video2act_ros.core.latent_pairs import LatentPairs
from video2act_ros.core.types import LatentStream, LatentTokens


def tokens(stream: LatentStream, sequence: int, epoch: int = 1) -> LatentTokens:
    return LatentTokens(
        stream=stream,
        stamp_ns=1000 * sequence,
        sequence=sequence,
        epoch=epoch,
        tokens=np.zeros((2, 3), np.float32),
        features_id="f",
        bundle_id="b",
        frame_stamps_ns=(1000 * sequence,),
        instruction="lift",
    )


def test_streams_of_different_updates_never_mix():
    """One update shares stamp and sequence on both topics."""
    pairs = LatentPairs()
    assert pairs.add(tokens(LatentStream.SPATIAL, 1)) is None
    assert pairs.add(tokens(LatentStream.MOTION, 2)) is None
    assert pairs.add(tokens(LatentStream.SPATIAL, 2)) is not None
    assert pairs.add(tokens(LatentStream.MOTION, 2, epoch=2)) is None
    assert pairs.newest is not None
    assert pairs.newest.sequence == 2
    assert pairs.newest.motion.epoch == 1


def test_a_restarted_system_2_is_followed():
    """A sequence that starts again from zero is newer, not older."""
    pairs = LatentPairs()
    for sequence in (7, 0):
        for stream in LatentStream:
            pairs.add(tokens(stream, sequence))
    assert pairs.newest is not None
    assert pairs.newest.sequence == 0
    pairs.clear()
    assert pairs.newest is None
