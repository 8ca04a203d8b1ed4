"""What System 1 needs of a policy, whichever library computes it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from video2act_ros.core.stages import Stages
from video2act_ros.core.types import LatentPair, Observation
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.realtime_chunking import Prefix


class ChunkPolicy(Protocol):
    """A policy ready to run: `Policy` with torch, `OnnxPolicy` with onnxruntime. One thread at a time."""

    config: PolicyConfig

    @property
    def device(self) -> torch.device:
        """Where tensors handed over should lie."""

    def image_array(self, observation: Observation, previous: Observation | None = None) -> NDArray[np.uint8]:
        """Return the (history, cameras, H, W, 3) uint8 RGB images that the policy looks at."""

    def image_tokens(self, images: Tensor) -> Tensor:
        """Return image tokens (B, N, dim) of images (B, history, cameras, H, W, 3) uint8 RGB."""

    def forget(self) -> None:
        """Drop remembered language and video keys."""

    def predict(
        self,
        observation: Observation,
        latents: LatentPair,
        language: Tensor,
        *,
        noise: Tensor | None = None,
        seed: int = 0,
        previous: Observation | None = None,
        prefix: Prefix | None = None,
        stages: Stages | None = None,
    ) -> NDArray[np.float64]:
        """Return absolute joint positions (H, J) float64 in policy units; `prefix` leads, `stages` watches."""
