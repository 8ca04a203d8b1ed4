"""The video diffusion transformer as a feature extractor (`docs/reference.md`, "video model")."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor, nn

from video2act_ros.system2.config import TransformerConfig

MAX_PERIOD = 10000.0


@dataclass(frozen=True, slots=True)
class TextKeysValues:
    """One block's cross-attention keys and values, each (B or 1, heads, L, head dim)."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What an instruction and a timestep contribute, constant while both stay the same.

    `modulation` is (B or 1, 6, C); `text` has one entry per block.
    """

    modulation: Tensor
    text: tuple[TextKeysValues, ...]


class TextCrossAttention:
    """Attention processor of diffusers' blocks that takes `TextKeysValues` instead of text tokens."""

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: TextKeysValues,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Attend from (B, N, C) tokens to the text; without any text token nothing is attended to."""
        text = encoder_hidden_states
        if text.keys.shape[2] == 0:
            attended = torch.zeros_like(hidden_states)
        else:
            queries = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1)).transpose(1, 2)
            batch = (len(queries), -1, -1, -1)
            heads = functional.scaled_dot_product_attention(
                queries, text.keys.expand(batch), text.values.expand(batch)
            )
            attended = heads.transpose(1, 2).flatten(2)  # (B, N, C)
        return attn.to_out[1](attn.to_out[0](attended))


def text_keys_values(attn: WanAttention, text: Tensor) -> TextKeysValues:
    """Project (B, L, C) embedded text to one block's keys and values."""
    keys, values = (
        tensor.unflatten(2, (attn.heads, -1)).transpose(1, 2)
        for tensor in (attn.norm_k(attn.to_k(text)), attn.to_v(text))
    )
    return TextKeysValues(keys, values)


class TimestepSinusoid(nn.Module):
    """[cos(t·f), sin(t·f)] with f_k = 10000^(−k/(dim/2)), evaluated in float64 as the reference does."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.half = dim // 2

    def forward(self, timesteps: Tensor) -> Tensor:
        """Return (B, dim) float32 from (B,)."""
        steps = torch.arange(self.half, dtype=torch.float64, device=timesteps.device)
        angles = timesteps.double()[:, None] * MAX_PERIOD ** (-steps / self.half)
        return torch.cat((angles.cos(), angles.sin()), dim=-1).float()


def build_transformer(config: TransformerConfig, layers: int | None = None) -> WanTransformer3DModel:
    """Return diffusers' transformer with its first `layers` blocks (None: all), randomly initialised."""
    arguments = config.model_dump()
    if layers is not None:
        arguments["num_layers"] = layers
    transformer = WanTransformer3DModel(**arguments)
    transformer.condition_embedder.timesteps_proj = TimestepSinusoid(config.freq_dim)
    return transformer


class VideoModel(nn.Module):
    """The first `layers` blocks of the transformer; the others and the output head are not even built."""

    def __init__(self, config: TransformerConfig, layers: int) -> None:
        super().__init__()
        self.transformer = build_transformer(config, layers)
        self.transformer.norm_out = nn.Identity()
        self.transformer.proj_out = nn.Identity()
        self.transformer.scale_shift_table = None
        for block in self.transformer.blocks:
            block.attn2.set_processor(TextCrossAttention())

    @property
    def dtype(self) -> torch.dtype:
        """Type of weights and activations."""
        return self.transformer.patch_embedding.weight.dtype

    def cast(self, dtype: torch.dtype) -> None:
        """Convert the weights; the rotary tables stay as exact as they are."""
        for parameter in self.parameters():
            parameter.data = parameter.data.to(dtype)

    def condition(self, text: Tensor, timestep: float | Tensor = 0.0) -> Conditioning:
        """Compute what `text` (B, L, text dim) and `timestep` contribute to every block.

        Nothing masks padded text tokens: they take part as the reference has it.
        """
        text = text.to(self.dtype)
        steps = torch.as_tensor(timestep, dtype=torch.float32, device=text.device).reshape(-1)  # (B,) or (1,)
        _, modulation, embedded, _ = self.transformer.condition_embedder(steps, text)
        return Conditioning(
            modulation.unflatten(1, (6, -1)),
            tuple(text_keys_values(block.attn2, embedded) for block in self.transformer.blocks),
        )

    def forward(self, latents: Tensor, conditioning: Conditioning) -> Tensor:
        """Return the raw output (B, N, C) of the last block for latents (B, channels, T, h, w)."""
        latents = latents.to(self.dtype)
        rotary = self.transformer.rope(latents)
        tokens = (
            self.transformer.patch_embedding(latents).flatten(2).transpose(1, 2).contiguous()
        )  # (B, N, C)
        for block, text in zip(self.transformer.blocks, conditioning.text, strict=True):
            tokens = block(tokens, text, conditioning.modulation, rotary)
        return tokens
