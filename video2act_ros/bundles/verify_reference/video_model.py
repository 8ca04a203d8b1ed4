"""Extraction operators, video transformer, VAE and embeddings against stored values."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from video2act_ros.bundles.verify_reference.compare import full_name, informative
from video2act_ros.bundles.verify_reference.folder import ReferenceFile
from video2act_ros.bundles.verify_reference.models import (
    Computed,
    last,
    recorded,
    transformer_config,
    video_model_weights,
    wan_vae_config,
)
from video2act_ros.core.errors import InputError
from video2act_ros.system1.layers import ScalarEmbedder, sinusoid
from video2act_ros.system1.position_embedding import constant_positions, image_positions, token_positions
from video2act_ros.system2.config import TransformerConfig
from video2act_ros.system2.extraction import extract, moving_channels, select_frames
from video2act_ros.system2.video_model import VideoModel, build_transformer
from video2act_ros.system2.video_vae import WanVae
from video2act_ros.system2.wan_weights import load_weights, transformer_weights, vae_weights

_KEPT_CHANNELS = "moft_kept_channels."
_LABELLED_HEAD_DIM = 128  # of the rotary tables whose name says so
_ROTARY_AXES = ("frame", "height", "width")


def extraction(file: ReferenceFile) -> Computed:
    """Each operator that an output is named after, on the stored latents."""
    computed: Computed = {}
    for name in file.tensors:
        operator = re.sub(r"(_ch)?_stride\d+$", "", name.removeprefix("out."))
        if not name.startswith("out.") or informative(name):
            continue
        if operator.startswith(_KEPT_CHANNELS):
            share = float(operator.removeprefix(_KEPT_CHANNELS))
            computed[name] = _like_stored(moving_channels(file.given("latents"), share), file.tensors[name])
        else:
            method, options = _operator(file, operator)
            computed[f"out.{operator}"] = extract(file.given("latents"), method, **options)
    return computed


def _like_stored(kept: Tensor, stored: Tensor) -> Tensor:
    """Return the channels in the stored order when both are the same set: which are kept is what counts."""
    return stored if torch.equal(kept.sort().values, stored.sort().values) else kept


def _operator(file: ReferenceFile, name: str) -> tuple[str, dict[str, Any]]:
    """Return method and options of one output's name, as the manifest describes the names."""
    config = file.config
    band = {
        key: config["motion"][key]
        for key in ("filter_type", "freq_low", "freq_high")
        if key in config["motion"]
    }
    configured = {"fps": float(config["fps"]), **band}
    if name in ("sobel", "scharr", "laplace", "none"):
        return name, {}
    if name == "fft.defaults":
        return "fft", {}
    if name == "fft.cfg":
        return "fft", configured
    if name in ("fft_sobel", "sobel_fft", "fft+sobel", "sobel+fft"):
        return "fft+sobel", configured
    if match := re.fullmatch(r"fft\.fps([\d.]+)_([\d.]+)_([\d.]+)", name):
        fps, low, high = map(float, match.groups())
        return "fft", {"fps": fps, "freq_low": low, "freq_high": high}
    if match := re.fullmatch(r"fft\.low([\d.]+)_fps([\d.]+)", name):
        high, fps = map(float, match.groups())
        return "fft", {"fps": fps, "filter_type": "lowpass", "freq_high": high}
    if name == "moft":
        return "moft", {"prop_motion": _moft_share(file)}
    raise InputError(f"no extraction operator is called '{name}'")


def _moft_share(file: ReferenceFile) -> float:
    """Return the share that `out.moft` shows: a listed one, or the configured, that keeps as many channels."""
    listed = f"out.{_KEPT_CHANNELS}"
    shares = [float(name.removeprefix(listed)) for name in file.tensors if name.startswith(listed)]
    shares += [float(file.config["motion"]["prop_motion"])] if "prop_motion" in file.config["motion"] else []
    stored = next(value for name, value in file.tensors.items() if full_name(name) == "out.moft")
    kept = int(stored.float().abs().sum(dim=(0, 2, 3, 4)).count_nonzero())
    latents = file.given("latents")
    if stored.shape[1] == latents.shape[1]:
        fitting = [share for share in shares if len(moving_channels(latents, share)) == kept]
        shares = fitting or shares
    return max(shares)


