"""The action head: a diffusion transformer that predicts the clean action chunk (docs/reference.md)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.layers import (
    CrossAttention,
    FeedForward,
    KeyValues,
    ScalarEmbedder,
    SelfAttention,
    init_normal,
    join,
)
from video2act_ros.system1.position_embedding import constant_positions, image_positions, token_positions
from video2act_ros.system1.scale_norm import Norm, ScaleNorm


@dataclass(frozen=True, slots=True)
class ConditionCache:
    """Keys and values of everything that does not depend on the noise.

    `language` holds one entry per even block, `scene` (image tokens, then video tokens) one per odd
    block. `language_bias` (B, 1, 1, L) is added to the scores: 1 on valid tokens, 0 on padding.
    """

    language: tuple[KeyValues, ...]
    scene: tuple[KeyValues, ...]
    language_bias: Tensor | None = None

    def for_block(self, index: int) -> tuple[KeyValues, Tensor | None]:
        """Return the condition of block `index` and its score bias."""
        if index % 2 == 0:
            return self.language[index // 2], self.language_bias
        return self.scene[index // 2], None


def language_bias(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return a language mask (B, L) as the additive score bias that the reference uses.

    Padding is *not* excluded: valid tokens get +1, padded ones +0. Without padding the bias has no effect.
    """
    return None if mask is None else mask.to(dtype)[:, None, None, :]


def join_scenes(images: tuple[KeyValues, ...], video: tuple[KeyValues, ...]) -> tuple[KeyValues, ...]:
    """Return per-block scene conditions: image tokens first, then video tokens."""
    return tuple(join(image, features) for image, features in zip(images, video, strict=True))


class Block(nn.Module):
    """Self-attention, cross-attention, feed-forward, each after a norm and with a residual."""

    def __init__(self, dim: int, heads: int, norm: Norm) -> None:
        super().__init__()
        self.norm1 = ScaleNorm(dim, norm)
        self.attn = SelfAttention(dim, heads, norm)
        self.norm2 = ScaleNorm(dim, norm)
        self.cross_attn = CrossAttention(dim, heads, norm)
        self.norm3 = ScaleNorm(dim, norm)
        self.ffn = FeedForward(dim, dim)

    def forward(self, x: Tensor, condition: KeyValues, bias: Tensor | None) -> Tensor:
        """Return (B, N, D) from (B, N, D)."""
        x = x + self.attn(self.norm1(x))
        x = x + self.cross_attn(self.norm2(x), condition, bias)
        return x + self.ffn(self.norm3(x))


class FinalLayer(nn.Module):
    """Norm and feed-forward to the action vector."""

    def __init__(self, dim: int, out_dim: int, norm: Norm) -> None:
        super().__init__()
        self.norm_final = ScaleNorm(dim, norm)
        self.ffn_final = FeedForward(dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, A) from (B, N, D)."""
        return self.ffn_final(self.norm_final(x))


class ActionCore(nn.Module):
    """Token layout, blocks with alternating conditions, output layer."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        dim, images = config.hidden, config.images
        self.horizon = config.horizon
        self.max_lang = config.max_lang
        self.t_embedder = ScalarEmbedder(dim)
        self.freq_embedder = ScalarEmbedder(dim)
        self.x_pos_embed = nn.Parameter(token_positions(dim, config.horizon).float())
        self.lang_cond_pos_embed = nn.Parameter(constant_positions(dim, config.max_lang).float())
        positions = image_positions(dim, images.history, len(images.cameras), images.tokens_per_image)
        self.img_cond_pos_embed = nn.Parameter(positions.float())
        self.blocks = nn.ModuleList(Block(dim, config.heads, config.norm) for _ in range(config.depth))
        self.final_layer = FinalLayer(dim, config.state_vector.size, config.norm)
        self._init_weights()

    def _init_weights(self) -> None:
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)
        init_normal(self.t_embedder)
        init_normal(self.freq_embedder)
        nn.init.zeros_(self.final_layer.ffn_final.fc2.weight)

    def language_keys_values(self, language: Tensor) -> tuple[KeyValues, ...]:
        """Return the even blocks' keys and values of adapted language tokens (B, L, D)."""
        condition = language + self.lang_cond_pos_embed[:, : language.shape[1]]
        return tuple(block.cross_attn.keys_values(condition) for block in self.blocks[::2])

    def image_keys_values(self, images: Tensor) -> tuple[KeyValues, ...]:
        """Return the odd blocks' keys and values of adapted image tokens (B, N, D)."""
        condition = images + self.img_cond_pos_embed[:, : images.shape[1]]
        return tuple(block.cross_attn.keys_values(condition) for block in self.blocks[1::2])

    def video_keys_values(self, video: Tensor) -> tuple[KeyValues, ...]:
        """Return the odd blocks' keys and values of adapted video tokens (B, M, D); they get no position."""
        return tuple(block.cross_attn.keys_values(video) for block in self.blocks[1::2])

    def forward(
        self, tokens: Tensor, timesteps: Tensor, ctrl_freqs: Tensor, conditions: ConditionCache
    ) -> Tensor:
        """Predict the clean actions.

        Args:
            tokens: (B, 1 + H, D) adapted state token, then adapted noisy action tokens.
            timesteps: (B,) or (1,) integer diffusion timesteps.
            ctrl_freqs: (B,) or (1,) control frequency [Hz].
            conditions: keys and values with batch B, or B / R where R consecutive rows share one.

        Returns:
            (B, H, A) in the dtype of the output layer.
        """
        batch = tokens.shape[0]
        time = self.t_embedder(timesteps).expand(batch, -1)[:, None]  # (B, 1, D)
        frequency = self.freq_embedder(ctrl_freqs).expand(batch, -1)[:, None]  # (B, 1, D)
        x = torch.cat((time, frequency, tokens), dim=1) + self.x_pos_embed  # (B, H + 3, D)
        for index, block in enumerate(self.blocks):
            x = block(x, *conditions.for_block(index))
        return self.final_layer(x[:, -self.horizon :])  # (B, H, A)
