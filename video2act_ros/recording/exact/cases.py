"""What System 1 and System 2 computed from, put together again from a bag: every update and every chunk."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Union

from video2act_ros.core.types import (
    ActionChunk,
    CameraFrame,
    FloatArray,
    ImageArray,
    LatentPair,
    LatentStream,
    LatentTokens,
    Observation,
    seconds_to_ns,
)
from video2act_ros.recording.reading.streams import RobotBag

FrameKey = tuple[str, int]
"""Camera and capture stamp [ns]."""

NO_FRAMES = "frames not in the bag"
LOSSY = "images were compressed with loss by the recorder"
NO_LATENTS = "latents not in the bag"
NO_INPUTS = "the chunk does not tell its joints"

_WAIT_NS = seconds_to_ns(5.0)  # for a frame that the recorder received after what was computed from it
_PAIRS_KEPT = 32


@dataclass(frozen=True, slots=True)
class UpdateCase:
    """One System 2 update: what was recorded of both streams, and its window's (H, W, 3) images, oldest first."""

    latents: LatentPair
    frames: tuple[ImageArray, ...]


@dataclass(frozen=True, slots=True)
class ChunkCase:
    """One chunk as it was recorded, and what it was computed from."""

    chunk: ActionChunk
    observation: Observation
    previous: Observation | None
    latents: LatentPair


@dataclass(frozen=True, slots=True)
class SkippedCase:
    """An update or a chunk that cannot be computed from this bag, and why; `kind` is latents or chunks."""

    kind: str
    reason: str


Case = Union[UpdateCase, ChunkCase, SkippedCase]
_UpdateKey = tuple[int, int, int, str]


@dataclass(frozen=True, slots=True)
class Cameras:
    """Which cameras the recorded bundles looked at; None or no name where that is unknown: then it is skipped."""

    of_chunk: Callable[[ActionChunk], tuple[str, ...]]
    of_update: Callable[[LatentTokens], str]
    known: tuple[str, ...] = ()  # identities of the bundles that are here


class _Joiner:
    """Joins the two streams of each update, in whatever order the recorder received them."""

    def __init__(self) -> None:
        self._halves: OrderedDict[_UpdateKey, LatentTokens] = OrderedDict()

    def add(self, tokens: LatentTokens) -> LatentPair | None:
        key = _update_key(tokens)
        other = self._halves.pop(key, None)
        if other is None or other.stream is tokens.stream:
            self._halves[key] = tokens
            while len(self._halves) > _PAIRS_KEPT:
                self._halves.popitem(last=False)
            return None
        return LatentPair(*((tokens, other) if tokens.stream is LatentStream.SPATIAL else (other, tokens)))