def wan_features(file: ReferenceFile) -> Computed:
    """The features of the last block that runs, with that block's and its predecessors' parts."""
    state = video_model_weights(file)
    model = VideoModel(transformer_config(file.config["wan"], state), file.config["wan_extract"]).eval()
    transformer = model.transformer
    load_weights(transformer, transformer_weights(state), "transformer weights")
    parts: dict[str, nn.Module] = {"mid.context_embedded": transformer.condition_embedder.text_embedder}
    for index, block in enumerate(transformer.blocks):
        name = f"mid.block{index}."
        parts |= {name + "self_attn": block.attn1, name + "cross_attn": block.attn2}
        parts |= {name + "ffn": block.ffn, name + "out": block}
    latents = file.given("latents")
    with recorded(parts, {"mid.patch_tokens": transformer.blocks[0]}) as seen:
        conditioning = model.condition(file.given("context"), file.given("timestep"))
        features = model(latents, conditioning)
        cosines, sines = transformer.rope(latents)
    return last(seen) | {
        "out.features": features,
        "mid.t_mod": conditioning.modulation,
        "mid.freqs_real": cosines[0, :, :, ::2],
        "mid.freqs_imag": sines[0, :, :, 1::2],
    }


@torch.no_grad()
def whole_transformer(file: ReferenceFile) -> Computed:
    """Every block and the head."""
    state = video_model_weights(file)
    model = build_transformer(transformer_config(file.config["wan"], state)).eval()
    load_weights(model, transformer_weights(state), "transformer weights")
    velocity = model(file.given("latents"), file.given("timestep"), file.given("context"), return_dict=False)[
        0
    ]
    return {"out.velocity": velocity}


@torch.no_grad()
def vae_encode(file: ReferenceFile) -> Computed:
    """The normalised posterior mean of a video (3, T, H, W)."""
    state = file.weights()[0]
    vae = WanVae(wan_vae_config(state)).eval()
    load_weights(vae.model, vae_weights(state), "VAE weights")
    latents = vae.encode(file.given("video")[None])
    return {"out.latents": latents, "mid.mean": vae.mean.flatten(), "mid.std": vae.std.flatten()}


def frame_selection(file: ReferenceFile) -> Computed:
    """Which latent frames are kept, for every `out.{selection}.{count}`."""
    computed = {}
    for name in file.tensors:
        if name.startswith("out."):
            _, selection, count = name.split(".")
            computed[name] = select_frames(file.given("frame_ids"), int(count), selection).flatten()
    return computed


@torch.no_grad()
def embeddings(file: ReferenceFile) -> Computed:
    """Initial position embeddings, sinusoids and rotary tables."""
    config, dim, width = file.config, file.config["hidden"], ScalarEmbedder.WIDTH
    transformer = build_transformer(transformer_config(config["wan"]), 1)
    rows = file.tensors["out.rope_frame_real"].shape[0]
    computed = {
        "out.t_sinusoid": sinusoid(file.given("t"), width),
        "out.freq_sinusoid": sinusoid(file.given("freq"), width),
        "out.x_pos_init": token_positions(dim, config["horizon"])[0],
        "out.lang_pos_init": constant_positions(dim, config["max_lang"])[0],
        "out.img_pos_init": image_positions(dim, config["hist"], config["cams"], config["patches"])[0],
        "out.wan_time_sinusoid": transformer.condition_embedder.timesteps_proj(file.given("pos_f32")),
    }
    for axis, (cosines, sines) in zip(_ROTARY_AXES, _rotary(transformer.rope), strict=True):
        computed[f"out.rope_{axis}_real"] = cosines[:rows]
        computed[f"out.rope_{axis}_imag"] = sines[:rows]
    for axis, (cosines, sines) in zip(_ROTARY_AXES, _rotary(_wide_rope()), strict=True):
        computed[f"out.rope{_LABELLED_HEAD_DIM}_{axis}_angle_at_1"] = torch.atan2(sines[1], cosines[1])
    return computed


def _rotary(rope: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Return cosines and sines (positions, pairs) of the frame, row and column part of each head."""
    sizes = (rope.t_dim, rope.h_dim, rope.w_dim)
    tables = (rope.freqs_cos.split(sizes, dim=1), rope.freqs_sin.split(sizes, dim=1))
    return [(cosines[:, ::2], sines[:, 1::2]) for cosines, sines in zip(*tables, strict=True)]


def _wide_rope() -> nn.Module:
    config = TransformerConfig(
        num_attention_heads=1,
        attention_head_dim=_LABELLED_HEAD_DIM,
        in_channels=1,
        out_channels=1,
        text_dim=1,
        freq_dim=2,
        ffn_dim=1,
        num_layers=1,
    )
    return build_transformer(config).rope
