"""The configuration and the weights of a released video model and VAE, read off their original keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from video2act_ros.bundles.checkpoint_files import StoredTensor, StoredTensors, check_keys, listing
from video2act_ros.bundles.released_settings import ReleasedSettings
from video2act_ros.bundles.shards import parameters_on_meta, shapes
from video2act_ros.core.errors import BundleError
from video2act_ros.system2.config import TransformerConfig, VideoEncoderConfig, WanVaeConfig
from video2act_ros.system2.encoder import VideoEncoder
from video2act_ros.system2.video_model import build_transformer
from video2act_ros.system2.video_vae import WanVae
from video2act_ros.system2.wan_weights import transformer_weights, vae_weights

DIT_ANCHOR = "patch_embedding.weight"
VAE_ANCHOR = "encoder.conv1.weight"
LORA_PREFIX = "wan_transformer."

_DIT_KEY = re.compile(
    r"(patch_embedding|text_embedding\.[02]|time_embedding\.[02]|time_projection\.1|blocks\.\d+\..+|head\..+)"
    r"(\.weight|\.bias|modulation)?$"
)
_DIT_HEAD = ("proj_out.", "scale_shift_table")
_VAE_DECODER = ("decoder.", "conv2.")
_LORA_KEY = re.compile(r".*?(blocks\.\d+\..+)\.lora_([AB])\.weight$")
_PIXEL_SHUFFLE = {3: None, 12: 2}  # input channels of the VAE's encoder: its patch size


@dataclass(frozen=True, slots=True)
class EncoderParts:
    """A System 2 without weights in memory: its configuration, and its weights under the bundle's keys."""

    config: VideoEncoderConfig
    tensors: StoredTensors
    notes: tuple[str, ...]


def infer_encoder(
    transformer: StoredTensors,
    vae: StoredTensors,
    lora: StoredTensors,
    settings: ReleasedSettings,
    dtype: str,
) -> EncoderParts:
    """Return System 2 as its checkpoints describe it, with only the blocks that are used and no decoder.

    Args:
        transformer: original keys, without prefix.
        vae: original keys, without prefix.
        lora: low-rank updates from the policy's checkpoint; merged into the transformer.
        settings: what the keys do not tell.
        dtype: of the transformer, `float32` or `bfloat16`; the VAE runs in float32.

    Raises:
        BundleError: keys or shapes do not fit; lists them.
    """
    try:
        transformer_config = _transformer_config(transformer, settings)
        vae_part = vae_config({key: tensor.shape for key, tensor in vae.items()}, settings)
        config = VideoEncoderConfig.model_validate(
            {
                "window_frames": max(settings.spatial.frames, settings.motion.frames),
                "frame_period_s": settings.action_step_s,
                "vae": vae_part.model_dump(),
                "transformer": transformer_config.model_dump(),
                "layer": settings.layer,
                "channel_order": "bgr",
                "camera_path": settings.camera_path,
                "spatial": settings.spatial.model_dump(),
                "motion": settings.motion.model_dump(),
                "text": {"length": settings.text_length, "dim": transformer_config.text_dim},
                "dtype": dtype,
            }
        )
    except KeyError as error:
        raise BundleError(f"the video model's checkpoint lacks {error}; give complete checkpoints") from error
    except ValidationError as error:
        raise BundleError(f"the video model's sizes do not fit together: {error}") from error
    merged, unused = _merge(transformer, lora, settings)
    tensors = {f"vae.{key}": value for key, value in _vae_tensors(vae, vae_part).items()}
    blocks = _transformer_tensors(merged, transformer_config, config.layer)
    tensors |= {f"transformer.{key}": value for key, value in blocks.items()}
    notes = [f"kept blocks 0 to {config.layer - 1} of {transformer_config.num_layers}, dropped the head"]
    if lora:
        notes.append(f"merged {len(lora) // 2 - unused} low-rank updates, {unused} belong to dropped blocks")
    return EncoderParts(config, tensors, tuple(notes))


