"""Computes a bag's observations with several bundles, for a comparison with each other and with what happened."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from video2act_ros.bundles.load import LoadedEncoder, LoadedPolicy
from video2act_ros.bundles.manifest import check_robot
from video2act_ros.core.errors import BagError, BundleError
from video2act_ros.core.images import resize_image
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import (
    NS_PER_S,
    ActionChunk,
    JointSample,
    LatentPair,
    LatentStream,
    LatentTokens,
    Observation,
)
from video2act_ros.recording.compare.comparison import Comparison, Run, mean_cosine
from video2act_ros.recording.exact.cases import Cameras, CaseReader, ChunkCase, SkippedCase, UpdateCase
from video2act_ros.recording.exact.recompute import (
    Bundles,
    find_bundles,
    recompute_chunk,
    recompute_update,
    set_threads,
)
from video2act_ros.recording.reading.bag import FORGIVING, Reading, open_bag
from video2act_ros.recording.reading.clock import check_clock
from video2act_ros.recording.reading.parameters import recorded_compute
from video2act_ros.recording.reading.streams import RobotBag, Timed

_THUMB_WIDTH, _THUMB_QUALITY = 192, 80
_PAIRS_KEPT = 32


@dataclass(slots=True)
class _Contender:
    """One bundle at work: its models, its latents of recent updates, and what it made."""

    run: Run
    policy: LoadedPolicy
    encoder: LoadedEncoder | None
    pairs: dict[tuple[int, int], LatentPair] = field(default_factory=dict)

    def update(self, case: UpdateCase) -> None:
        """Compute an update, where the bundle holds System 2."""
        recorded = case.latents
        if self.encoder is None:
            return
        frames = _window(self.encoder, case)
        start_s = time.monotonic()
        tokens, _ = recompute_update(self.encoder, frames, recorded.spatial.instruction)
        self.run.update_s.append(time.monotonic() - start_s)
        spatial, motion = (
            _with_tokens(tokens[stream], self.encoder, source)
            for stream, source in (
                (LatentStream.SPATIAL, recorded.spatial),
                (LatentStream.MOTION, recorded.motion),
            )
        )
        self.pairs[recorded.sequence, recorded.stamp_ns] = LatentPair(spatial, motion)
        if len(self.pairs) > _PAIRS_KEPT:
            self.pairs.pop(next(iter(self.pairs)))
        for name, mine, source in (
            ("spatial", spatial, recorded.spatial),
            ("motion", motion, recorded.motion),
        ):
            self.run.similarity[name].append(mean_cosine(mine.tokens, source.tokens))

    def chunk(self, case: ChunkCase, latents: LatentPair) -> None:
        """Compute a chunk from these latents."""
        own = ChunkCase(case.chunk, case.observation, case.previous, latents)
        start_s = time.monotonic()
        positions, _ = recompute_chunk(self.policy, own)
        self.run.chunk_s.append(time.monotonic() - start_s)
        self.run.chunks.append(positions)
        self.run.step_s = self.policy.section.policy.action_step_s
        policy = self.policy.policy
        images = torch.from_numpy(policy.image_array(case.observation, case.previous))[None]
        with torch.inference_mode():
            self.run.vision.append(policy.image_tokens(images.to(policy.device))[0].float().cpu().numpy())

    def latents_for(self, recorded: LatentPair) -> LatentPair | None:
        """Return the recorded latents where they are the features that the policy was trained on, else its own."""
        if recorded.spatial.features_id == self.policy.section.features_id:
            return recorded
        return self.pairs.get((recorded.sequence, recorded.stamp_ns))


def compare(
    bag_path: Path,
    profile: RobotProfile,
    bundles: list[Path],
    bundle_roots: tuple[Path, ...],
    namespace: str | None = None,
    partial: bool = False,
    reading: Reading = FORGIVING,
) -> Comparison:
    """Compute every chunk and update of a bag with each of the bundles.

    Args:
        bag_path: the bag.
        profile: the recorded robot's.
        bundles: folders of those to compare.
        bundle_roots: where the bundle that made the bag is looked for; it tells the cameras of a chunk.
        namespace: of the recorded stack; None finds it.
        partial: take a bag whose clock jumped nevertheless.
        reading: how to read the bag.

    Raises:
        BagError: the bag cannot be read, or nothing in it could be computed.
        BundleError: a bundle does not fit the robot or the bag.
    """
    with open_bag(bag_path, reading) as bag:
        source = RobotBag(bag, profile, namespace)
        source.require("action_chunk", *(f"latents/{stream.value}" for stream in LatentStream))
        check_clock(source, partial)
        found = Bundles(find_bundles(bundle_roots, bundles), recorded_compute(source, None))
        contenders = [_contender(found, folder, profile, bundles) for folder in bundles]
        result = Comparison(
            bag_path,
            profile.name,
            (bag.end_ns - bag.start_ns) / NS_PER_S,
            profile.joint_names,
            Run("recorded", ""),
            tuple(contender.run for contender in contenders),
            measured=_values(source.joint_samples()),
            commanded=_values(source.commands()),
            epochs_ns=sorted({item.value.context.epoch_stamp_ns for item in source.run_states()}),
        )
        _compute(source, found, contenders, result)
        result.unusable = bag.skipped.told(bag.start_ns)
    if not result.times_s:
        reasons = (
            "; ".join(f"{count}: {reason}" for reason, count in result.skipped.items())
            or "it holds no chunks"
        )
        raise BagError(f"nothing in bag {bag_path} could be compared ({reasons})")
    return result


def _compute(source: RobotBag, found: Bundles, contenders: list[_Contender], result: Comparison) -> None:
    """Give every case to every contender."""
    result.start_ns = next(source.chunks()).value.stamp_ns if source.holds("action_chunk") else 0
    threads = found.compute
    reader = CaseReader(source, _cameras(found, contenders), take_lossy=True)
    for case in reader.cases():
        if isinstance(case, SkippedCase):
            result.skipped[f"{case.kind}: {case.reason}"] += 1
        elif isinstance(case, UpdateCase):
            set_threads(threads.system2_threads)
            for contender in contenders:
                contender.update(case)
            result.update_times_s.append((case.latents.stamp_ns - result.start_ns) / NS_PER_S)
            result.recorded.update_s.append(case.latents.spatial.compute_time_s)
        else:
            set_threads(threads.system1_threads)
            _compute_chunk(case, contenders, result)
    result.lossy = tuple(sorted(reader.lossy))


def _compute_chunk(case: ChunkCase, contenders: list[_Contender], result: Comparison) -> None:
    latents = [contender.latents_for(case.latents) for contender in contenders]
    usable = [pair for pair in latents if pair is not None]
    if len(usable) < len(contenders):
        result.skipped["chunks: a bundle has no latents of its own features"] += 1
        return
    for contender, pair in zip(contenders, usable, strict=True):
        contender.chunk(case, pair)
    chunk, recorded = case.chunk, result.recorded
    recorded.bundle_id, recorded.step_s = chunk.bundle_id, chunk.step_s
    recorded.chunks.append(np.asarray(chunk.positions, dtype=np.float64))
    recorded.chunk_s.append(chunk.compute_time_s)
    result.times_s.append((chunk.stamp_ns - result.start_ns) / NS_PER_S)
    result.thumbs.append(_thumbs(case.observation))


def _contender(found: Bundles, folder: Path, profile: RobotProfile, folders: list[Path]) -> _Contender:
    identity = next(name for name, path in find_bundles((), [folder]).items() if path == folder)
    found.folders[identity] = folder
    manifest = found.manifest(identity)
    if manifest is None or manifest.system1 is None:
        raise BundleError(f"bundle {folder} holds no System 1; give bundles that have one")
    check_robot(manifest, profile)
    label = folder.name if [path.name for path in folders].count(folder.name) == 1 else str(folder)
    encoder = None if manifest.system2 is None else found.encoder(identity)
    return _Contender(Run(label, identity), found.policy(identity), encoder)


def _cameras(found: Bundles, contenders: list[_Contender]) -> Cameras:
    """Return the cameras that made each record: the recorded bundle's, or the contenders' where it was not found."""
    layouts = [contender.policy.section.policy.images.cameras for contender in contenders]
    encoders = [item.encoder.section.encoder.camera for item in contenders if item.encoder is not None]

    def of_chunk(chunk: ActionChunk) -> tuple[str, ...]:
        manifest = found.manifest(chunk.bundle_id)
        if manifest is not None and manifest.system1 is not None:
            return manifest.system1.policy.images.cameras
        return next((layout for layout in layouts if len(layout) == len(chunk.image_stamps_ns)), ())

    def of_update(tokens: LatentTokens) -> str:
        manifest = found.manifest(tokens.bundle_id)
        if manifest is not None and manifest.system2 is not None:
            return manifest.system2.encoder.camera
        return encoders[0] if encoders else ""

    return Cameras(of_chunk, of_update, tuple(found.folders))


def _window(encoder: LoadedEncoder, case: UpdateCase) -> tuple[NDArray[np.uint8], ...]:
    """Return the newest frames of the recorded window, as many as the bundle looks at."""
    wanted, held = encoder.section.encoder.window_frames, len(case.frames)
    if wanted > held:
        raise BundleError(
            f"bundle {encoder.bundle_id} looks at {wanted} frames, the recorded updates name {held}; "
            "compare bundles whose windows are not longer than the recorded one's"
        )
    return case.frames[held - wanted :]


def _with_tokens(tokens: NDArray[np.float32], encoder: LoadedEncoder, source: LatentTokens) -> LatentTokens:
    return LatentTokens(
        source.stream,
        source.stamp_ns,
        source.sequence,
        source.epoch,
        tokens,
        encoder.section.features_id,
        encoder.bundle_id,
        source.frame_stamps_ns,
        source.instruction,
    )


def _values(items: Iterable[Timed[JointSample]]) -> list[JointSample]:
    return [item.value for item in items]


def _thumbs(observation: Observation) -> dict[str, bytes]:
    """Return each camera's image as a small JPEG."""
    thumbs = {}
    for camera, image in observation.images.items():
        height = max(1, round(image.shape[0] * _THUMB_WIDTH / image.shape[1]))
        small = resize_image(image, _THUMB_WIDTH, height)
        _, encoded = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _THUMB_QUALITY])
        thumbs[camera] = encoded.tobytes()
    return thumbs
