"""Operators that keep object boundaries or movement of a latent video (`docs/reference.md`, "extraction")."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from video2act_ros.core.errors import ConfigurationError, unknown_choice
from video2act_ros.system2.config import EXTRACTION_METHODS, FILTER_TYPES, FRAME_SELECTIONS

_GRADIENT_FLOOR = 1e-6  # under the root, so that the gradient of a flat area is finite
_SMOOTHING = {"sobel": (1.0, 2.0, 1.0), "scharr": (3.0, 10.0, 3.0)}
_LAPLACE = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def extract(
    latents: Tensor,
    method: str,
    *,
    fps: float = 16.0,
    filter_type: str = "bandpass",
    freq_low: float = 1.0,
    freq_high: float = 10.0,
    prop_motion: float = 0.04,
) -> Tensor:
    """Apply one extraction operator.

    Args:
        latents: (B, C, T, h, w) of any floating type; all but `moft` are computed in float32.
        method: one of `EXTRACTION_METHODS`.
        fps: label of the latent frame rate that `freq_low` and `freq_high` refer to.
        filter_type: one of `FILTER_TYPES`.
        freq_low: lowest frequency kept by the band-pass, inclusive.
        freq_high: highest frequency kept, inclusive.
        prop_motion: share of channels that `moft` keeps.

    Returns:
        Shape and type of `latents`; nothing of the input is added back and nothing is normalised.

    Raises:
        ConfigurationError: unknown method or filter type; lists the valid ones.
    """
    if method not in EXTRACTION_METHODS:
        raise ConfigurationError(unknown_choice("extraction method", method, EXTRACTION_METHODS))
    if method == "none":
        return latents
    if method == "moft":
        return select_moving_channels(latents, prop_motion)
    result = latents.float()
    if "fft" in method:
        result = filter_time(result, fps, filter_type, freq_low, freq_high)
    if method == "laplace":
        result = _correlate(result, torch.tensor(_LAPLACE)).abs()
    elif "sobel" in method or method == "scharr":
        result = _gradient_magnitude(result, _SMOOTHING["scharr" if method == "scharr" else "sobel"])
    return result.to(latents.dtype)


def _correlate(latents: Tensor, kernel: Tensor) -> Tensor:
    """Cross-correlate every channel and frame with a (3, 3) kernel, zero padding."""
    batch, channels, frames, height, width = latents.shape
    images = latents.reshape(-1, 1, height, width)  # (B*C*T, 1, h, w)
    filtered = functional.conv2d(images, kernel.to(images)[None, None], padding=1)
    return filtered.reshape(batch, channels, frames, height, width)


def _gradient_magnitude(latents: Tensor, smoothing: tuple[float, float, float]) -> Tensor:
    kernel = torch.outer(torch.tensor(smoothing), torch.tensor((-1.0, 0.0, 1.0)))
    across, down = _correlate(latents, kernel), _correlate(latents, kernel.T)
    return torch.sqrt(across.square() + down.square() + _GRADIENT_FLOOR)


def filter_time(latents: Tensor, fps: float, filter_type: str, freq_low: float, freq_high: float) -> Tensor:
    """Keep a band of frequencies along the time axis of (B, C, T, h, w) float32.

    Raises:
        ConfigurationError: unknown filter type; lists the valid ones.
    """
    if filter_type not in FILTER_TYPES:
        raise ConfigurationError(unknown_choice("filter type", filter_type, FILTER_TYPES))
    frames = latents.shape[2]
    bins = torch.arange(frames // 2 + 1, dtype=torch.float64, device=latents.device)
    frequencies = bins * fps / frames  # (T // 2 + 1,)
    keep = frequencies <= freq_high
    if filter_type == "bandpass":
        keep &= frequencies >= freq_low
    spectrum = torch.fft.rfft(latents, dim=2) * keep[:, None, None]
    return torch.fft.irfft(spectrum, n=frames, dim=2)


def moving_channels(latents: Tensor, prop_motion: float) -> Tensor:
    """Return the indices of the channels that vary most over time, strongest first.

    The variance is unbiased over time and averaged over batch and space; at least one channel is kept.

    Raises:
        ConfigurationError: a single frame has no variance.
    """
    channels, frames = latents.shape[1:3]
    if frames < 2:
        raise ConfigurationError(
            "extraction method 'moft' needs at least 2 latent frames; use another method"
        )
    count = max(1, int(channels * prop_motion))
    variance = latents.var(dim=2, unbiased=True).mean(dim=(0, 2, 3))  # (C,)
    return variance.topk(count).indices


def select_moving_channels(latents: Tensor, prop_motion: float) -> Tensor:
    """Zero all but the `moving_channels` of (B, C, T, h, w)."""
    mask = torch.zeros(latents.shape[1], dtype=latents.dtype, device=latents.device)
    mask[moving_channels(latents, prop_motion)] = 1
    return latents * mask[:, None, None, None]


def select_frames(latents: Tensor, count: int | None, selection: str) -> Tensor:
    """Keep `count` of the T frames of (B, C, T, h, w); None keeps all.

    Raises:
        ConfigurationError: unknown selection, or fewer frames than asked for.
    """
    frames = latents.shape[2]
    if count is None or count == frames:
        return latents
    if count > frames:
        raise ConfigurationError(
            f"{count} latent frames asked for, the window has {frames}; use a longer window"
        )
    if selection == "last":
        return latents[:, :, frames - count :]
    if selection == "first":
        return latents[:, :, :count]
    if selection == "center":
        start = (frames - count) // 2
        return latents[:, :, start : start + count]
    if selection == "uniform":
        spread = torch.linspace(0, frames - 1, count, dtype=torch.float64, device=latents.device)
        return latents[:, :, spread.round().long()]
    raise ConfigurationError(unknown_choice("frame selection", selection, FRAME_SELECTIONS))


def resize_latents(latents: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Resize the frames of (B, C, T, h, w) bilinearly to `size` (rows, columns); None keeps them."""
    if size is None or tuple(latents.shape[-2:]) == size:
        return latents
    batch, _, frames = latents.shape[:3]
    images = latents.transpose(1, 2).flatten(0, 1)  # (B*T, C, h, w)
    resized = functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
    return resized.unflatten(0, (batch, frames)).transpose(1, 2)