def empty_encoder(config: VideoEncoderConfig) -> VideoEncoder:
    """Return the encoder without memory for its parameters."""
    with parameters_on_meta():
        return VideoEncoder(config)


def split_lora(policy: StoredTensors) -> tuple[StoredTensors, StoredTensors]:
    """Return a policy checkpoint's own tensors, and the low-rank updates of the video model."""
    lora = {k: v for k, v in policy.items() if k.startswith(LORA_PREFIX) and _LORA_KEY.match(k) is not None}
    return {key: value for key, value in policy.items() if key not in lora}, lora


def _transformer_config(tensors: StoredTensors, settings: ReleasedSettings) -> TransformerConfig:
    shape = {key: tensor.shape for key, tensor in tensors.items()}
    dim, channels, *patch = shape[DIT_ANCHOR]
    blocks = [int(key.split(".")[1]) for key in shape if re.match(r"blocks\.\d+\.", key)]
    if dim % settings.head_dim:
        raise BundleError(
            f"the video model's width {dim} is no multiple of its heads' width {settings.head_dim}"
        )
    out = (
        shape["head.head.weight"][0] // int(torch.Size(patch).numel())
        if "head.head.weight" in shape
        else channels
    )
    return TransformerConfig.model_validate(
        {
            "num_attention_heads": dim // settings.head_dim,
            "attention_head_dim": settings.head_dim,
            "in_channels": channels,
            "out_channels": out,
            "text_dim": shape["text_embedding.0.weight"][1],
            "freq_dim": shape["time_embedding.0.weight"][1],
            "ffn_dim": shape["blocks.0.ffn.0.weight"][0],
            "num_layers": 1 + max(blocks),
            "patch_size": tuple(patch),
        }
    )


def _transformer_tensors(tensors: StoredTensors, config: TransformerConfig, layer: int) -> StoredTensors:
    """Return the used blocks under the bundle's keys, after a strict look at every key."""
    foreign = sorted(key for key in tensors if _DIT_KEY.match(key) is None)
    if foreign:
        raise BundleError(
            f"the video model's checkpoint has {len(foreign)} unexpected keys: {listing(foreign)}"
        )
    with parameters_on_meta():
        whole = shapes(build_transformer(config))
    named = _rename(tensors, transformer_weights)
    if not any(key.startswith(_DIT_HEAD) for key in named):
        whole = {key: shape for key, shape in whole.items() if not key.startswith(_DIT_HEAD)}
    check_keys(named, whole, "the video model's checkpoint")
    return {key: value for key, value in named.items() if not _dropped(key, layer)}


def _dropped(key: str, layer: int) -> bool:
    match = re.match(r"blocks\.(\d+)\.", key)
    return key.startswith(_DIT_HEAD) if match is None else int(match.group(1)) >= layer


def _rename(tensors: StoredTensors, convert: Any) -> StoredTensors:
    """Apply a conversion of key names to described tensors: it sees empty ones of the same shapes."""
    empty = {key: torch.empty(tensor.shape, device="meta") for key, tensor in tensors.items()}
    origin = {id(value): key for key, value in empty.items()}
    return {key: tensors[origin[id(value)]] for key, value in convert(dict(empty)).items()}


