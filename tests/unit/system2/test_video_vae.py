from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.system2.config import PatchVaeConfig, WanVaeConfig
from video2act_ros.system2.video_vae import PatchVideoVae, WanVae


def test_a_vae_without_decoder_says_so() -> None:
    """Decoding needs the decoder, which is built on request only."""
    vae = WanVae(WanVaeConfig(base_dim=5, latents_mean=(0.0,) * 48, latents_std=(1.0,) * 48)).eval()
    with pytest.raises(ConfigurationError, match="with_decoder=True"):
        vae.decode(torch.zeros(1, 48, 1, 2, 2))


def small_vae() -> PatchVideoVae:
    generator = torch.Generator().manual_seed(0)
    vae = PatchVideoVae(PatchVaeConfig(patch_size=4, channels=12))
    video = torch.rand(8, 3, 9, 16, 16, generator=generator) * 2 - 1
    vae.fit(vae.patches(video).flatten(0, 3))
    return vae


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 3), st.integers(0, 2**16))
def test_patch_vae_is_causal(pack: int, seed: int) -> None:
    """A latent frame depends on no later camera frame."""
    vae, generator = small_vae(), torch.Generator().manual_seed(seed)
    video = torch.rand(1, 3, 13, 8, 8, generator=generator)
    changed = video.clone()
    changed[:, :, 1 + 4 * pack :] = torch.rand(1, 3, 12 - 4 * pack, 8, 8, generator=generator)
    torch.testing.assert_close(vae.encode(video)[:, :, : 1 + pack], vae.encode(changed)[:, :, : 1 + pack])


@pytest.mark.parametrize("frames", [1, 4, 5, 9, 11])
def test_patch_vae_shapes(frames: int) -> None:
    """First frame alone, then packs of four; frames beyond the last whole pack are not used."""
    latents = small_vae().encode(torch.zeros(2, 3, frames, 16, 24))
    assert latents.shape == (2, 12, 1 + (frames - 1) // 4, 4, 6)


def test_patch_vae_inverts_itself_with_enough_channels() -> None:
    """With as many components as values nothing is lost."""
    vae = PatchVideoVae(PatchVaeConfig(patch_size=2, channels=48))
    video = torch.rand(4, 3, 9, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    vae.fit(vae.patches(video).flatten(0, 3))
    torch.testing.assert_close(vae.decode(vae.encode(video)), video, atol=1e-4, rtol=0)


def test_patch_vae_normalises_what_it_was_fitted_on() -> None:
    """Every channel has mean zero and variance one over the fitted patches."""
    vae = PatchVideoVae(PatchVaeConfig(patch_size=4, channels=12))
    video = torch.rand(16, 3, 9, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    vae.fit(vae.patches(video).flatten(0, 3))
    channels = vae.encode(video).transpose(0, 1).flatten(1)
    torch.testing.assert_close(channels.mean(1), torch.zeros(12), atol=1e-4, rtol=0)
    torch.testing.assert_close(channels.std(1), torch.ones(12), atol=1e-3, rtol=0)


def test_still_scene_gives_latents_constant_in_time() -> None:
    """A scene without movement has no motion signal."""
    frame = torch.rand(1, 3, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    latents = small_vae().encode(frame.expand(-1, -1, 9, -1, -1))
    torch.testing.assert_close(latents, latents[:, :, :1].expand_as(latents))
