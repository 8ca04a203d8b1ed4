from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.system2.config import EXTRACTION_METHODS
from video2act_ros.system2.extraction import extract, resize_latents, select_frames


def random_latents(seed: int, frames: int = 5) -> Tensor:
    return torch.randn(2, 6, frames, 5, 7, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(2, 17))
def test_band_of_a_still_scene_is_empty(seed: int, frames: int) -> None:
    """The band-pass removes whatever does not change in time."""
    still = random_latents(seed, 1).expand(-1, -1, frames, -1, -1)
    assert extract(still, "fft").abs().max() < 1e-5


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**16),
    st.integers(2, 17),
    st.sampled_from([("bandpass", 1.0, 7.0), ("lowpass", 0.0, 4.0)]),
)
def test_filter_is_a_projection(seed: int, frames: int, band: tuple[str, float, float]) -> None:
    """Filtering twice changes nothing more, and the filter is linear."""
    options = {"filter_type": band[0], "freq_low": band[1], "freq_high": band[2]}
    latents, other = random_latents(seed, frames), random_latents(seed + 1, frames)
    once = extract(latents, "fft", **options)
    torch.testing.assert_close(extract(once, "fft", **options), once, atol=1e-5, rtol=0)
    summed = extract(latents + 2 * other, "fft", **options)
    torch.testing.assert_close(summed, once + 2 * extract(other, "fft", **options), atol=1e-4, rtol=0)


@given(st.integers(3, 12), st.data())
def test_band_edges_are_inclusive(frames: int, data: st.DataObject) -> None:
    """A pure tone passes when its nominal frequency k fps / T lies on the edge of the band."""
    tone = data.draw(st.integers(1, (frames - 1) // 2))
    time = torch.arange(frames) * (2 * math.pi * tone / frames)
    latents = torch.cos(time).reshape(1, 1, frames, 1, 1)
    edge = tone * 16.0 / frames
    passed = extract(latents, "fft", freq_low=edge, freq_high=edge)
    torch.testing.assert_close(passed, latents, atol=1e-5, rtol=0)
    assert extract(latents, "fft", freq_low=edge + 0.01, freq_high=100.0).abs().max() < 1e-5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.floats(-5, 5), st.sampled_from(["sobel", "scharr", "laplace"]))
def test_boundaries_ignore_brightness(seed: int, offset: float, method: str) -> None:
    """Away from the border a constant added to the latents does not change the boundaries."""
    latents = random_latents(seed)
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(
        extract(latents + offset, method)[inner], extract(latents, method)[inner], atol=2e-3, rtol=0
    )


@pytest.mark.parametrize("method", EXTRACTION_METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shape_and_type_are_kept(method: str, dtype: torch.dtype) -> None:
    """The video model's input has the latents' shape and type, whatever the operator."""
    latents = random_latents(0).to(dtype)
    result = extract(latents, method)
    assert result.shape == latents.shape
    assert result.dtype == dtype


def test_unknown_names_are_refused_with_the_choices() -> None:
    """An unknown operator, filter or selection never passes the latents through unchanged."""
    latents = random_latents(0)
    with pytest.raises(ConfigurationError, match="none, sobel, scharr"):
        extract(latents, "sobol")
    with pytest.raises(ConfigurationError, match="bandpass, lowpass"):
        extract(latents, "fft", filter_type="highpass")
    with pytest.raises(ConfigurationError, match="last, first, center, uniform"):
        select_frames(latents, 3, "middle")


def test_impossible_requests_are_refused() -> None:
    """More frames than there are, or a variance over one frame, is an error rather than NaN."""
    with pytest.raises(ConfigurationError, match="longer window"):
        select_frames(random_latents(0), 6, "last")
    with pytest.raises(ConfigurationError, match="at least 2 latent frames"):
        extract(random_latents(0, 1), "moft")


def test_resized_latents_keep_frames_apart() -> None:
    """Resizing acts on each latent frame alone; the same size, or none, changes nothing."""
    latents = random_latents(0)
    together = resize_latents(latents, (4, 6))
    alone = torch.cat([resize_latents(latents[:, :, k : k + 1], (4, 6)) for k in range(5)], dim=2)
    torch.testing.assert_close(together, alone)
    assert resize_latents(latents, None) is resize_latents(latents, (5, 7)) is latents
