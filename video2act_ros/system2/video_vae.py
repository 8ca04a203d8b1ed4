"""Video VAEs behind one interface: diffusers' Wan VAE, and a small linear one for small models."""

from __future__ import annotations

from typing import Protocol

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.system2.config import PatchVaeConfig, WanVaeConfig


class VideoVae(Protocol):
    """Maps videos in [-1, 1] to normalised latents and back; latent frame k sees no later frame."""

    def encode(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, C, 1 + (T - 1) // temporal factor, H / factor, W / factor)."""

    def decode(self, latents: Tensor) -> Tensor:
        """The inverse of `encode` as far as the VAE keeps it, in [-1, 1]."""


class WanVae(nn.Module):
    """`AutoencoderKLWan` with the latent normalisation; the decoder is built only on request."""

    def __init__(self, config: WanVaeConfig, with_decoder: bool = False) -> None:
        super().__init__()
        arguments = config.model_dump(exclude={"kind"})
        self.model = AutoencoderKLWan(
            **{key: list(value) if isinstance(value, tuple) else value for key, value in arguments.items()}
        )
        self.with_decoder = with_decoder
        if not with_decoder:
            self.model.decoder = nn.Identity()
            self.model.post_quant_conv = nn.Identity()
        shape = (1, -1, 1, 1, 1)
        self.register_buffer("mean", torch.tensor(config.latents_mean).reshape(shape), persistent=False)
        self.register_buffer("std", torch.tensor(config.latents_std).reshape(shape), persistent=False)
        self.temporal_factor = config.temporal_factor

    def encode(self, video: Tensor) -> Tensor:
        """Return the normalised posterior mean of (B, 3, T, H, W) in [-1, 1]."""
        used = 1 + (video.shape[2] - 1) // self.temporal_factor * self.temporal_factor
        posterior = self.model.encode(video[:, :, :used], return_dict=False)[0]
        return (posterior.mode() - self.mean) / self.std

    def decode(self, latents: Tensor) -> Tensor:
        """Return the video of (B, C, T, h, w) normalised latents.

        Raises:
            ConfigurationError: the decoder was not built.
        """
        if not self.with_decoder:
            raise ConfigurationError(
                "this VAE was built without its decoder; build it with with_decoder=True"
            )
        return self.model.decode(latents * self.std + self.mean, return_dict=False)[0]


class PatchVideoVae(nn.Module):
    """Linear causal video VAE: packs of frames -> square patches -> principal components.

    The first frame is coded as a pack of its copies, every later pack as itself, with one basis. Hence a
    still scene has latents that are constant in time, and each latent depends on its own pack alone.
    """

    def __init__(self, config: PatchVaeConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.temporal_factor = config.temporal_factor
        values = 3 * config.temporal_factor * config.patch_size**2
        if config.channels > values:
            raise ConfigurationError(f"vae.channels {config.channels} exceeds the {values} values of a patch")
        self.register_buffer("basis", torch.eye(config.channels, values))  # (C, V), orthonormal rows
        self.register_buffer("offset", torch.zeros(values))
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("std", torch.ones(config.channels))

    def patches(self, video: Tensor) -> Tensor:
        """Cut (B, 3, T, H, W) into (B, T_lat, h, w, V) vectors."""
        factor, size = self.temporal_factor, self.patch_size
        packs = (video.shape[2] - 1) // factor
        first = video[:, :, :1].expand(-1, -1, factor, -1, -1)
        frames = torch.cat((first, video[:, :, 1 : 1 + packs * factor]), dim=2)
        batch, colours, _, height, width = frames.shape
        grid = frames.reshape(batch, colours, 1 + packs, factor, height // size, size, width // size, size)
        return grid.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)  # (B, T_lat, h, w, 3*factor*size*size)

    def encode(self, video: Tensor) -> Tensor:
        """Return the normalised latents (B, C, T_lat, h, w) of (B, 3, T, H, W) in [-1, 1]."""
        components = (self.patches(video) - self.offset) @ self.basis.T  # (B, T_lat, h, w, C)
        return ((components - self.mean) / self.std).permute(0, 4, 1, 2, 3)

    def decode(self, latents: Tensor) -> Tensor:
        """Return the video (B, 3, 1 + (T_lat - 1) * factor, H, W) of (B, C, T_lat, h, w)."""
        factor, size = self.temporal_factor, self.patch_size
        components = latents.permute(0, 2, 3, 4, 1) * self.std + self.mean
        values = components @ self.basis + self.offset  # (B, T_lat, h, w, V)
        batch, packs, rows, columns, _ = values.shape
        grid = values.reshape(batch, packs, rows, columns, 3, factor, size, size)
        frames = grid.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(
            batch, 3, packs, factor, rows * size, columns * size
        )
        first = frames[:, :, :1].mean(dim=3)  # (B, 3, 1, H, W)
        return torch.cat((first, frames[:, :, 1:].flatten(2, 3)), dim=2).clamp(-1, 1)

    @torch.no_grad()
    def fit(self, vectors: Tensor) -> None:
        """Set basis and normalisation from (N, V) patch vectors: principal components of unit variance.

        The sign of each component is fixed by its largest weight, so that the same data give the same basis.
        """
        vectors = vectors.double()
        offset = vectors.mean(dim=0)
        _, directions = torch.linalg.eigh((vectors - offset).T.cov())  # ascending
        basis = directions.flip(1).T[: len(self.mean)]  # (C, V)
        largest = basis.gather(1, basis.abs().argmax(dim=1, keepdim=True))
        basis = basis * largest.sign()
        components = (vectors - offset) @ basis.T
        self.basis.copy_(basis)
        self.offset.copy_(offset)
        self.mean.copy_(components.mean(dim=0))
        self.std.copy_(components.std(dim=0).clamp_min(1e-4))


def build_vae(config: WanVaeConfig | PatchVaeConfig, with_decoder: bool = False) -> WanVae | PatchVideoVae:
    """Return the VAE that `config` describes, with weights yet to be loaded."""
    if isinstance(config, PatchVaeConfig):
        return PatchVideoVae(config)
    return WanVae(config, with_decoder)
