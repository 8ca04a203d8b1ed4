"""What the policy looks at, as tensors: the one preparation that training and serving share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from video2act_ros.core.errors import InputError
from video2act_ros.core.images import resize_image, through_camera_path
from video2act_ros.core.stages import IMAGES, JOINTS, NOISE, VISION, Stages
from video2act_ros.core.types import ImageArray, Observation
from video2act_ros.system1.config import PolicyConfig, SiglipVisionConfig
from video2act_ros.system1.sampler import draw_noise
from video2act_ros.system1.siglip_images import BACKGROUND, siglip_image


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """One batch of what the policy looks at, in training and in serving alike.

    `images` (B, history, cameras, H, W, 3) uint8 RGB at the vision's size; `joints` (B, J) float in policy
    units; `language` (B, L, lang_dim); `spatial` and `motion` (B, n, feature_dim) video features;
    `language_mask` (B, L), None when nothing is padded; `ctrl_freqs_hz` (B,), None for the configured one.
    """

    images: Tensor
    joints: Tensor
    language: Tensor
    spatial: Tensor
    motion: Tensor | None = None
    language_mask: Tensor | None = None
    ctrl_freqs_hz: Tensor | None = None


@dataclass(frozen=True, slots=True)
class PolicyOutput:
    """`prediction` (B·R, H, A) clean actions, and `image_tokens` (B, N, dim) for auxiliary losses."""

    prediction: Tensor
    image_tokens: Tensor


@dataclass(frozen=True, slots=True)
class ChunkInputs:
    """What one chunk is sampled from, beside instruction and latents, whichever library computes it.

    `images` (history, cameras, H, W, 3) uint8 RGB at the vision's size; `joints` (J,) float64 in policy
    units; `noise` (H, A).
    """

    images: NDArray[np.uint8]
    joints: Tensor
    noise: Tensor

    @classmethod
    def of(
        cls,
        config: PolicyConfig,
        observation: Observation,
        previous: Observation | None,
        noise: Tensor | None,
        seed: int,
    ) -> ChunkInputs:
        """Return an observation's inputs; the noise is drawn from `seed` where none is given.

        Raises:
            InputError: the observation has another number of joints, or lacks a camera.
        """
        joints = torch.from_numpy(np.asarray(observation.joints, dtype=np.float64))
        if joints.shape != (config.joints,):
            raise InputError(
                f"the policy moves {config.joints} joints, the observation has {tuple(joints.shape)}"
            )
        images = image_array(config, observation, previous)
        shape = (config.horizon, config.state_vector.size)
        return cls(images, joints, draw_noise(shape, seed) if noise is None else noise)

    def tell(self, stages: Stages | None, image_tokens: NDArray[np.float32]) -> None:
        """Add the inputs, and the image tokens (B, N, dim) made of them, to the intermediate results."""
        if stages is not None:
            stages.add(IMAGES, self.images)
            stages.add(JOINTS, self.joints.numpy())
            stages.add(VISION, image_tokens)
            stages.add(NOISE, self.noise.float().cpu().numpy())


def image_array(
    config: PolicyConfig, observation: Observation, previous: Observation | None = None
) -> NDArray[np.uint8]:
    """Return the (history, cameras, H, W, 3) uint8 RGB images of an observation at the vision's size.

    `previous` fills the older half of a history of two; without it the newest image stands in.

    Raises:
        InputError: a camera that the policy looks at is missing, and the policy refuses that.
    """
    layout = config.images
    sources = [previous or observation] * (layout.history - 1) + [observation]
    rows = [[_camera_image(config, source, name) for name in layout.cameras] for source in sources]
    return np.asarray(rows, dtype=np.uint8)


def _camera_image(config: PolicyConfig, source: Observation, camera: str) -> ImageArray:
    """Return one camera's image (H, W, 3) at the vision's size."""
    vision, layout = config.vision, config.images
    image = source.images.get(camera)
    if image is None:
        if layout.missing == "background":
            return np.full((vision.image_height, vision.image_width, 3), BACKGROUND, np.uint8)
        missing = [name for name in layout.cameras if name not in source.images]
        raise InputError(
            f"no image of {', '.join(missing)}; the policy looks at {', '.join(layout.cameras)}, "
            f"the observation has {', '.join(source.images) or 'none'}"
        )
    image = through_camera_path(image, config.camera_path)
    if isinstance(vision, SiglipVisionConfig):
        return siglip_image(image, vision)
    return resize_image(image, vision.image_width, vision.image_height)