class CaseReader:
    """Reads a bag twice: first which frames are needed, then those alone. Memory holds seconds, not the bag."""

    def __init__(self, source: RobotBag, cameras: Cameras, *, take_lossy: bool = False) -> None:
        """Prepare.

        Args:
            source: the bag.
            cameras: which ones the recorded bundles looked at.
            take_lossy: use images that the recorder compressed with loss, too; they are not what was seen.
        """
        self._source = source
        self._take_lossy = take_lossy
        self._cameras = cameras
        self._needed: Counter[FrameKey] = Counter()  # how often each frame will still be asked for
        self._frames: dict[FrameKey, ImageArray] = {}
        self._pairs: OrderedDict[_UpdateKey, LatentPair] = OrderedDict()
        self._waiting: deque[tuple[int, LatentPair | ActionChunk]] = deque()
        self.lossy: frozenset[str] = frozenset()  # cameras, once the cases are read

    def cases(self) -> Iterator[Case]:
        """Give every update and chunk, in the order in which they can be put together."""
        self._find_needed()
        joined = _Joiner()
        for item in self._source.computed(self._usable_cameras(), lambda *key: key in self._needed):
            if isinstance(item.value, CameraFrame):
                key = (item.value.camera, item.value.stamp_ns)
                self._frames.setdefault(key, item.value.image)
            elif isinstance(item.value, ActionChunk):
                self._waiting.append((item.time_ns, item.value))
            elif (pair := joined.add(item.value)) is not None:
                self._waiting.append((item.time_ns, pair))
            yield from self._settle(item.time_ns)
        yield from self._settle(None)

    def _find_needed(self) -> None:
        joined = _Joiner()
        for item in self._source.computed():
            if isinstance(item.value, ActionChunk):
                self._needed.update(self._chunk_keys(item.value))
            elif isinstance(item.value, LatentTokens) and (pair := joined.add(item.value)) is not None:
                self._needed.update(self._update_keys(pair))

    def _usable_cameras(self) -> list[str]:
        """Return the needed cameras that the bag holds as the systems saw them."""
        names = sorted({camera for camera, _ in self._needed})
        sources = {name: self._source.camera_source(name) for name in names if self._source.has_camera(name)}
        self.lossy = frozenset(name for name, source in sources.items() if not source.as_seen)
        return [name for name in sources if self._take_lossy or name not in self.lossy]

    def _chunk_keys(self, chunk: ActionChunk) -> list[FrameKey]:
        cameras = self._cameras.of_chunk(chunk)
        stamps = (chunk.image_stamps_ns, chunk.previous_image_stamps_ns)
        return [key for row in stamps for key in zip(cameras, row, strict=False)]

    def _update_keys(self, pair: LatentPair) -> list[FrameKey]:
        camera = self._cameras.of_update(pair.spatial)
        return [(camera, stamp_ns) for stamp_ns in pair.spatial.frame_stamps_ns] if camera else []

    def _settle(self, now_ns: int | None) -> Iterator[Case]:
        """Give what is complete, or has waited too long; None: nothing more will come."""
        while self._waiting:
            time_ns, wanted = self._waiting[0]
            late = now_ns is None or now_ns > time_ns + _WAIT_NS
            if isinstance(wanted, LatentPair):
                keys, case = self._update_keys(wanted), self._update_case(wanted)
            else:
                keys, case = self._chunk_keys(wanted), self._chunk_case(wanted)
            if isinstance(case, SkippedCase) and case.reason in (NO_FRAMES, NO_LATENTS) and not late:
                return
            self._waiting.popleft()
            self._release(keys)
            yield case

    def _release(self, keys: list[FrameKey]) -> None:
        for key in keys:
            self._needed[key] -= 1
            if not self._needed[key]:
                del self._needed[key]
                self._frames.pop(key, None)

    def _missing(self, keys: list[FrameKey]) -> str | None:
        """Return why not every frame is there, or None."""
        if not self._take_lossy and any(camera in self.lossy for camera, _ in keys):
            return LOSSY
        return NO_FRAMES if any(key not in self._frames for key in keys) else None

    def _update_case(self, pair: LatentPair) -> Case:
        tokens = pair.spatial
        self._pairs[_update_key(tokens)] = pair
        while len(self._pairs) > _PAIRS_KEPT:
            self._pairs.popitem(last=False)
        keys = self._update_keys(pair)
        if not keys:
            return SkippedCase("latents", missing_bundle(tokens.bundle_id, self._cameras.known))
        if (reason := self._missing(keys)) is not None:
            return SkippedCase("latents", reason)
        return UpdateCase(pair, tuple(self._frames[key] for key in keys))

    def _chunk_case(self, chunk: ActionChunk) -> Case:
        keys, cameras = self._chunk_keys(chunk), self._cameras.of_chunk(chunk)
        if not cameras:
            return SkippedCase("chunks", missing_bundle(chunk.bundle_id, self._cameras.known))
        if chunk.joints.size != len(chunk.joint_names) or len(chunk.image_stamps_ns) != len(cameras):
            return SkippedCase("chunks", NO_INPUTS)
        update = (chunk.latent_sequence, chunk.latent_stamp_ns, chunk.epoch, chunk.features_id)
        pair = self._pairs.get(update)
        if (
            reason := self._missing(keys) or (NO_LATENTS if pair is None else None)
        ) is not None or pair is None:
            return SkippedCase("chunks", reason or NO_LATENTS)
        previous = None
        if chunk.previous_image_stamps_ns:
            previous = self._observation(
                chunk,
                cameras,
                chunk.previous_image_stamps_ns,
                chunk.previous_joints,
                chunk.previous_joint_stamp_ns,
            )
        now = self._observation(chunk, cameras, chunk.image_stamps_ns, chunk.joints, chunk.joint_stamp_ns)
        return ChunkCase(chunk, now, previous, pair)

    def _observation(
        self,
        chunk: ActionChunk,
        cameras: tuple[str, ...],
        stamps_ns: tuple[int, ...],
        joints: FloatArray,
        joint_stamp_ns: int,
    ) -> Observation:
        stamps = dict(zip(cameras, stamps_ns, strict=True))
        images = {camera: self._frames[camera, stamp_ns] for camera, stamp_ns in stamps.items()}
        return Observation(max(stamps_ns), images, stamps, joints, joint_stamp_ns, chunk.instruction)


def missing_bundle(bundle_id: str, known: Iterable[str] = ()) -> str:
    """Return the reason for skipping what a bundle made that was not found among those known by their identities."""
    name = bundle_id.partition("@")[0]
    if others := sorted(other for other in known if name and other.partition("@")[0] == name):
        return (
            f"bundle {bundle_id} is here with another hash ({', '.join(others)}): it was changed after the recording; "
            "give the one that recorded"
        )
    return f"bundle {bundle_id or 'without a name'} was not found"


def _update_key(tokens: LatentTokens) -> _UpdateKey:
    return tokens.sequence, tokens.stamp_ns, tokens.epoch, tokens.features_id
