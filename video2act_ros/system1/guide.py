"""Known leading actions inside the sampler (docs/real_time_chunking.md)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from video2act_ros.core.errors import InputError
from video2act_ros.system1.realtime_chunking import Prefix


@dataclass(frozen=True, slots=True)
class Guide:
    """Clean action vectors and how strongly each element is drawn to them, both (1, H, A) float32."""

    clean: Tensor
    weights: Tensor

    def steer(self, prediction: Tensor) -> Tensor:
        """Return a clean prediction (B, H, A) drawn to the known actions; exactly these where the weight is 1."""
        weights = self.weights.to(prediction)
        return weights * self.clean.to(prediction) + (1.0 - weights) * prediction

    def start(self, noise: Tensor, sigma_over_alpha: Tensor) -> Tensor:
        """Return the initial sample: the known actions noised by the same noise (B, H, A) where the weight is 1."""
        ratio = sigma_over_alpha.to(self.clean)
        alpha = (1.0 + ratio * ratio).rsqrt()
        weights, noise32 = self.weights.to(noise.device), noise.float()
        known = alpha * self.clean.to(noise.device) + ratio * alpha * noise32
        return (weights * known + (1.0 - weights) * noise32).to(noise.dtype)


def make_guide(actions: Tensor, prefix: Prefix, mask: Tensor, horizon: int) -> Guide:
    """Return the guide of a chunk of `horizon` actions.

    Args:
        actions: (1, n, A) the prefix's positions as action vectors.
        prefix: their weights.
        mask: (A,) the used elements; the others are left as they are.
        horizon: H.

    Raises:
        InputError: the prefix is longer than the chunk.
    """
    rows = actions.shape[1]
    if rows > horizon:
        raise InputError(f"a prefix of {rows} actions does not fit a chunk of {horizon}; shorten the prefix")
    clean = actions.new_zeros((1, horizon, actions.shape[2]), dtype=torch.float32)
    weights = torch.zeros_like(clean)
    clean[:, :rows] = actions.float()
    weights[:, :rows] = torch.from_numpy(prefix.weights).to(clean)[:, None] * mask.to(clean)
    return Guide(clean, weights)
