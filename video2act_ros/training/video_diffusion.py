"""Training objective and sampler of the small video diffusion model.

Flow-matching interpolation x_t = (1 - t) x_0 + t noise with timestep 1000 t, where the network predicts x_0:
a trunk narrower than a token's noise cannot carry the noise to its output. The first latent frame is given
clean at timestep 0, as in the image-to-video mode of the Wan models.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

_TIMESTEPS = 1000.0


def attention_context(device: torch.device) -> AbstractContextManager[None]:
    """Return the attention backend to use: for short sequences on a CPU plain products are the fastest."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def predict_clean(model: WanTransformer3DModel, noisy: Tensor, time: Tensor, text: Tensor) -> Tensor:
    """Return the predicted clean latents of `noisy` (B, C, T, h, w).

    Args:
        model: the whole transformer.
        noisy: latents at `time`; of a video (T > 1) the first frame is clean.
        time: (B,) in [0, 1].
        text: (B, L, D).
    """
    batch, _, frames, height, width = noisy.shape
    _, patch_height, patch_width = model.config.patch_size
    per_frame = (height // patch_height) * (width // patch_width)
    steps = (time * _TIMESTEPS)[:, None].expand(batch, frames * per_frame)
    if frames == 1:
        return model(noisy, steps[:, 0], text, return_dict=False)[0]
    steps = steps.clone()
    steps[:, :per_frame] = 0
    first = noisy[:, :, :1]
    change = model(noisy, steps, text, return_dict=False)[0]
    return torch.cat((first, first + change[:, :, 1:]), dim=2)


def diffusion_loss(
    model: WanTransformer3DModel, clean: Tensor, text: Tensor, weight: Tensor, generator: torch.Generator
) -> Tensor:
    """Return the mean squared error of the predicted clean latents, weighted per channel.

    Args:
        model: the whole transformer.
        clean: (B, C, T, h, w); for T > 1 the first frame is given and not part of the loss.
        text: (B, L, D).
        weight: (C,) of mean 1.
        generator: source of times and noise, on the device of `clean`.
    """
    time = torch.rand(len(clean), generator=generator, device=clean.device)
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    mix = time[:, None, None, None, None]
    noisy = (1 - mix) * clean + mix * noise
    start = 0
    if clean.shape[2] > 1:
        noisy, start = torch.cat((clean[:, :, :1], noisy[:, :, 1:]), dim=2), 1
    error = (predict_clean(model, noisy, time, text).float() - clean)[:, :, start:].square()
    return (error * weight[:, None, None, None]).mean()


@torch.no_grad()
def sample_video(
    model: WanTransformer3DModel,
    first: Tensor,
    frames: int,
    text: Tensor,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Return sampled latents (B, C, frames, h, w) that continue `first` (B, C, 1, h, w), by Euler steps."""
    batch, channels, _, height, width = first.shape
    shape = (batch, channels, frames, height, width)
    latents = torch.randn(shape, generator=generator, device=first.device)
    times = torch.linspace(1, 0, steps + 1, device=first.device)
    for now, following in pairwise(times):
        latents = torch.cat((first, latents[:, :, 1:]), dim=2)
        clean = predict_clean(model, latents, now.expand(batch), text).float()
        latents = clean + (latents - clean) * (following / now)
    return latents


def psnr_db(video: Tensor, truth: Tensor) -> float:
    """Return the peak signal-to-noise ratio of videos in [-1, 1], all frames but the first [dB]."""
    error = (video[:, :, 1:] - truth[:, :, 1:]).square().mean()
    return float(10 * torch.log10(4.0 / error))
