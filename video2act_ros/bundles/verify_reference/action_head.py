"""Action head, sampler, condition adaptors and token compressors against stored values."""

from __future__ import annotations

import re

import torch
from torch import nn

from video2act_ros.bundles.infer_policy import infer_compressor
from video2act_ros.bundles.released_settings import ReleasedSettings
from video2act_ros.bundles.verify_reference.folder import ReferenceFile
from video2act_ros.bundles.verify_reference.models import (
    Computed,
    build_policy,
    compressor_head_dim,
    encoder_config,
    last,
    policy_weights,
    recorded,
    streams,
)
from video2act_ros.core.errors import InputError
from video2act_ros.system1.action_head import ConditionCache, join_scenes, language_bias
from video2act_ros.system1.config import CompressorConfig, SamplerConfig
from video2act_ros.system1.policy import Policy
from video2act_ros.system1.sampler import Sampler
from video2act_ros.system1.token_compressor import TokenCompressor

_BLOCK_PARTS = ("norm1", "attn.q_norm", "attn", "norm2", "cross_attn", "norm3", "ffn")


def _policy(file: ReferenceFile, steps: int | None = None) -> Policy:
    config = file.config
    rows, columns = config["raw_size"]
    motion_rows, motion_columns = config["motion_size"]
    parts = streams(
        config,
        spatial={"frames": 1, "width": columns, "height": rows},
        motion={
            "frames": 1 + 4 * (config["motion_latent_t"] - 1),
            "width": motion_columns,
            "height": motion_rows,
        },
    )
    return build_policy(file, encoder_config(config, config, config["text_len"], parts), steps=steps)


def _conditions(policy: Policy, file: ReferenceFile) -> ConditionCache:
    """Return the stored conditions; their video tokens are already adapted."""
    images = policy.encode_images(file.given("img_tokens"))
    video = policy.model.video_keys_values(file.given("video_tokens_adapted"))
    bias = language_bias(file.given("lang_attn_mask"), torch.float32)
    return ConditionCache(policy.encode_language(file.given("lang_tokens")), join_scenes(images, video), bias)


def _parts(policy: Policy) -> dict[str, nn.Module]:
    model = policy.model
    parts: dict[str, nn.Module] = {
        "mid.lang_adapted": policy.lang_adaptor,
        "mid.img_adapted": policy.img_adaptor,
        "mid.t_emb": model.t_embedder,
        "mid.freq_emb": model.freq_embedder,
    }
    for index, block in enumerate(model.blocks):
        parts[f"mid.block{index}.out"] = block
        parts |= {f"mid.block{index}.{part}": block.get_submodule(part) for part in _BLOCK_PARTS}
    return parts


def action_core(file: ReferenceFile) -> Computed:
    """One evaluation of the action head."""
    policy, mask = _policy(file), file.given("action_mask")
    inputs = {"mid.state_action_tokens": policy.model, "mid.block0.in": policy.model.blocks[0]}
    with recorded(_parts(policy), inputs) as seen:
        conditions = _conditions(policy, file)
        prediction = policy.denoise(
            file.given("noisy_action"),
            file.given("timesteps"),
            policy.adapt_state_action(file.given("state_tokens"), mask),
            conditions,
            file.given("ctrl_freqs"),
            mask,
        )
        computed = last(seen)
        final = computed[f"mid.block{len(policy.model.blocks) - 1}.out"]
        computed["mid.final_norm"] = policy.model.final_layer.norm_final(final)
    for index in range(len(policy.model.blocks)):
        computed[f"mid.block{index}.cross_attn.k_norm"] = conditions.for_block(index)[0].keys
    return computed | {"out.prediction": prediction}


def sampling(file: ReferenceFile) -> Computed:
    """A whole chunk from stored noise, with what every step saw and made."""
    named = re.search(r"(\d+)step", file.name)
    policy = _policy(file, int(named[1]) if named else None)
    inputs = {"tokens": policy.model, "values": policy.state_adaptor}
    with recorded({"mid": policy.model}, inputs) as seen:
        action = policy.sample(
            _conditions(policy, file),
            file.given("state_tokens"),
            file.given("noise"),
            file.given("action_mask"),
            file.given("ctrl_freqs"),
        )
    computed = {
        "out.action": action,
        "mid.timesteps": policy.sampler.timesteps,
        "mid.sigmas": policy.sampler.sigmas,
    }
    samples = [values[..., : action.shape[-1]] for values in seen["values"][2:]] + [seen["mid"][-1]]
    for index, timestep in enumerate(policy.sampler.timesteps):
        step = f"mid.step{index}."
        computed[step + "t"] = timestep
        computed[step + "action_tokens_in"] = seen["tokens"][index]
        computed[step + "model_output"] = seen["mid"][index]
        computed[step + "sample_after"] = samples[index]
    return computed


def add_noise(file: ReferenceFile) -> Computed:
    """The forward noise process of training."""
    sampler = Sampler(SamplerConfig(steps=file.config["steps"]))
    noisy = sampler.add_noise(file.given("x0"), file.given("noise"), file.given("t"))
    return {"out.noisy": noisy, "mid.alphas_cumprod": sampler.alphas_cumprod}


def token_compressor(file: ReferenceFile) -> Computed:
    """One token compressor on normalised features."""
    prefix = file.entry["prefix"]
    state = policy_weights(file)
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    settings = ReleasedSettings(compressor_head_dim=compressor_head_dim(state, file.config))
    config = infer_compressor(shapes, settings, prefix.split("_")[0])
    if config is None:
        raise InputError(f"the weights hold no '{prefix}'")
    features = file.given("features")
    compressor = TokenCompressor(CompressorConfig.model_validate(config), features.shape[-1]).eval()
    compressor.load_state_dict(
        {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    )
    parts: dict[str, nn.Module] = {"mid.goal_emb": compressor.goal_emb}
    for index, layer in enumerate(compressor.layers):
        parts |= {f"mid.layer{index}.{number}": part for number, part in enumerate(layer.children())}
    with recorded(parts, {}) as seen:
        tokens = compressor(features)
    return last(seen) | {"out.tokens": tokens}


@torch.no_grad()
def stream_norms(file: ReferenceFile) -> Computed:
    """Each stream's layer norm and adaptor, in the direct variant."""
    policy = _policy(file)
    assert policy.motion_layernorm is not None
    assert policy.motion_adaptor is not None
    raw = policy.video_layernorm(file.given("raw"))
    motion = policy.motion_layernorm(file.given("motion"))
    return {
        "mid.raw_norm": raw,
        "mid.motion_norm": motion,
        "out.raw_tokens": policy.video_adaptor(raw),
        "out.motion_tokens": policy.motion_adaptor(motion),
    }
