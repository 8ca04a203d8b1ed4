"""What the released model's checkpoints do not tell: the arrangement around them, and its YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from video2act_ros.core.errors import BundleError, ConfigurationError
from video2act_ros.core.images import CameraPathConfig
from video2act_ros.system2.config import StreamConfig

BIMANUAL_INDICES = (*range(50, 56), 60, *range(6), 10)  # left arm, left gripper, right arm, right gripper
CAMERAS = ("cam_high", "cam_right_wrist", "cam_left_wrist")
LATENT_PIXELS = 16  # of the video model's VAE, in each direction
WAN_HEAD_DIM = 128  # of every Wan model; the weights do not show it
COMPRESSOR_HEAD_DIM = 64

# Per-channel normalisation of the Wan2.2 VAE's latents; docs/reference.md, "VAE".
WAN_LATENTS_MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
WAN_LATENTS_STD = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip

_STREAM_KEYS = {"filter_type", "freq_low", "freq_high", "prop_motion"}
_METHOD_KEYS = ("extraction_method", "extraction", "method")
_SAMPLER_CHOICES = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "sample"}
_CAMERA_PATH = CameraPathConfig()
_SPATIAL = StreamConfig(frames=1, width=832, height=480, method="sobel")
_MOTION = StreamConfig(
    frames=61, width=224, height=224, method="fft", freq_low=1.0, freq_high=7.0, latent_frames=16
)


@dataclass(frozen=True, slots=True)
class ReleasedSettings:
    """The arrangement of the released example; a YAML file and options change single values.

    `head_dim` and `compressor_head_dim` are the widths of one attention head of the video model and of the
    token compressors. `video_size` (height, width) is what a single-stream policy's latents are resized for.
    `declared` holds what the YAML says about things that the checkpoint decides, for comparison.
    """

    cameras: tuple[str, ...] = CAMERAS
    history: int = 2
    state_indices: tuple[int, ...] = BIMANUAL_INDICES
    ctrl_freq_hz: float = 25.0
    action_step_s: float = 0.04
    sampler_steps: int = 5
    train_timesteps: int = 1000
    layer: int = 20
    head_dim: int = WAN_HEAD_DIM
    compressor_head_dim: int = COMPRESSOR_HEAD_DIM
    text_length: int = 512
    spatial: StreamConfig = _SPATIAL
    motion: StreamConfig = _MOTION
    camera_path: CameraPathConfig = _CAMERA_PATH
    image_resize: str = "pad"
    brighten_dark: bool = False
    video_size: tuple[int, int] | None = None
    latents_mean: tuple[float, ...] = WAN_LATENTS_MEAN
    latents_std: tuple[float, ...] = WAN_LATENTS_STD
    lora_alpha: float | None = None
    declared: Mapping[str, object] = field(default_factory=dict)


def read_settings(path: Path, settings: ReleasedSettings) -> tuple[ReleasedSettings, list[str]]:
    """Return `settings` with what the model's YAML file says, and notes about what it does not.

    Raises:
        BundleError: no such file, no YAML, or a value that this package cannot reproduce.
    """
    if not path.is_file():
        raise BundleError(f"no configuration at {path}: the path does not exist")
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, Mapping):
        raise BundleError(f"{path} is no mapping; give the model's own YAML file")
    try:
        return _resolve(content, settings)
    except (ValidationError, ConfigurationError, TypeError, ValueError) as error:
        raise BundleError(f"{path}: {error}") from error


def _resolve(content: Mapping[str, Any], settings: ReleasedSettings) -> tuple[ReleasedSettings, list[str]]:
    common, model, dataset = (_section(content, name) for name in ("common", "model", "dataset"))
    video = _section(content, "framepack") or _section(model, "framepack")
    scheduler = _section(model, "noise_scheduler")
    for name, supported in _SAMPLER_CHOICES.items():
        if scheduler.get(name, supported) != supported:
            raise BundleError(
                f"noise_scheduler.{name} '{scheduler[name]}' is not supported, only '{supported}'"
            )
    _refuse_unsupported(video)
    notes: list[str] = []
    cameras = int(common.get("num_cameras", len(settings.cameras)))
    if cameras != len(settings.cameras):
        raise BundleError(
            f"the YAML has {cameras} cameras, the import {', '.join(settings.cameras)}; name them with --cameras"
        )
    resolved = replace(
        settings,
        history=int(common.get("img_history_size", settings.history)),
        sampler_steps=int(scheduler.get("num_inference_timesteps", settings.sampler_steps)),
        train_timesteps=int(scheduler.get("num_train_timesteps", settings.train_timesteps)),
        layer=int(_first(video, model, "feature_extraction_layers", settings.layer)),
        spatial=_stream(_section(video, "raw_stream"), video, settings.spatial, "raw_stream", notes),
        motion=_stream(_section(video, "motion_stream"), video, settings.motion, "motion_stream", notes),
        lora_alpha=_lora_alpha(_section(video, "train_lora")),
        image_resize="pad" if dataset.get("image_aspect_ratio", "pad") == "pad" else "stretch",
        brighten_dark=bool(dataset.get("auto_adjust_image_brightness", False)),
        video_size=_size(video.get("video_size")),
        declared=_declared(common, model, video),
    )
    return resolved, notes


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    return value if isinstance(value, Mapping) else {}


def _first(video: Mapping[str, Any], model: Mapping[str, Any], name: str, default: Any) -> Any:
    return video.get(name, model.get(name, default))


def _refuse_unsupported(video: Mapping[str, Any]) -> None:
    if int(video.get("cache_concat_chunks", 1)) != 1:
        raise BundleError("framepack.cache_concat_chunks other than 1 is not supported")
    source = _section(video, "raw_stream").get("latent_source", "raw")
    if source == "motion_current":
        raise BundleError("framepack.raw_stream.latent_source 'motion_current' is not supported")


def _stream(
    part: Mapping[str, Any], video: Mapping[str, Any], default: StreamConfig, name: str, notes: list[str]
) -> StreamConfig:
    """Return one stream; a section that is there replaces the example's band by the released code's defaults."""
    changes: dict[str, Any] = {"fps": float(video.get("fps", default.fps))}
    if part:
        changes |= {"freq_low": 1.0, "freq_high": 10.0} | {
            key: part[key] for key in _STREAM_KEYS & part.keys()
        }
        method = next((part[key] for key in _METHOD_KEYS if key in part), default.method)
        changes["method"] = method or "none"
        known = {*_STREAM_KEYS, *_METHOD_KEYS, "latent_source"}
        unknown = sorted(
            key for key in part.keys() - known if not str(key).startswith(("compress", "use_temporal"))
        )
        if unknown:
            notes.append(f"framepack.{name}: not used here: {', '.join(unknown)}")
    if name == "motion_stream":
        frames = _first(part, video, "latent_num_frames", default.latent_frames)
        changes["latent_frames"] = None if frames is None else int(frames)
        changes["frame_select"] = _first(part, video, "latent_frame_select", default.frame_select)
    return StreamConfig.model_validate(default.model_dump() | changes)


def _size(value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or any(int(item) % LATENT_PIXELS for item in value):
        raise ValueError(
            f"framepack.video_size must be height and width in steps of {LATENT_PIXELS}, not {value}"
        )
    return int(value[0]), int(value[1])


def _lora_alpha(part: Mapping[str, Any]) -> float | None:
    alpha = part.get("alpha")
    return None if alpha is None else float(alpha)


def _declared(
    common: Mapping[str, Any], model: Mapping[str, Any], video: Mapping[str, Any]
) -> dict[str, object]:
    """Return the YAML's own account of the architecture, legacy names included."""
    compressor = model.get("use_video_token_compressor", model.get("use_dual_token_compressor", True))
    declared: dict[str, object] = {
        "variant": "single"
        if _first(video, model, "use_dual_stream_framepack", True) is False
        else ("compressor" if compressor else "direct"),
        "horizon": common.get("action_chunk_size"),
        "state vector": common.get("state_dim"),
        "language adaptor": model.get("lang_adaptor"),
        "image adaptor": model.get("img_adaptor"),
        "state adaptor": model.get("state_adaptor"),
        "video adaptor": model.get("video_adaptor", model.get("framepack_adaptor")),
    }
    if compressor:
        declared["compressor width"] = model.get(
            "video_compressed_dim", model.get("framepack_compressed_dim", 512)
        )
    return {name: value for name, value in declared.items() if value is not None}
