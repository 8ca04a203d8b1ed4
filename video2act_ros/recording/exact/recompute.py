"""Computes recorded updates and chunks again, with the bundles that made them or with others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from video2act_ros.bundles.load import LoadedEncoder, LoadedPolicy, load_encoder, load_policy
from video2act_ros.bundles.make_chunk import ChunkBasis
from video2act_ros.bundles.manifest import MANIFEST_FILE, Manifest, bundle_id, read_manifest
from video2act_ros.core.errors import BundleError
from video2act_ros.core.stages import FRAMES, Stages
from video2act_ros.core.types import ActionChunk, ImageArray, LatentStream
from video2act_ros.recording.exact.cases import ChunkCase
from video2act_ros.recording.reading.decode import restore_latents, store_latents
from video2act_ros.system1.onnx_session import OnnxOptions
from video2act_ros.system1.realtime_chunking import Prefix, soft_weights


@dataclass(frozen=True, slots=True)
class Compute:
    """How the systems compute: CPU threads of each, System 1's backend and its onnxruntime providers."""

    system1_threads: int = 1
    system2_threads: int = 1
    backend: str = "torch"
    onnx_providers: str = "CPU"
    device: str = "cpu"


@dataclass(slots=True)
class Bundles:
    """Finds bundles by the identity that messages carry, and loads each one once."""

    folders: dict[str, Path]
    compute: Compute = field(default_factory=Compute)
    _policies: dict[str, LoadedPolicy] = field(default_factory=dict)
    _encoders: dict[str, LoadedEncoder] = field(default_factory=dict)
    _manifests: dict[str, Manifest] = field(default_factory=dict)

    def manifest(self, identity: str) -> Manifest | None:
        """Return a bundle's manifest; None where the bundle was not found."""
        if identity in self.folders and identity not in self._manifests:
            self._manifests[identity] = read_manifest(self.folders[identity])
        return self._manifests.get(identity)

    def policy(self, identity: str) -> LoadedPolicy:
        """Return System 1 of a bundle that was found, tested."""
        if identity not in self._policies:
            compute = self.compute
            torch_only = compute.backend == "torch"
            onnx = None if torch_only else OnnxOptions.parse(compute.onnx_providers, compute.system1_threads)
            set_threads(compute.system1_threads)
            self._policies[identity] = load_policy(self.folders[identity], compute.device, onnx)
        return self._policies[identity]

    def encoder(self, identity: str) -> LoadedEncoder:
        """Return System 2 of a bundle that was found, tested."""
        if identity not in self._encoders:
            set_threads(self.compute.system2_threads)
            self._encoders[identity] = load_encoder(self.folders[identity], self.compute.device)
        return self._encoders[identity]


def find_bundles(roots: Iterable[Path], given: Iterable[Path] = ()) -> dict[str, Path]:
    """Return the folder of each bundle by its identity: all in the folders `roots`, and the `given` ones.

    Raises:
        BundleError: a given folder is no bundle.
    """
    found: dict[str, Path] = {}
    for root in roots:
        for path in sorted(root.glob(f"*/{MANIFEST_FILE}")):
            try:
                found[bundle_id(path.parent, read_manifest(path.parent))] = path.parent
            except BundleError:  # another one may be the one that is needed
                continue
    return found | {bundle_id(folder, read_manifest(folder)): folder for folder in given}


def set_threads(threads: int) -> None:
    """Let torch compute with so many CPU threads; 0 leaves its own choice, as in the nodes."""
    if threads and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def recompute_chunk(loaded: LoadedPolicy, case: ChunkCase) -> tuple[NDArray[np.float64], Stages]:
    """Return the chunk (H, J) that this policy makes of the recorded inputs, and its intermediate results.

    Raises:
        BundleError: the bundle does not know the recorded instruction.
    """
    chunk, stages = case.chunk, Stages()
    if chunk.instruction not in loaded.instructions:
        raise BundleError(
            f"bundle {loaded.bundle_id} does not know the recorded instruction '{chunk.instruction}', only: "
            f"{'; '.join(loaded.instructions)}"
        )
    basis = ChunkBasis(case.observation, case.latents, case.previous, recorded_prefix(chunk), chunk.seed)
    return basis.positions(loaded, stages), stages


def recorded_prefix(chunk: ActionChunk) -> Prefix | None:
    """Return what the chunk's leading actions were drawn to; None where it began freely."""
    rows = len(chunk.guidance)
    if not rows:
        return None
    guidance = np.asarray(chunk.guidance, dtype=np.float64)
    return Prefix(guidance, soft_weights(chunk.committed, rows), chunk.committed)


def recompute_update(
    loaded: LoadedEncoder, frames: Iterable[ImageArray], instruction: str
) -> tuple[dict[LatentStream, NDArray[np.float32]], Stages]:
    """Return both streams' tokens (N, C) as they would arrive from the wire, and intermediate results.

    Raises:
        BundleError: the bundle does not know the instruction.
    """
    text, stages = loaded.instructions.get(instruction), Stages()
    if text is None:
        raise BundleError(
            f"bundle {loaded.bundle_id} does not know the recorded instruction '{instruction}', only: "
            f"{'; '.join(loaded.instructions)}"
        )
    window = [loaded.encoder.prepare_frame(frame) for frame in frames]
    features = loaded.encoder.update_prepared(window, text)
    stages.add(FRAMES, *(frame[stream] for frame in window for stream in LatentStream))
    dtype = loaded.section.encoder.dtype
    return {s: restore_latents(store_latents(tokens, dtype), dtype) for s, tokens in features.items()}, stages
