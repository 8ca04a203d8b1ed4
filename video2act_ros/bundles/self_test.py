"""A bundle's self-test: stored inputs, recomputed stage by stage before the bundle may drive."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from video2act_ros.core.errors import BundleError
from video2act_ros.core.types import (
    FloatArray,
    ImageArray,
    LatentPair,
    LatentStream,
    LatentTokens,
    Observation,
)
from video2act_ros.system1.chunk_policy import ChunkPolicy
from video2act_ros.system2.encoder import VideoEncoder

TOLERANCES = {"float32": 1e-3, "bfloat16": 5e-2}  # relative to the stage's largest value
_IMAGE = "input.image."


def encoder_inputs(frames: ImageArray, text: FloatArray) -> dict[str, Tensor]:
    """Return the stored inputs of System 2: `frames` (T, H, W, 3) uint8 RGB, `text` (L, D) float32."""
    return {"input.frames": torch.from_numpy(frames), "input.text": torch.from_numpy(text)}


def encoder_stages(encoder: VideoEncoder, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return every stage of System 2 on the stored inputs, in the order they are computed."""
    text = inputs["input.text"].numpy()
    prepared = [encoder.prepare_frame(frame) for frame in inputs["input.frames"].numpy()]
    stages: dict[str, Tensor] = {}
    for stream in LatentStream:
        frames = np.stack([frame[stream] for frame in prepared[-encoder.config.stream(stream).frames :]])
        latents = encoder.encode_window(frames, stream)
        stages[f"resized frames ({stream.value})"] = torch.from_numpy(frames).float()
        stages[f"latents ({stream.value})"] = latents
        stages[f"extraction ({stream.value})"] = encoder.extracted(latents, stream)
        stages[f"features ({stream.value})"] = encoder.features(latents, stream, text)
    return {name: value.detach().float().cpu().contiguous() for name, value in stages.items()}


def policy_inputs(
    observation: Observation, spatial: FloatArray, motion: FloatArray, language: Tensor, noise: Tensor
) -> dict[str, Tensor]:
    """Return the stored inputs of System 1."""
    images = {
        _IMAGE + name: torch.from_numpy(np.ascontiguousarray(i)) for name, i in observation.images.items()
    }
    return images | {
        "input.joints": torch.from_numpy(np.asarray(observation.joints, dtype=np.float64)),
        "input.spatial": torch.from_numpy(np.ascontiguousarray(spatial, dtype=np.float32)),
        "input.motion": torch.from_numpy(np.ascontiguousarray(motion, dtype=np.float32)),
        "input.language": language.float().contiguous(),
        "input.noise": noise.float().contiguous(),
    }


def stored_observation(inputs: Mapping[str, Tensor]) -> tuple[Observation, LatentPair]:
    """Return the observation and the latents of System 1's stored inputs."""
    images = {name[len(_IMAGE) :]: value.numpy() for name, value in inputs.items() if name.startswith(_IMAGE)}
    observation = Observation(
        0, images, dict.fromkeys(images, 0), inputs["input.joints"].numpy(), 0, "self-test"
    )
    latents = LatentPair(
        *(
            LatentTokens(stream, 0, 0, 0, inputs[f"input.{stream.value}"].numpy(), "", "", (), "")
            for stream in (LatentStream.SPATIAL, LatentStream.MOTION)
        )
    )
    return observation, latents


@torch.inference_mode()
def policy_stages(policy: ChunkPolicy, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return every stage of System 1 on the stored inputs, in the order they are computed."""
    observation, latents = stored_observation(inputs)
    array = torch.from_numpy(policy.image_array(observation))
    chunk = policy.predict(observation, latents, inputs["input.language"], noise=inputs["input.noise"])
    policy.forget()
    stages = {
        "resized images": array,
        "image tokens": policy.image_tokens(array[None].to(policy.device)),
        "chunk": torch.from_numpy(chunk),
    }
    return {name: value.detach().float().cpu().contiguous() for name, value in stages.items()}


def compare(stored: Mapping[str, Tensor], stages: Mapping[str, Tensor], dtype: str, bundle: str) -> None:
    """Compare recomputed stages with the stored ones.

    Args:
        stored: the self-test file's tensors.
        stages: what this machine computes.
        dtype: the model's, which sets the tolerance.
        bundle: named in the error.

    Raises:
        BundleError: names the first stage that differs, by how much, and the tolerance.
    """
    tolerance = TOLERANCES[dtype]
    for name, value in stages.items():
        expected = stored.get(name)
        if expected is None or expected.shape != value.shape:
            found = "missing" if expected is None else f"of shape {tuple(expected.shape)}"
            raise BundleError(
                f"bundle {bundle}: the self-test's stage '{name}' is {found}, this version computes "
                f"{tuple(value.shape)}; export the bundle again"
            )
        scale = max(float(expected.abs().max()), 1e-6)
        error = float((value - expected).abs().max()) / scale
        if not error <= tolerance:  # also true for NaN
            raise BundleError(
                f"bundle {bundle} fails its self-test at stage '{name}': relative error {error:.2g}, allowed "
                f"{tolerance:g}; a library, colour order, resize or dtype changed the function, so it may not drive"
            )
