"""Joins the two latent streams, which travel as separate messages."""

from __future__ import annotations

from video2act_ros.core.types import LatentPair, LatentStream, LatentTokens


class LatentPairs:
    """Gives the newest update of which both streams have arrived. One thread at a time.

    The one that arrived last is the newest: a restarted System 2 counts anew from zero.
    """

    def __init__(self) -> None:
        self._streams: dict[LatentStream, LatentTokens] = {}
        self._newest: LatentPair | None = None

    @property
    def newest(self) -> LatentPair | None:
        """The newest complete update; the same object until there is a newer one."""
        return self._newest

    def add(self, tokens: LatentTokens) -> LatentPair | None:
        """Take one stream; return the pair that it completes."""
        self._streams[tokens.stream] = tokens
        spatial, motion = (
            self._streams.get(stream) for stream in (LatentStream.SPATIAL, LatentStream.MOTION)
        )
        if spatial is None or motion is None or _update(spatial) != _update(motion):
            return None
        self._newest = LatentPair(spatial, motion)
        return self._newest

    def clear(self) -> None:
        """Forget everything."""
        self._streams.clear()
        self._newest = None


def _update(tokens: LatentTokens) -> tuple[object, ...]:
    """Return what both streams of one update have in common."""
    made_by = (tokens.sequence, tokens.features_id, tokens.bundle_id)
    made_of = (tokens.stamp_ns, tokens.frame_stamps_ns, tokens.epoch, tokens.instruction)
    return *made_by, *made_of
