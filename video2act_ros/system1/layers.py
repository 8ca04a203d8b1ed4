"""The action head's small parts: norms, attention, feed-forward, adaptors, sinusoids."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video2act_ros.system1.scale_norm import Norm, ScaleNorm

MAX_PERIOD = 10000.0


@dataclass(frozen=True, slots=True)
class KeyValues:
    """Keys after their norm, and values, of one block's condition: (B, heads, N, head_dim) each."""

    keys: Tensor
    values: Tensor


def join(first: KeyValues, second: KeyValues) -> KeyValues:
    """Return both conditions one after the other along the token axis."""
    return KeyValues(
        torch.cat((first.keys, second.keys), dim=2), torch.cat((first.values, second.values), dim=2)
    )


def attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return softmax(QKᵀ/√d + bias)V for (B, heads, N, d) inputs.

    The fused kernel's backward pass is several times slower than plain products on a CPU at small
    sizes, so training there uses the plain form.
    """
    if not (torch.is_grad_enabled() and queries.device.type == "cpu"):
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)
    with torch.autocast("cpu", enabled=False):
        batch, heads = queries.shape[:2]
        flat_queries, flat_keys, flat_values = (
            x.to(values.dtype).flatten(0, 1) for x in (queries, keys, values)
        )  # (B·heads, N, d)
        base = values.new_zeros(1, 1, 1) if bias is None else bias.expand(-1, heads, -1, -1).flatten(0, 1)
        scale = queries.shape[-1] ** -0.5
        scores = torch.baddbmm(base.to(values.dtype), flat_queries, flat_keys.mT, alpha=scale)
        return (scores.softmax(dim=-1) @ flat_values).unflatten(0, (batch, heads))


class SelfAttention(nn.Module):
    """Self-attention with normed queries and keys."""

    def __init__(self, dim: int, heads: int, norm: Norm) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.q_norm = ScaleNorm(dim // heads, norm)
        self.k_norm = ScaleNorm(dim // heads, norm)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, D) from (B, N, D)."""
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (3, B, heads, N, d)
        queries, keys, values = qkv.unbind(0)
        out = attend(self.q_norm(queries), self.k_norm(keys), values)
        return self.proj(out.transpose(1, 2).reshape(batch, tokens, dim))


class CrossAttention(nn.Module):
    """Cross-attention to a condition whose keys and values were computed once by `keys_values`."""

    def __init__(self, dim: int, heads: int, norm: Norm) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.q_norm = ScaleNorm(dim // heads, norm)
        self.k_norm = ScaleNorm(dim // heads, norm)
        self.proj = nn.Linear(dim, dim)

    def keys_values(self, condition: Tensor) -> KeyValues:
        """Return the keys and values of a condition (B, M, D), which is not normalised itself."""
        batch, tokens, _ = condition.shape
        kv = self.kv(condition).view(batch, tokens, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return KeyValues(self.k_norm(kv[0]), kv[1])

    def forward(self, x: Tensor, condition: KeyValues, bias: Tensor | None) -> Tensor:
        """Return (B·R, N, D) from x (B·R, N, D): R consecutive rows of x share one row of the condition."""
        rows, tokens, dim = x.shape
        batch = condition.keys.shape[0]
        # Rows that share a condition become one longer row of queries: nothing is copied.
        queries = (
            self.q(x).view(batch, -1, self.heads, dim // self.heads).transpose(1, 2)
        )  # (B, heads, R·N, d)
        out = attend(self.q_norm(queries), condition.keys, condition.values, bias)
        return self.proj(out.transpose(1, 2).reshape(rows, tokens, dim))


class FeedForward(nn.Module):
    """Linear, gelu (tanh form), Linear."""

    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, dim)
        self.fc2 = nn.Linear(dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out_dim) from (..., dim)."""
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


def make_adaptor(kind: str, in_dim: int, dim: int) -> nn.Module:
    """Return the adaptor `linear` or `mlpNx_gelu` from `in_dim` to `dim`."""
    if kind == "linear":
        return nn.Linear(in_dim, dim)
    layers: list[nn.Module] = [nn.Linear(in_dim, dim)]
    for _ in range(int(kind[3]) - 1):
        layers += [nn.GELU(approximate="tanh"), nn.Linear(dim, dim)]
    return nn.Sequential(*layers)


def init_normal(module: nn.Module) -> None:
    """Draw every Linear inside from N(0, 1/fan_in), at least 0.02 wide, with zero bias.

    At the full model's width that is the reference's 0.02; narrower ones keep the signal's size.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=max(0.02, part.in_features**-0.5))
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def sinusoid(values: Tensor, dim: int) -> Tensor:
    """Return [cos(v·f), sin(v·f)] with f_k = 10000^(−k/(dim/2)) in float32: (B,) to (B, dim)."""
    half = dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=values.device)
    angles = values.float()[:, None] * torch.exp(-math.log(MAX_PERIOD) * steps / half)
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


class ScalarEmbedder(nn.Module):
    """Embeds a raw scalar (timestep index, control frequency in Hz) by a sinusoid and an MLP."""

    WIDTH = 256

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(self.WIDTH, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, values: Tensor) -> Tensor:
        """Return (B, dim) from (B,)."""
        return self.mlp(sinusoid(values, self.WIDTH).to(self.mlp[0].weight.dtype))
