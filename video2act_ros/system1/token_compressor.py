"""The optional token compressor of a video stream (docs/reference.md, "condition tokens")."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video2act_ros.system1.config import CompressorConfig


def _split_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, heads, N, d)


def _merge_heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)  # (B, N, heads·d)


class LatentAttention(nn.Module):
    """Learned latents attend to the media tokens and to themselves; no biases."""

    def __init__(self, config: CompressorConfig) -> None:
        super().__init__()
        inner = config.heads * config.head_dim
        self.heads = config.heads
        self.norm_media = nn.LayerNorm(config.dim)
        self.norm_latents = nn.LayerNorm(config.dim)
        self.to_q = nn.Linear(config.dim, inner, bias=False)
        self.to_k = nn.Linear(config.dim, inner, bias=False)
        self.to_v = nn.Linear(config.dim, inner, bias=False)
        self.to_out = nn.Linear(inner, config.dim, bias=False)

    def forward(self, media: Tensor, latents: Tensor) -> Tensor:
        """Return (B, q, dim) from media (B, n, dim) and latents (B, q, dim)."""
        latents = self.norm_latents(latents)
        context = torch.cat((self.norm_media(media), latents), dim=1)  # (B, n + q, dim)
        queries, keys, values = (
            _split_heads(layer(x), self.heads)
            for layer, x in ((self.to_q, latents), (self.to_k, context), (self.to_v, context))
        )
        return self.to_out(_merge_heads(F.scaled_dot_product_attention(queries, keys, values)))


class TemporalAttention(nn.Module):
    """Each latent attends to itself across frames; its input is not normalised."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, F, dim) from (B, F, dim)."""
        queries, keys, values = (_split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        return self.proj(_merge_heads(F.scaled_dot_product_attention(queries, keys, values)))


class TokenCompressor(nn.Module):
    """Perceiver-style compressor from F·n feature tokens to a fixed number of tokens."""

    def __init__(self, config: CompressorConfig, feature_dim: int) -> None:
        super().__init__()
        dim, frames = config.dim, config.frames
        self.frames = frames
        self.temporal = config.temporal_attention
        self.goal_emb = nn.Sequential(nn.Linear(feature_dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.latents = nn.Parameter(torch.randn(frames, config.tokens // frames, dim) * 0.02)
        self.time_pos_emb = nn.Parameter(torch.randn(frames, 1, dim) * 0.02)
        self.layers = nn.ModuleList(self._layer(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(dim)

    @staticmethod
    def _layer(config: CompressorConfig) -> nn.ModuleList:
        dim = config.dim
        feed_forward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
        )
        temporal = [TemporalAttention(dim, config.heads)] if config.temporal_attention else []
        return nn.ModuleList([LatentAttention(config), *temporal, feed_forward])

    def _across_frames(self, attention: nn.Module, x: Tensor) -> Tensor:
        per_frame = x.unflatten(0, (-1, self.frames))  # (B, F, q, dim)
        per_latent = per_frame.transpose(1, 2).flatten(0, 1)  # (B·q, F, dim)
        out = attention(per_latent).unflatten(0, (-1, per_frame.shape[2]))  # (B, q, F, dim)
        return out.transpose(1, 2).flatten(0, 1)  # (B·F, q, dim)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, tokens, dim), frame-major, from normalised features (B, F·n, feature_dim)."""
        batch = features.shape[0]
        media = self.goal_emb(features).unflatten(1, (self.frames, -1)) + self.time_pos_emb  # (B, F, n, dim)
        media = media.flatten(0, 1)  # (B·F, n, dim)
        x = self.latents.repeat(batch, 1, 1)  # (B·F, q, dim)
        for layer in self.layers:
            x = x + layer[0](media, x)
            if self.temporal:
                x = x + self._across_frames(layer[1], x)
            x = x + layer[-1](x)
        return self.norm(x.unflatten(0, (batch, self.frames)).flatten(1, 2))
