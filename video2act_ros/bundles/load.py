"""Loads a verified bundle's System 1 or System 2, ready to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from video2act_ros.bundles import self_test
from video2act_ros.bundles.device import choose_device as choose_device
from video2act_ros.bundles.manifest import (
    Manifest,
    System1Section,
    System2Section,
    bundle_file,
    bundle_id,
    check_files,
    features_id,
    graph_files,
    read_manifest,
)
from video2act_ros.bundles.shards import give_memory, parameters_on_meta
from video2act_ros.core.errors import BundleError
from video2act_ros.system1.chunk_policy import ChunkPolicy
from video2act_ros.system1.onnx_policy import OnnxPolicy
from video2act_ros.system1.onnx_session import OnnxOptions
from video2act_ros.system1.policy import Policy
from video2act_ros.system2.encoder import VideoEncoder


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """System 1 of a bundle. `instructions` maps each known text to its (L, lang_dim) embedding."""

    policy: ChunkPolicy
    manifest: Manifest
    section: System1Section
    bundle_id: str
    instructions: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    """System 2 of a bundle. `instructions` maps each known text to its (L, D) float32 embedding."""

    encoder: VideoEncoder
    manifest: Manifest
    section: System2Section
    bundle_id: str
    instructions: dict[str, NDArray[np.float32]]


def load_policy(folder: Path, device: str = "auto", onnx: OnnxOptions | None = None) -> LoadedPolicy:
    """Verify the bundle, build System 1, load its weights and run its self-test.

    With `onnx` the bundle's graphs are opened instead of the weights, and `device` has no effect.

    Raises:
        BundleError: anything is missing, damaged, non-finite, or computes something else here.
    """
    manifest = read_manifest(folder)
    section = manifest.system1
    if section is None:
        raise BundleError(f"bundle {folder} holds no System 1; give a bundle that has one")
    check_files(folder, manifest)
    policy: ChunkPolicy
    if onnx is None:
        policy = _torch_policy(folder, section, device)
    else:
        policy = OnnxPolicy(section.policy, graph_files(folder, manifest), onnx)
    _run_self_test(
        folder,
        section.self_test,
        lambda stored: self_test.policy_stages(policy, stored),
        section.policy.dtype,
    )
    return LoadedPolicy(
        policy, manifest, section, bundle_id(folder, manifest), _instructions(folder, manifest, "system1")
    )


def _torch_policy(folder: Path, section: System1Section, device: str) -> Policy:
    with parameters_on_meta():  # random weights would only be replaced
        policy = Policy(section.policy)
    chosen = choose_device(device)
    give_memory(policy, chosen)
    policy.load_weights(_finite_weights(folder, section.weights))
    return policy.to(chosen).eval()


def load_encoder(folder: Path, device: str = "auto") -> LoadedEncoder:
    """Verify the bundle, build System 2, load its weights and run its self-test.

    Raises:
        BundleError: anything is missing, damaged, non-finite, or computes something else here.
    """
    manifest = read_manifest(folder)
    section = manifest.system2
    if section is None:
        raise BundleError(f"bundle {folder} holds no System 2; give a bundle that has one")
    check_files(folder, manifest)
    hashes = [manifest.files[name] for name in section.weights]
    if (actual := features_id(section.encoder, hashes)) != section.features_id:
        raise BundleError(
            f"bundle {folder}: features_id is {section.features_id}, its configuration and weights give {actual}; "
            "export the bundle again"
        )
    with parameters_on_meta():
        encoder = VideoEncoder(section.encoder)
    chosen = choose_device(device)
    give_memory(encoder, chosen)
    weights = _finite_weights(folder, section.weights)
    encoder.load(*(_with_prefix(weights, part) for part in ("transformer.", "vae.")))
    encoder = encoder.to(chosen)
    _run_self_test(
        folder,
        section.self_test,
        lambda stored: self_test.encoder_stages(encoder, stored),
        section.encoder.dtype,
    )
    texts = {
        text: value.float().numpy() for text, value in _instructions(folder, manifest, "system2").items()
    }
    return LoadedEncoder(encoder, manifest, section, bundle_id(folder, manifest), texts)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"cannot read {path}: {error}; copy the bundle again") from error


def _with_prefix(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}


def _finite_weights(folder: Path, names: tuple[str, ...]) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for name in names:
        weights |= _read(bundle_file(folder, name))
    broken = [
        key for key, value in weights.items() if value.is_floating_point() and not value.isfinite().all()
    ]
    if broken:
        raise BundleError(
            f"bundle {folder}: NaN or infinite weights in {', '.join(broken[:3])}; train or export it again"
        )
    return weights


def _instructions(folder: Path, manifest: Manifest, system: str) -> dict[str, Tensor]:
    tensors = _read(bundle_file(folder, manifest.instructions_file))
    missing = [text for i, text in enumerate(manifest.instructions) if f"{system}.{i}" not in tensors]
    if missing or not manifest.instructions:
        raise BundleError(
            f"bundle {folder}: {manifest.instructions_file} lacks the {system} embedding of: "
            f"{'; '.join(missing) or 'any instruction'}"
        )
    # Tensors as read are windows onto the file: copied, they outlive its being overwritten.
    return {text: tensors[f"{system}.{i}"].clone() for i, text in enumerate(manifest.instructions)}


def _run_self_test(
    folder: Path, name: str, compute: Callable[[dict[str, Tensor]], dict[str, Tensor]], dtype: str
) -> None:
    stored = _read(bundle_file(folder, name))
    try:
        stages = compute(stored)
    except KeyError as error:
        raise BundleError(f"bundle {folder}: {name} lacks {error}; export the bundle again") from error
    self_test.compare(stored, stages, dtype, folder.name)
