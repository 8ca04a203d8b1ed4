"""Policies and reference values that the System 1 tests share."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from shared_configs import VISION
from torch import Tensor

from video2act_ros.bundles.verify_reference.folder import read_folder
from video2act_ros.bundles.verify_reference.whole_steps import both_systems
from video2act_ros.core.types import LatentPair, LatentStream, LatentTokens, Observation
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.policy import Policy

GOLDEN = Path(__file__).parents[2] / "golden"


@cache
def manifest() -> dict[str, Any]:
    return json.loads((GOLDEN / "manifest.json").read_text())


def reference(name: str) -> tuple[dict[str, Tensor], float]:
    """Return one file's tensors and its largest allowed absolute error (0 where values are exact)."""
    file = f"{name}.safetensors"
    return load_file(GOLDEN / file), manifest()["files"][file].get("tol", 0.0)


def assert_within(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=tolerance)


def golden_policy(variant: str = "direct") -> Policy:
    """Return the reference's policy of one variant with its stored weights."""
    return both_systems(read_folder(GOLDEN).open(f"f_predict_{variant}.safetensors"))[1]


def small_config(**changes: Any) -> PolicyConfig:
    """Return a tiny configuration with a convolutional vision and joint-relative actions."""
    values: dict[str, Any] = {
        "hidden": 32,
        "depth": 3,
        "heads": 2,
        "horizon": 8,
        "norm": "variance",
        "lang_dim": 10,
        "max_lang": 6,
        "state_vector": {"size": 14, "indices": tuple(range(14))},
        "actions": {
            "representation": "joint_relative",
            "scale": tuple(0.1 + 0.05 * joint for joint in range(14)),
            "gripper_joints": (6, 13),
        },
        "images": {
            "dim": 16,
            "tokens_per_image": 6,
            "history": 1,
            "cameras": ("cam_high", "cam_right_wrist"),
        },
        "vision": VISION,
        "video": {"variant": "direct", "feature_dim": 12, "spatial_tokens": 4, "motion_tokens": 6},
        "ctrl_freq_hz": 25.0,
        "action_step_s": 0.04,
    }
    return PolicyConfig.model_validate({**values, **changes})


def small_policy(seed: int = 0, **changes: Any) -> Policy:
    """Return a tiny policy with random weights, the zero-initialised output layer included."""
    torch.manual_seed(seed)
    policy = Policy(small_config(**changes)).eval()
    torch.nn.init.normal_(policy.model.final_layer.ffn_final.fc2.weight, std=0.1)
    return policy


def latent_pair(config: PolicyConfig, seed: int = 0, scale: float = 1.0) -> LatentPair:
    generator = np.random.default_rng(seed)

    def stream(name: LatentStream, count: int) -> LatentTokens:
        tokens = scale * generator.standard_normal((count, config.video.feature_dim)).astype(np.float32)
        return LatentTokens(name, 0, seed, 0, tokens, "features", "bundle", (0,), "lift the cube")

    return LatentPair(
        stream(LatentStream.SPATIAL, config.video.spatial_tokens),
        stream(LatentStream.MOTION, config.video.motion_tokens),
    )


def observation(seed: int = 0, cameras: tuple[str, ...] = ("cam_high", "cam_right_wrist")) -> Observation:
    generator = np.random.default_rng(seed)
    images = {name: generator.integers(0, 256, (48, 64, 3), dtype=np.uint8) for name in cameras}
    stamps = dict.fromkeys(cameras, 0)
    return Observation(0, images, stamps, generator.uniform(0.0, 1.0, 14), 0, "lift the cube")
