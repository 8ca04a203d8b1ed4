"""Writes an import that was planned: shards, self-tests and manifests, one system after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from video2act_ros.bundles.checkpoint_files import StoredTensors
from video2act_ros.bundles.infer_encoder import empty_encoder, load_mapped
from video2act_ros.bundles.instructions import Instruction, check_language, check_video_text
from video2act_ros.bundles.manifest import (
    INSTRUCTIONS_FILE,
    Manifest,
    System1Section,
    System2Section,
    features_id,
    file_sha256,
    write_manifest,
)
from video2act_ros.bundles.shards import Progress, parameters_on_meta, read_shards, write_shards
from video2act_ros.bundles.write import (
    SELF_TEST1_FILE,
    SELF_TEST2_FILE,
    hash_files,
    record_encoder,
    record_policy,
    write_instructions,
)
from video2act_ros.core.types import ImageArray, Observation
from video2act_ros.core.whole_files import whole_folder
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.policy import Policy
from video2act_ros.system2.config import VideoEncoderConfig
from video2act_ros.system2.video_vae import WanVae

CAMERA_WIDTH, CAMERA_HEIGHT = 640, 480  # of the self-test's pictures
_BLOCK = 40  # edge of the coloured squares in them [px]
_MOTION_PX = 3  # how far they move per frame
_TEST_TOKENS = 16  # of the stand-in for an instruction


@dataclass(frozen=True, slots=True)
class PlannedPolicy:
    """System 1 before writing. `features_id` is None when System 2 is written along and decides it."""

    config: PolicyConfig
    tensors: StoredTensors
    joint_names: tuple[str, ...]
    features_id: str | None


@dataclass(frozen=True, slots=True)
class PlannedEncoder:
    """System 2 before writing."""

    config: VideoEncoderConfig
    tensors: StoredTensors


@dataclass(frozen=True, slots=True)
class Imported:
    """The bundles that were written."""

    system1: Path | None
    system2: Path | None
    features_id: str


@dataclass(frozen=True, slots=True)
class ImportTarget:
    """Where an import goes and what its bundles have in common."""

    folder: Path
    instructions: Sequence[Instruction]
    made_with: tuple[str, ...]
    shard_bytes: int
    progress: Progress

    def manifest(
        self, system: str, system1: System1Section | None = None, system2: System2Section | None = None
    ) -> Manifest:
        """Return the manifest of one of the bundles, whose files are yet to be hashed."""
        return Manifest(
            schema_version=1,
            name=f"{self.folder.name}-{system}",
            description="imported from released checkpoints",
            made_with=self.made_with,
            instructions=tuple(item.text for item in self.instructions),
            files={},
            system1=system1,
            system2=system2,
        )


def write_import(
    target: ImportTarget, policy: PlannedPolicy | None, encoder: PlannedEncoder | None
) -> Imported:
    """Write the bundles beside the folder and move them there together; see `ImportPlan.write`."""
    folder = target.folder
    identity = policy.features_id if policy is not None else None
    with whole_folder(folder) as partial:
        if encoder is not None:
            (partial / "system2").mkdir()
            identity = _write_encoder(partial / "system2", target, encoder)
        assert identity is not None
        if policy is not None:
            (partial / "system1").mkdir()
            _write_policy(partial / "system1", target, policy, identity)
    return Imported(
        None if policy is None else folder / "system1",
        None if encoder is None else folder / "system2",
        identity,
    )


def _write_encoder(folder: Path, target: ImportTarget, planned: PlannedEncoder) -> str:
    """Write the System 2 bundle; return the identity of its features."""
    config = planned.config
    names = write_shards(folder, "system2", planned.tensors, target.shard_bytes, target.progress)
    identity = features_id(config, [file_sha256(folder / file) for file in names])
    section = System2Section(encoder=config, weights=names, features_id=identity, self_test=SELF_TEST2_FILE)
    manifest = target.manifest("system2", system2=section)
    embeddings = [item.video_text for item in target.instructions if item.video_text is not None]
    for embedding in embeddings:
        check_video_text(manifest, embedding)
    write_instructions(folder / INSTRUCTIONS_FILE, [], embeddings)
    target.progress("recording System 2's self-test", 0)
    text = embeddings[0] if embeddings else _random(1, min(_TEST_TOKENS, config.text.length), config.text.dim)
    _record_encoder(folder, config, names, text.float().numpy())
    write_manifest(folder, manifest.model_copy(update={"files": hash_files(folder)}))
    return identity


def _record_encoder(
    folder: Path, config: VideoEncoderConfig, names: tuple[str, ...], text: NDArray[np.float32]
) -> None:
    encoder = empty_encoder(config)
    weights = read_shards(folder, names)
    load_mapped(encoder.model.transformer, weights, "transformer.")
    load_mapped(encoder.vae.model if isinstance(encoder.vae, WanVae) else encoder.vae, weights, "vae.")
    record_encoder(folder, encoder, moving_squares(config.window_frames), text)


def _write_policy(folder: Path, target: ImportTarget, planned: PlannedPolicy, identity: str) -> None:
    config = planned.config
    names = write_shards(folder, "system1", planned.tensors, target.shard_bytes, target.progress)
    section = System1Section(
        policy=config,
        weights=names,
        joint_names=planned.joint_names,
        features_id=identity,
        self_test=SELF_TEST1_FILE,
    )
    manifest = target.manifest("system1", system1=section)
    embeddings = [item.language for item in target.instructions if item.language is not None]
    for embedding in embeddings:
        check_language(manifest, embedding)
    write_instructions(folder / INSTRUCTIONS_FILE, embeddings, [])
    target.progress("recording System 1's self-test", 0)
    language = (
        embeddings[0] if embeddings else _random(2, min(_TEST_TOKENS, config.max_lang), config.lang_dim)
    )
    _record_policy(folder, config, names, language)
    write_manifest(folder, manifest.model_copy(update={"files": hash_files(folder)}))


def _record_policy(folder: Path, config: PolicyConfig, names: tuple[str, ...], language: Tensor) -> None:
    with parameters_on_meta():
        policy = Policy(config).eval()
    load_mapped(policy, read_shards(folder, names), "")
    pictures = moving_squares(len(config.images.cameras))
    images = dict(zip(config.images.cameras, pictures, strict=True))
    joints = np.linspace(0.1, 0.9, config.joints)
    observation = Observation(0, images, dict.fromkeys(images, 0), joints, 0, "self-test")
    video = config.video
    spatial = _random(3, video.spatial_tokens, video.feature_dim).numpy()
    motion = _random(4, max(video.motion_tokens, 1), video.feature_dim).numpy()
    record_policy(folder, policy, observation, spatial, motion, language)


def _random(seed: int, rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def moving_squares(count: int) -> ImageArray:
    """Return `count` pictures (count, H, W, 3) uint8 RGB of coloured squares that move, always the same."""
    random = np.random.default_rng(0)
    squares = random.integers(0, 256, (CAMERA_HEIGHT // _BLOCK, CAMERA_WIDTH // _BLOCK, 3), dtype=np.uint8)
    scene = squares.repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)
    return np.stack([np.roll(scene, (index, _MOTION_PX * index), axis=(0, 1)) for index in range(count)])
