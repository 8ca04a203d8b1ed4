"""Models of a reference folder, built from its configuration and from the shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from video2act_ros.bundles.infer_encoder import vae_config
from video2act_ros.bundles.infer_policy import infer_policy
from video2act_ros.bundles.released_settings import (
    CAMERAS,
    COMPRESSOR_HEAD_DIM,
    LATENT_PIXELS,
    WAN_LATENTS_MEAN,
    ReleasedSettings,
)
from video2act_ros.bundles.verify_reference.folder import ReferenceFile
from video2act_ros.system1.policy import Policy
from video2act_ros.system2.config import (
    PatchVaeConfig,
    StreamConfig,
    TextConfig,
    TransformerConfig,
    VideoEncoderConfig,
    WanVaeConfig,
)
from video2act_ros.system2.wan_weights import merge_lora

Weights = dict[str, Tensor]
Computed = dict[str, Tensor]
"""Tensors under the names `out.*` and `mid.*` of the file they are compared with."""

WAN_PATCH = (1, 2, 2)  # where no weights tell
_COMPRESSOR = "_token_compressor."
_COMPRESSOR_QUERIES = re.compile(r"_token_compressor\.layers\.0\.0\.to_q\.weight$")


def policy_weights(file: ReferenceFile) -> Weights:
    """Return the policy's state dict, composed as the file's variant asks."""
    state: Weights = {}
    for part in file.weights():
        if is_video_model(part) or is_lora(part) or not _is_policy(part):
            continue
        if state and any(_COMPRESSOR in key for key in part):  # a compressor replaces the stream adaptors
            state = {
                key: value for key, value in state.items() if not key.startswith(("video_ad", "motion_ad"))
            }
        state |= part
    variant = str(file.entry.get("variant", ""))
    if variant == "single":
        state = {key: value for key, value in state.items() if not key.startswith("motion_")}
    if variant.endswith("depth0"):
        state = {key: value for key, value in state.items() if ".layers." not in key}
    return state


def video_model_weights(file: ReferenceFile) -> Weights:
    """Return the video transformer's state dict, with the file's low-rank updates merged in."""
    parts = file.weights()
    state = next(part for part in parts if is_video_model(part))
    lora = next((part for part in parts if is_lora(part)), None)
    return dict(state) if lora is None else merge_lora(state, lora, file.config["lora"]["alpha"])


def is_video_model(state: Mapping[str, Tensor]) -> bool:
    """Return whether these are the video transformer's weights."""
    return "patch_embedding.weight" in state


def is_lora(state: Mapping[str, Tensor]) -> bool:
    """Return whether these are low-rank updates."""
    return any(".lora_A." in key for key in state)


def _is_policy(state: Mapping[str, Tensor]) -> bool:
    return "model.x_pos_embed" in state or any(_COMPRESSOR in key for key in state)


def transformer_config(
    wan: Mapping[str, Any], state: Mapping[str, Tensor] | None = None
) -> TransformerConfig:
    """Return the video transformer of one `wan` section; its weights tell channels and patches."""
    channels, patch = len(WAN_LATENTS_MEAN), WAN_PATCH
    if state is not None:
        _, channels, frames, rows, columns = state["patch_embedding.weight"].shape
        patch = (frames, rows, columns)
    return TransformerConfig(
        num_attention_heads=wan["num_heads"],
        attention_head_dim=wan["dim"] // wan["num_heads"],
        in_channels=channels,
        out_channels=channels,
        text_dim=wan["text_dim"],
        freq_dim=wan["freq_dim"],
        ffn_dim=wan["ffn_dim"],
        num_layers=wan["num_layers"],
        patch_size=patch,
    )


def wan_vae_config(state: Mapping[str, Tensor]) -> WanVaeConfig:
    """Return the VAE whose encoder these weights are, with the released normalisation of latents."""
    return vae_config({key.removeprefix("model."): tuple(value.shape) for key, value in state.items()})


