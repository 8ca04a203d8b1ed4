"""Image encoders: 8-bit RGB images in, image tokens out (docs/reference.md, "image path")."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import SiglipVisionConfig as SiglipModelConfig
from transformers import SiglipVisionModel

from video2act_ros.system1.config import ConvVisionConfig, PolicyConfig, SiglipVisionConfig

GREY_LEVELS = 255.0
INITIAL_SHARPNESS = 4.0  # starts with peaked maps: a small object is found in a third fewer steps than from 1


def normalise_pixels(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (N, H, W, 3) uint8 images as (N, 3, H, W) in [-1, 1], channels-last in memory."""
    return images.permute(0, 3, 1, 2).to(dtype).mul_(2.0 / GREY_LEVELS).sub_(1.0)


def siglip_pixels(images: Tensor) -> Tensor:
    """Return (N, H, W, 3) uint8 images as (N, 3, H, W) float32 (u8/255 - 0.5)/0.5."""
    return ((images.permute(0, 3, 1, 2).float() / GREY_LEVELS - 0.5) / 0.5).contiguous()


def siglip_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a SigLIP checkpoint's vision weights under the names that `Policy` has, `vision.tower.…`.

    Takes the names of transformers before 5 (`vision_model.…`) and since; text tower, pooling head and
    logit scale are left out.
    """
    prefix = "vision_model."
    old = any(key.startswith(prefix) for key in weights)
    own = {
        key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix) or not old
    }
    parts = ("embeddings.", "encoder.", "post_layernorm.")
    return {f"vision.tower.{key}": value for key, value in own.items() if key.startswith(parts)}


class SpatialSoftmax(nn.Module):
    """Expected image coordinates of each channel's activation, with a learned sharpness.

    Coordinates are in [-1, 1] and each is followed by sines and cosines of rising frequency, so that
    a shift of a fraction of a pixel stays visible to the layers behind it.
    """

    def __init__(self, keypoints: int, octaves: int) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.full((keypoints,), INITIAL_SHARPNESS))
        self.octaves = octaves

    @property
    def features(self) -> int:
        """Numbers per keypoint."""
        return 2 * (1 + 2 * self.octaves)

    def forward(self, scores: Tensor) -> Tensor:
        """Return (N, keypoints · features) float32 from score maps (N, keypoints, h, w)."""
        with torch.autocast(scores.device.type, enabled=False):
            scores = scores.float().contiguous() * self.sharpness.float()[:, None, None]
            height, width = scores.shape[-2:]
            weights = scores.flatten(2).softmax(dim=-1).unflatten(2, (height, width))
            x = weights.sum(dim=2) @ torch.linspace(-1.0, 1.0, width, device=scores.device)
            y = weights.sum(dim=3) @ torch.linspace(-1.0, 1.0, height, device=scores.device)
            points = torch.stack((x, y), dim=-1)  # (N, keypoints, 2)
            scales = math.pi * 2.0 ** torch.arange(self.octaves, device=scores.device)
            angles = points[..., None] * scales  # (N, keypoints, 2, octaves)
            return torch.cat((points, angles.sin().flatten(2), angles.cos().flatten(2)), dim=-1).flatten(1)


class ConvCamera(nn.Module):
    """One camera's encoder: keypoints from the stride-4 map, a coarse grid from the stride-16 map."""

    def __init__(self, config: ConvVisionConfig, dim: int) -> None:
        super().__init__()
        first, second, third = config.channels
        self.config = config
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, padding=1),
            nn.ReLU(),
        )
        self.scores = nn.Conv2d(third, config.keypoints, 1)
        self.keypoints = SpatialSoftmax(config.keypoints, config.coordinate_octaves)
        points = config.keypoints * self.keypoints.features
        self.point_tokens = nn.Sequential(
            nn.Linear(points, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, config.keypoint_tokens * dim)
        )
        self.grid: nn.Sequential | None = None
        if config.grid:
            low, high = config.grid_channels
            self.grid = nn.Sequential(
                nn.Conv2d(third, low, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(low, high, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(config.grid),
                nn.Conv2d(high, dim, 1),
            )
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
                nn.init.zeros_(part.bias)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (N, tokens, dim) from pixels (N, 3, H, W) in [-1, 1]."""
        features = self.stem(pixels)  # (N, C, H/4, W/4)
        points = self.point_tokens(self.keypoints(self.scores(features)).to(self.scores.weight.dtype))
        tokens = points.unflatten(1, (self.config.keypoint_tokens, -1))  # (N, keypoint tokens, dim)
        if self.grid is None:
            return tokens
        return torch.cat((tokens, self.grid(features).flatten(2).transpose(1, 2)), dim=1)


class ConvVision(nn.Module):
    """A ConvCamera for each camera; history images share their camera's weights."""

    def __init__(self, config: ConvVisionConfig, dim: int, cameras: int) -> None:
        super().__init__()
        self.cameras = nn.ModuleList(ConvCamera(config, dim) for _ in range(cameras))
        self.token_embedding = nn.Parameter(torch.randn(config.tokens_per_image, dim) * 0.5)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens (B, history·cameras·tokens, dim) of images (B, history, cameras, H, W, 3) uint8."""
        batch, history = images.shape[:2]
        dtype = self.token_embedding.dtype
        tokens = [
            encoder(normalise_pixels(images[:, :, index].flatten(0, 1), dtype)) + self.token_embedding
            for index, encoder in enumerate(self.cameras)
        ]  # each (B·history, tokens, dim)
        return torch.stack(tokens, dim=1).unflatten(0, (batch, history)).flatten(1, 3)


class SiglipVision(nn.Module):
    """A SigLIP tower without its pooling head; its tokens are the last hidden state, after the final norm."""

    def __init__(self, config: SiglipVisionConfig) -> None:
        super().__init__()
        arguments = {**config.model, "vision_use_head": False}
        self.tower = SiglipVisionModel(SiglipModelConfig(**arguments))

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens (B, history·cameras·patches, dim) of images (B, history, cameras, H, W, 3) uint8."""
        pixels = siglip_pixels(images.flatten(0, 2)).to(self.tower.dtype)
        tokens = self.tower(pixel_values=pixels).last_hidden_state
        return tokens.unflatten(0, images.shape[:3]).flatten(1, 3)


def make_vision(config: PolicyConfig) -> nn.Module:
    """Return the encoder that the configuration names."""
    if isinstance(config.vision, ConvVisionConfig):
        return ConvVision(config.vision, config.images.dim, len(config.images.cameras))
    return SiglipVision(config.vision)