def vae_config(
    shape: Mapping[str, tuple[int, ...]], settings: ReleasedSettings | None = None
) -> WanVaeConfig:
    """Return the VAE whose encoder has these original keys and shapes.

    Raises:
        BundleError: they are not those of such a VAE.
    """
    settings = settings or ReleasedSettings()
    base, channels = shape[VAE_ANCHOR][:2]
    parts = [
        re.match(r"encoder\.downsamples\.(\d+)\.downsamples\.(\d+)\.residual\.2\.weight", key)
        for key in shape
    ]
    widths = {(int(m.group(1)), int(m.group(2))): shape[m.group(0)][0] for m in parts if m is not None}
    if not widths:
        raise BundleError("the VAE's checkpoint has no residual stages; give Wan2.2_VAE.pth")
    stages = 1 + max(stage for stage, _ in widths)
    halved = ["encoder.downsamples.{}.downsamples.{}.time_conv.weight" for _ in range(stages - 1)]
    blocks = 1 + max(index for _, index in widths)
    if channels not in _PIXEL_SHUFFLE:
        raise BundleError(f"the VAE's first layer takes {channels} channels, not {sorted(_PIXEL_SHUFFLE)}")
    patch = _PIXEL_SHUFFLE[channels]
    temporal = tuple(name.format(stage, blocks) in shape for stage, name in enumerate(halved))
    return WanVaeConfig(
        base_dim=base,
        z_dim=shape["conv1.weight"][0] // 2,
        dim_mult=tuple(widths[stage, 0] // base for stage in range(stages)),
        num_res_blocks=blocks,
        temperal_downsample=temporal,
        in_channels=channels,
        out_channels=channels,
        patch_size=patch,
        scale_factor_temporal=2 ** sum(temporal),
        scale_factor_spatial=(patch or 1) * 2 ** (stages - 1),
        latents_mean=settings.latents_mean,
        latents_std=settings.latents_std,
    )


def _vae_tensors(tensors: StoredTensors, config: WanVaeConfig) -> StoredTensors:
    encoder = {key: value for key, value in tensors.items() if not key.startswith(_VAE_DECODER)}
    foreign = sorted(key for key in encoder if not key.startswith(("encoder.", "conv1.")))
    if foreign:
        raise BundleError(f"the VAE's checkpoint has {len(foreign)} unexpected keys: {listing(foreign)}")
    with parameters_on_meta():
        expected = shapes(WanVae(config).model)
    named = _rename(encoder, vae_weights)
    check_keys(named, expected, "the VAE's checkpoint")
    return named


def _merge(
    tensors: StoredTensors, lora: StoredTensors, settings: ReleasedSettings
) -> tuple[StoredTensors, int]:
    """Return the tensors with W + alpha / rank · B A for each update, and how many updates are unused."""
    halves: dict[str, dict[str, StoredTensor]] = {}
    for key, tensor in lora.items():
        match = _LORA_KEY.match(key)
        assert match is not None
        halves.setdefault(f"{match.group(1)}.weight", {})[match.group(2)] = tensor
    alone = sorted(name for name, parts in halves.items() if len(parts) != 2 or name not in tensors)
    if alone:
        raise BundleError(
            f"low-rank updates without their other half or without a weight to add to: {listing(alone)}; "
            "give the checkpoints that belong together"
        )
    merged = dict(tensors)
    for name, parts in halves.items():
        merged[name] = _updated(name, tensors[name], parts["A"], parts["B"], settings.lora_alpha)
    unused = sum(_dropped(name, settings.layer) for name in halves)
    return merged, unused


def _updated(
    name: str, weight: StoredTensor, down: StoredTensor, up: StoredTensor, alpha: float | None
) -> StoredTensor:
    rank = down.shape[0]
    if (up.shape[0], down.shape[1]) != weight.shape or up.shape[1] != rank:
        raise BundleError(
            f"the low-rank update of {name} has shapes {up.shape} x {down.shape}, not {weight.shape}"
        )
    scale = 1.0 if alpha is None else alpha / rank  # by default alpha is the rank

    def read() -> torch.Tensor:
        update = up.read().float() @ down.read().float()
        return (weight.read().float() + scale * update).to(weight.dtype)

    return replace(weight, read=read)


def load_mapped(module: nn.Module, weights: Mapping[str, torch.Tensor], prefix: str) -> None:
    """Give an empty module the weights that start with `prefix`, without copying them."""
    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    module.load_state_dict(own, assign=True)