def streams(config: Mapping[str, Any], **sizes: Mapping[str, Any]) -> dict[str, StreamConfig]:
    """Return both streams of the folder's configuration; `sizes` gives each one's frames, width and height."""
    methods = {"spatial": config["raw_extraction"], "motion": config["motion_extraction"]}
    band = config["motion"]
    options = {
        key: band[key] for key in ("filter_type", "freq_low", "freq_high", "prop_motion") if key in band
    }
    return {
        name: StreamConfig.model_validate(
            {"method": method or "none", "fps": config["fps"], **options, **sizes[name]}
        )
        for name, method in methods.items()
    }


def encoder_config(
    config: Mapping[str, Any],
    group: Mapping[str, Any],
    text_length: int,
    parts: Mapping[str, StreamConfig],
    *,
    vae: WanVaeConfig | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> VideoEncoderConfig:
    """Return the encoder of one `group` (the folder's configuration itself, or its run-time section).

    Without a VAE of its own the encoder only takes latents; a linear one of the same geometry stands in.
    """
    transformer = transformer_config(group["wan"], state)
    return VideoEncoderConfig(
        window_frames=max(part.frames for part in parts.values()),
        frame_period_s=1.0 / config["fps"],
        vae=vae or PatchVaeConfig(patch_size=LATENT_PIXELS, channels=transformer.in_channels),
        transformer=transformer,
        layer=group["wan_extract"],
        text=TextConfig(length=text_length, dim=group["wan"]["text_dim"]),
        spatial=parts["spatial"],
        motion=parts["motion"],
    )


def compressor_head_dim(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> int:
    """Return the width of one head of the token compressors; the weights tell that of all heads together."""
    widths = (value.shape[0] for key, value in state.items() if _COMPRESSOR_QUERIES.search(key))
    heads = config.get("comp", {}).get("heads")
    width = next(widths, None)
    return COMPRESSOR_HEAD_DIM if width is None or heads is None else width // heads


def build_policy(
    file: ReferenceFile,
    encoder: VideoEncoderConfig,
    *,
    steps: int | None = None,
    history: int | None = None,
    vision: Mapping[str, Any] | None = None,
    vision_weights: Mapping[str, Tensor] | None = None,
) -> Policy:
    """Return the file's policy with its weights; without `vision` an untrained one stands in."""
    config, state = file.config, policy_weights(file)
    count = config["cams"] if vision is None else len(CAMERAS)
    settings = ReleasedSettings(
        cameras=CAMERAS if count == len(CAMERAS) else tuple(f"cam_{index}" for index in range(count)),
        history=history or config["hist"],
        compressor_head_dim=compressor_head_dim(state, config),
        ctrl_freq_hz=config["ctrl_freq"],
        sampler_steps=steps or config["steps"],
    )
    inferred = infer_policy(state, settings, encoder, vision or _stand_in(config["img_dim"]), "float32")
    policy = Policy(inferred.model_copy(update={"camera_path": None}))  # stored images have been through it
    own = {key: value for key, value in policy.state_dict().items() if key.startswith("vision.")}
    policy.load_weights({**own, **state, **(vision_weights or {})})
    return policy.eval()


def _stand_in(width: int) -> dict[str, Any]:
    model = {"hidden_size": width, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    size = {"image_width": 14, "image_height": 14}
    return {"kind": "siglip", **size, "model": {**model, "image_size": 14, "patch_size": 14}}


@contextmanager
def recorded(
    outputs: Mapping[str, nn.Module], inputs: Mapping[str, nn.Module]
) -> Iterator[dict[str, list[Tensor]]]:
    """Collect what modules return, and the first argument of others, under the given names."""
    seen: dict[str, list[Tensor]] = {name: [] for name in (*outputs, *inputs)}

    def after(name: str) -> Callable[..., None]:
        return lambda module, arguments, result: seen[name].append(result)

    def before(name: str) -> Callable[..., None]:
        return lambda module, arguments: seen[name].append(arguments[0])

    hooks = [module.register_forward_hook(after(name)) for name, module in outputs.items()]
    hooks += [module.register_forward_pre_hook(before(name)) for name, module in inputs.items()]
    try:
        with torch.no_grad():
            yield seen
    finally:
        for hook in hooks:
            hook.remove()


def last(seen: Mapping[str, list[Tensor]]) -> Computed:
    """Return the newest tensor of each recorded name."""
    return {name: values[-1] for name, values in seen.items() if values}
