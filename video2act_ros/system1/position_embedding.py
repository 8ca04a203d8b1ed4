"""Initial position embeddings (docs/reference.md, "action head"); all are trained afterwards."""

from __future__ import annotations

import torch
from torch import Tensor

from video2act_ros.system1.layers import MAX_PERIOD

MODALITY_TOKENS = 3  # timestep, control frequency and state precede the actions


def sine_cosine(dim: int, positions: Tensor) -> Tensor:
    """Return [sin(p·ω), cos(p·ω)], ω_k = 10000^(−k/(dim/2)), float64: (N,) to (N, dim)."""
    half = dim // 2
    omega = MAX_PERIOD ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = positions.double()[:, None] * omega
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


def token_positions(dim: int, horizon: int) -> Tensor:
    """Return (1, horizon + 3, dim): first half the token's modality, second half its index inside it."""
    modality = torch.cat((torch.arange(MODALITY_TOKENS), torch.full((horizon,), MODALITY_TOKENS)))
    index = torch.cat((torch.zeros(MODALITY_TOKENS, dtype=torch.long), torch.arange(horizon)))
    return torch.cat((sine_cosine(dim // 2, modality), sine_cosine(dim // 2, index)), dim=-1)[None]


def constant_positions(dim: int, length: int) -> Tensor:
    """Return (1, length, dim) with every row that of position 0, as language has it."""
    return sine_cosine(dim, torch.zeros(length))[None]


def image_positions(dim: int, history: int, cameras: int, tokens_per_image: int) -> Tensor:
    """Return (1, history·cameras·tokens, dim): the axes longer than one share the width evenly.

    Tokens inside an image get none.
    """
    axes = [(axis, size) for axis, size in enumerate((history, cameras)) if size > 1]
    grid = torch.zeros(history, cameras, dim, dtype=torch.float64)
    share = dim // len(axes) // 2 * 2 if axes else 0
    for order, (axis, size) in enumerate(axes):
        embedding = sine_cosine(share, torch.arange(size))
        shape = (size, 1, share) if axis == 0 else (1, size, share)
        grid[..., order * share : (order + 1) * share] = embedding.view(shape)
    flat = grid.reshape(history * cameras, 1, dim).expand(-1, tokens_per_image, -1)
    return flat.reshape(1, -1, dim)
