"""The released sizes are understood from their key lists alone: no weight is read."""

import json

import pytest
import torch

from video2act_ros.bundles.checkpoint_files import StoredTensor
from video2act_ros.bundles.infer_encoder import (
    _transformer_config,
    _transformer_tensors,
    _vae_tensors,
    vae_config,
)
from video2act_ros.bundles.infer_policy import infer_policy
from video2act_ros.bundles.released_settings import ReleasedSettings
from video2act_ros.bundles.shards import parameters_on_meta, shapes
from video2act_ros.core.types import LatentStream
from video2act_ros.system1.policy import Policy
from video2act_ros.system1.weights import UNUSED_REFERENCE_KEYS
from video2act_ros.system2.config import VideoEncoderConfig

from .released import (
    GOLDEN,
)


def described(name):
    """Return a key list of the full-size model as tensors without weights."""
    keys = json.loads((GOLDEN / "keys" / f"{name}.json").read_text())
    return {
        key: StoredTensor(tuple(shape), getattr(torch, dtype), lambda: pytest.fail("weights were read"))
        for key, (shape, dtype) in keys.items()
    }


def full_encoder():
    """Return the full-size video model's configuration, inferred from its keys."""
    vae = {key.removeprefix("model."): value for key, value in described("wan22_vae38").items()}
    settings = ReleasedSettings()
    transformer = _transformer_config(described("wan22_ti2v_5b_dit"), settings)
    config = VideoEncoderConfig(
        window_frames=61,
        frame_period_s=0.04,
        vae=vae_config({key: tensor.shape for key, tensor in vae.items()}, settings),
        transformer=transformer,
        layer=20,
        spatial=settings.spatial,
        motion=settings.motion,
        text={"length": 512, "dim": transformer.text_dim},
    )
    return config, vae


@pytest.mark.parametrize(
    ("name", "variant", "depth"),
    [
        ("policy_example_direct_projection", "direct", None),
        ("policy_compressor_depth3_dim512", "compressor", 3),
        ("policy_example_as_shipped", "compressor", 0),
    ],
)
def test_full_size_policies_fit_their_key_lists(name, variant, depth):
    """The configuration inferred from the released keys builds exactly the released shapes, without weights."""
    tensors = described(name)
    encoder, _ = full_encoder()
    tower = {
        "hidden_size": 1152,
        "image_size": 384,
        "patch_size": 14,
        "num_hidden_layers": 1,
        "num_attention_heads": 16,
    }
    vision = {"kind": "siglip", "model": tower}
    config = infer_policy(tensors, ReleasedSettings(), encoder, vision, "bfloat16")
    with parameters_on_meta():
        policy = Policy(config)
    own = {key: shape for key, shape in shapes(policy).items() if not key.startswith("vision.")}
    assert own == {k: t.shape for k, t in tensors.items() if k not in UNUSED_REFERENCE_KEYS}
    assert config.video.variant == variant
    assert (config.hidden, config.depth, config.heads, config.horizon) == (2048, 28, 32, 64)
    assert (config.video.spatial_tokens, config.video.motion_tokens) == (390, 784)
    assert config.video.blind == (depth == 0)
    assert (config.video.motion_compressor.depth if depth is not None else None) == depth


def test_the_full_size_video_model_fits_its_key_list():
    """825 keys of the video model and 196 of the VAE are understood; 20 of 30 blocks are kept."""
    config, vae = full_encoder()
    used = _transformer_tensors(described("wan22_ti2v_5b_dit"), config.transformer, config.layer)
    parameters = sum(torch.Size(tensor.shape).numel() for tensor in used.values())
    assert 3.3e9 < parameters < 3.4e9
    assert (config.transformer.num_attention_heads, config.transformer.num_layers) == (24, 30)
    assert config.vae.base_dim == 160
    assert config.vae.dim_mult == (1, 2, 4, 4)
    assert config.vae.temperal_downsample == (False, True, True)
    assert (config.vae.spatial_factor, config.vae.temporal_factor) == (16, 4)
    assert _vae_tensors(vae, config.vae)
    assert config.token_count(LatentStream.SPATIAL) == 390
    assert config.token_count(LatentStream.MOTION) == 784
