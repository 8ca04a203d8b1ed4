"""Configurations and thresholds of tests: models that compute in milliseconds, a robot that is watched closely."""

from copy import deepcopy

THRESHOLDS = {
    "image_age_s": 1.0,
    "joint_state_age_s": 0.5,
    "latent_age_s": 2.0,
    "chunk_age_s": 1.0,
    "image_frozen_s": 0.5,
    "image_dark_s": 0.5,
    "frame_gap_s": 1.0,
    "tracking_error_rad": 0.5,
    "second_publisher_s": {"fault": 0.2},
    "camera_skew_s": 0.05,
}

VISION = {
    "kind": "conv",
    "image_width": 32,
    "image_height": 32,
    "channels": (8, 8, 8),
    "grid_channels": (8, 8),
    "keypoints": 4,
    "keypoint_tokens": 2,
    "grid": 2,
}

ENCODER = {
    "window_frames": 5,
    "frame_period_s": 0.1,
    "vae": {"kind": "patch", "patch_size": 4, "channels": 12},
    "transformer": {
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": 12,
        "out_channels": 12,
        "text_dim": 8,
        "freq_dim": 16,
        "ffn_dim": 32,
        "num_layers": 2,
        "rope_max_seq_len": 16,
    },
    "layer": 2,
    "channel_order": "rgb",
    "spatial": {"frames": 1, "width": 16, "height": 16, "method": "sobel"},
    "motion": {"frames": 5, "width": 16, "height": 16, "method": "fft", "freq_high": 7.0},
    "text": {"length": 3, "dim": 8},
}


def encoder(**changes):
    """A video encoder's configuration of its own; parts that are given as dicts change only what they name."""
    content = deepcopy(ENCODER)
    for name, value in changes.items():
        content[name] = content[name] | value if isinstance(value, dict) and name in content else value
    return content
