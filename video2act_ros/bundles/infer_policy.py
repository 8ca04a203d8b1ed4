"""The configuration of a released policy, read off its keys and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from video2act_ros.bundles.checkpoint_files import StoredTensors
from video2act_ros.bundles.released_settings import ReleasedSettings
from video2act_ros.core.errors import BundleError
from video2act_ros.core.types import LatentStream
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system2.config import VideoEncoderConfig

ANCHOR = "model.x_pos_embed"
"""A key that every policy checkpoint has."""

VIDEO_BLIND = (
    "this policy cannot see the video: its token compressor has depth 0, so it turns every video into the same "
    "constants (the example configuration switches the compressor on without layers)"
)

Variant = Literal["direct", "compressor", "single"]
Shapes = Mapping[str, tuple[int, ...]]


def variant_of(keys: Shapes) -> Variant:
    """Return how the video enters the policy, whatever a configuration file says."""
    if not any(key.startswith("motion_") for key in keys):
        return "single"
    if any(key.startswith("video_token_compressor.") for key in keys):
        return "compressor"
    return "direct"


def infer_policy(
    tensors: StoredTensors,
    settings: ReleasedSettings,
    encoder: VideoEncoderConfig,
    vision: Mapping[str, Any],
    dtype: str,
) -> PolicyConfig:
    """Return the configuration of a policy whose keys are the released names.

    Args:
        tensors: the checkpoint, without prefix.
        settings: what the keys do not tell.
        encoder: the video encoder that makes its features; gives the number of tokens.
        vision: the vision part of the configuration.
        dtype: of the policy, `float32` or `bfloat16`.

    Raises:
        BundleError: a key that decides a size is missing, or the sizes contradict each other.
    """
    shapes = {key: tensor.shape for key, tensor in tensors.items()}
    try:
        return PolicyConfig.model_validate(
            _core(shapes, settings)
            | {
                "vision": vision,
                "images": _images(shapes, settings),
                "camera_path": settings.camera_path,
                "video": _video(shapes, settings, encoder),
                "dtype": dtype,
            }
        )
    except KeyError as error:
        raise BundleError(f"the policy checkpoint lacks {error}; give a complete checkpoint") from error
    except ValidationError as error:
        raise BundleError(f"the policy checkpoint's sizes do not fit together: {error}") from error


def _core(shapes: Shapes, settings: ReleasedSettings) -> dict[str, Any]:
    _, tokens, hidden = shapes[ANCHOR]
    return {
        "hidden": hidden,
        "horizon": tokens - 3,  # timestep, frequency and state come first
        "depth": _count(shapes, r"model\.blocks\.(\d+)\."),
        "heads": hidden // shapes["model.blocks.0.attn.q_norm.weight"][0],
        "norm": "variance",
        "lang_dim": _adaptor_input(shapes, "lang_adaptor"),
        "max_lang": shapes["model.lang_cond_pos_embed"][1],
        "adaptors": {
            name: _adaptor_kind(shapes, f"{key}_adaptor")
            for name, key in (("language", "lang"), ("image", "img"), ("state", "state"), ("video", "video"))
        },
        "state_vector": {
            "size": _adaptor_input(shapes, "state_adaptor") // 2,
            "indices": settings.state_indices,
        },
        "actions": {"representation": "absolute"},
        "sampler": {"steps": settings.sampler_steps, "train_timesteps": settings.train_timesteps},
        "ctrl_freq_hz": settings.ctrl_freq_hz,
        "action_step_s": settings.action_step_s,
    }


def _images(shapes: Shapes, settings: ReleasedSettings) -> dict[str, Any]:
    count, images = shapes["model.img_cond_pos_embed"][1], settings.history * len(settings.cameras)
    if count % images:
        raise BundleError(
            f"the policy looks at {count} image tokens, which {settings.history} x {len(settings.cameras)} images "
            "cannot share equally; name its cameras with --cameras"
        )
    return {
        "dim": _adaptor_input(shapes, "img_adaptor"),
        "tokens_per_image": count // images,
        "history": settings.history,
        "cameras": settings.cameras,
    }


def _video(shapes: Shapes, settings: ReleasedSettings, encoder: VideoEncoderConfig) -> dict[str, Any]:
    variant = variant_of(shapes)
    single = variant == "single"
    return {
        "variant": variant,
        "feature_dim": shapes["video_layernorm.weight"][0],
        "spatial_tokens": encoder.token_count(LatentStream.SPATIAL),
        "motion_tokens": 0 if single else encoder.token_count(LatentStream.MOTION),
        "spatial_compressor": None if variant == "direct" else infer_compressor(shapes, settings, "video"),
        "motion_compressor": infer_compressor(shapes, settings, "motion")
        if variant == "compressor"
        else None,
    }


def infer_compressor(shapes: Shapes, settings: ReleasedSettings, stream: str) -> dict[str, Any] | None:
    """Return the compressor's configuration of stream `video` or `motion`; None where `video` has none."""
    prefix = f"{stream}_token_compressor"
    if stream == "video" and not any(key.startswith(prefix) for key in shapes):
        return None
    frames, per_frame, dim = shapes[f"{prefix}.latents"]
    depth = _count(shapes, rf"{prefix}\.layers\.(\d+)\.")
    inner = shapes[f"{prefix}.layers.0.0.to_q.weight"][0] if depth else settings.compressor_head_dim
    return {
        "dim": dim,
        "depth": depth,
        "heads": inner // settings.compressor_head_dim,
        "head_dim": settings.compressor_head_dim,
        "tokens": frames * per_frame,
        "frames": frames,
        "temporal_attention": f"{prefix}.layers.0.1.qkv.weight" in shapes,
    }


def _count(shapes: Shapes, pattern: str) -> int:
    numbers = (match.group(1) for match in map(re.compile(pattern).match, shapes) if match is not None)
    return 1 + max(map(int, numbers), default=-1)


def _adaptor_input(shapes: Shapes, name: str) -> int:
    linear = f"{name}.weight"
    return shapes[linear if linear in shapes else f"{name}.0.weight"][1]


def _adaptor_kind(shapes: Shapes, name: str) -> str:
    if f"{name}.weight" in shapes:
        return "linear"
    last = _count(shapes, rf"{name}\.(\d+)\.weight") - 1  # a Linear at every even place
    return f"mlp{last // 2 + 1}x_gelu"


def contradictions(config: PolicyConfig, settings: ReleasedSettings) -> list[str]:
    """Return where the YAML describes another policy than the checkpoint is; the checkpoint counts."""
    compressor = config.video.spatial_compressor
    actual: dict[str, object] = {
        "variant": config.video.variant,
        "horizon": config.horizon,
        "state vector": config.state_vector.size,
        "language adaptor": config.adaptors.language,
        "image adaptor": config.adaptors.image,
        "state adaptor": config.adaptors.state,
        "video adaptor": config.adaptors.video,
        "compressor width": None if compressor is None else compressor.dim,
    }
    return [
        f"{name}: the YAML says {said}, the checkpoint has {actual[name]}"
        for name, said in settings.declared.items()
        if actual[name] is not None and actual[name] != said
    ]
