"""Writes a bundle: weights, instructions, self-tests and, last of all, the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from video2act_ros.bundles import self_test
from video2act_ros.bundles.manifest import (
    INSTRUCTIONS_FILE,
    Manifest,
    System1Section,
    System2Section,
    features_id,
    file_sha256,
    write_manifest,
)
from video2act_ros.core.types import ImageArray, LatentStream, Observation
from video2act_ros.core.whole_files import whole_folder
from video2act_ros.system1.policy import Policy
from video2act_ros.system1.sampler import draw_noise
from video2act_ros.system2.encoder import VideoEncoder

SYSTEM1_FILE = "system1.safetensors"
SYSTEM2_FILE = "system2.safetensors"
SELF_TEST1_FILE = "self_test_system1.safetensors"
SELF_TEST2_FILE = "self_test_system2.safetensors"


@dataclass(frozen=True, slots=True)
class BundleContent:
    """What goes into a bundle that holds both systems.

    `instructions` maps each text to its embeddings for System 1 (L, lang_dim) and System 2 (L, D);
    `window` (T, H, W, 3) uint8 RGB and `observation` become the self-test's inputs.
    """

    name: str
    description: str
    made_with: tuple[str, ...]
    policy: Policy
    encoder: VideoEncoder
    joint_names: tuple[str, ...]
    instructions: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    window: ImageArray
    observation: Observation
    measured: dict[str, str] = field(default_factory=dict)


def write_bundle(folder: Path, content: BundleContent) -> Manifest:
    """Write the bundle beside `folder` and move it there once it is whole, replacing an older one."""
    with whole_folder(folder) as partial:
        _save(partial / SYSTEM1_FILE, content.policy.state_dict())
        vae, transformer = content.encoder.vae.state_dict(), content.encoder.model.transformer.state_dict()
        _save(
            partial / SYSTEM2_FILE,
            {f"vae.{k}": v for k, v in vae.items()} | {f"transformer.{k}": v for k, v in transformer.items()},
        )
        pairs = content.instructions.values()
        system1, system2 = ([torch.from_numpy(pair[index]) for pair in pairs] for index in (0, 1))
        write_instructions(partial / INSTRUCTIONS_FILE, system1, system2)
        names = _write_self_tests(partial, content)
        manifest = _manifest(partial, content, names)
        write_manifest(partial, manifest)
    return manifest


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path)


def write_instructions(path: Path, system1: Sequence[Tensor], system2: Sequence[Tensor]) -> None:
    """Write the embeddings of the manifest's instructions, in its order; a system's part may be empty."""
    _save(
        path,
        {f"system1.{index}": value for index, value in enumerate(system1)}
        | {f"system2.{index}": value for index, value in enumerate(system2)},
    )


def record_encoder(
    folder: Path, encoder: VideoEncoder, window: ImageArray, text: NDArray[np.float32]
) -> dict[str, Tensor]:
    """Write System 2's self-test on the last frames of `window`; return its stages."""
    inputs = self_test.encoder_inputs(window, text)
    stages = self_test.encoder_stages(encoder, inputs)
    _save(folder / SELF_TEST2_FILE, inputs | _apart(stages))
    return stages


def record_policy(
    folder: Path,
    policy: Policy,
    observation: Observation,
    spatial: NDArray[np.float32],
    motion: NDArray[np.float32],
    language: Tensor,
) -> None:
    """Write System 1's self-test on an observation and video features (N, C) of each stream."""
    config = policy.config
    noise = draw_noise((config.horizon, config.state_vector.size), seed=0)
    inputs = self_test.policy_inputs(observation, spatial, motion, language, noise)
    _save(folder / SELF_TEST1_FILE, inputs | _apart(self_test.policy_stages(policy, inputs)))


def _apart(stages: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the stages without shared memory: an operator that does nothing returns its input."""
    return {name: value.clone() for name, value in stages.items()}


def hash_files(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file in the folder, for the manifest."""
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir())}


def _write_self_tests(folder: Path, content: BundleContent) -> tuple[str, str]:
    language, text = (value for value in next(iter(content.instructions.values())))
    stages = record_encoder(folder, content.encoder, content.window, text)
    spatial, motion = (stages[f"features ({stream.value})"][0].numpy() for stream in LatentStream)
    record_policy(folder, content.policy, content.observation, spatial, motion, torch.from_numpy(language))
    return SELF_TEST1_FILE, SELF_TEST2_FILE


def _manifest(folder: Path, content: BundleContent, self_tests: tuple[str, str]) -> Manifest:
    files = hash_files(folder)
    identity = features_id(content.encoder.config, [files[SYSTEM2_FILE]])
    return Manifest(
        schema_version=1,
        name=content.name,
        description=content.description,
        made_with=content.made_with,
        measured=content.measured,
        instructions=tuple(content.instructions),
        system1=System1Section(
            policy=content.policy.config,
            weights=(SYSTEM1_FILE,),
            joint_names=content.joint_names,
            features_id=identity,
            self_test=self_tests[0],
        ),
        system2=System2Section(
            encoder=content.encoder.config,
            weights=(SYSTEM2_FILE,),
            features_id=identity,
            self_test=self_tests[1],
        ),
        files=files,
    )
