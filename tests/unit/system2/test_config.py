from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from shared_configs import encoder

from video2act_ros.core.types import LatentStream
from video2act_ros.system2.config import VideoEncoderConfig


def tiny() -> dict[str, Any]:
    """Return a valid configuration of a very small encoder."""
    return encoder(
        window_frames=9,
        transformer={"num_layers": 3},
        spatial={"width": 32, "height": 24},
        motion={"frames": 9},
    )


def test_token_counts_of_the_released_sizes() -> None:
    """832x480 gives 390 spatial tokens, 61 frames of 224x224 give 784 motion tokens."""
    config = VideoEncoderConfig.model_validate(
        {
            "window_frames": 61,
            "frame_period_s": 0.04,
            "vae": {"kind": "wan", "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48},
            "transformer": {
                "num_attention_heads": 24,
                "attention_head_dim": 128,
                "in_channels": 48,
                "out_channels": 48,
                "text_dim": 4096,
                "freq_dim": 256,
                "ffn_dim": 14336,
                "num_layers": 30,
            },
            "layer": 20,
            "spatial": {"frames": 1, "width": 832, "height": 480, "method": "sobel"},
            "motion": {"frames": 61, "width": 224, "height": 224, "method": "fft", "freq_high": 7.0},
            "text": {"length": 512, "dim": 4096},
        }
    )
    assert config.latent_shape(LatentStream.SPATIAL) == (48, 1, 30, 52)
    assert config.latent_shape(LatentStream.MOTION) == (48, 16, 14, 14)
    assert config.token_count(LatentStream.SPATIAL) == 390
    assert config.token_count(LatentStream.MOTION) == 784
    assert config.feature_dim == 3072


def test_configuration_survives_a_round_trip() -> None:
    """A manifest written from a configuration reads back as the same configuration."""
    config = VideoEncoderConfig.model_validate(tiny())
    assert VideoEncoderConfig.model_validate(config.model_dump(mode="json", exclude_none=True)) == config


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("layer", 4, "layer 4 exceeds"),
        ("motion.frames", 8, r"1 \+ a multiple of 4"),
        ("motion.frames", 13, "exceeds window_frames 9"),
        ("motion.width", 20, "multiple of 8"),
        ("motion.latent_frames", 4, "exceeds the encoded 3"),
        ("spatial.method", "sobol", "none, sobel, scharr"),
        ("motion.filter_type", "highpass", "bandpass, lowpass"),
        ("motion.frame_select", "middle", "last, first, center, uniform"),
        ("text.dim", 9, "must equal transformer.text_dim 8"),
        ("vae.channels", 10, "is not the VAE's 10"),
        ("vae.kind", "conv", "kind"),
        ("transformer.rope_max_seq_len", 2, "rope_max_seq_len is too small"),
        ("frame_period_s", 0, "greater than 0"),
        ("speed", 1, "speed"),
    ],
)
def test_what_cannot_work_is_refused(path: str, value: object, message: str) -> None:
    """A configuration that would fail later is refused when it is read, naming the field."""
    content = tiny()
    *parents, name = path.split(".")
    part = content
    for parent in parents:
        part = part[parent]
    part[name] = value
    with pytest.raises(ValidationError, match=message):
        VideoEncoderConfig.model_validate(content)


def test_unused_options_do_not_enter_the_features_identity() -> None:
    """Bundles made before an option existed keep the identity of their features."""
    content = VideoEncoderConfig.model_validate(tiny()).model_dump(mode="json")
    assert "camera_path" not in content
    assert not {"latent_size"} & {*content["spatial"], *content["motion"]}
    assert content["motion"]["latent_frames"] is None
    used = VideoEncoderConfig.model_validate({**tiny(), "camera_path": {"jpeg_quality": 90}})
    assert used.model_dump(mode="json")["camera_path"]["jpeg_quality"] == 90


def test_resized_latents_give_the_token_grid() -> None:
    """The single-stream arrangement resizes latents; the grid is that of the resized ones."""
    content = tiny()
    content["spatial"] = {"frames": 1, "width": 32, "height": 28, "method": "none", "latent_size": (4, 6)}
    assert VideoEncoderConfig.model_validate(content).grid(LatentStream.SPATIAL) == (1, 2, 3)
    content["spatial"]["latent_size"] = (3, 6)
    with pytest.raises(ValidationError, match="latent_size must be multiples of 2"):
        VideoEncoderConfig.model_validate(content)
