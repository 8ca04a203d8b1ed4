"""Weights of the video model: original Wan key names, LoRA, and loading only what runs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from torch import Tensor, nn

from video2act_ros.core.errors import BundleError

Weights = Mapping[str, Tensor]

_ORIGINAL_BLOCK_KEY = "blocks.0.self_attn.q.weight"
_HEAD_KEYS = ("proj_out.", "scale_shift_table", "norm_out.")
_RESIDUAL_NAMES = {"residual.0": "norm1", "residual.2": "conv1", "residual.3": "norm2", "residual.6": "conv2"}
_MIDDLE_NAMES = {"middle.0": "resnets.0", "middle.1": "attentions.0", "middle.2": "resnets.1"}
_MAX_LISTED = 5


def transformer_weights(weights: Weights) -> dict[str, Tensor]:
    """Return a transformer's weights under diffusers' key names, whichever names they came with."""
    prefix = next(
        (key.removesuffix(_ORIGINAL_BLOCK_KEY) for key in weights if key.endswith(_ORIGINAL_BLOCK_KEY)), None
    )
    if prefix is None:
        return dict(weights)
    stripped = {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}
    return convert_wan_transformer_to_diffusers(stripped)


def merge_lora(weights: Weights, lora: Weights, alpha: float) -> dict[str, Tensor]:
    """Return original-format `weights` with low-rank updates added: W + alpha / rank * B A.

    Args:
        weights: keys such as `blocks.0.self_attn.q.weight`.
        lora: keys that end in the same name with `.lora_A.weight` (rank, in), `.lora_B.weight` (out, rank).
        alpha: numerator of the scale.

    Raises:
        BundleError: an update belongs to no weight, or half of it is missing.
    """
    merged = dict(weights)
    for key in (key for key in lora if key.endswith(".lora_A.weight")):
        down, up = lora[key], lora.get(key.replace(".lora_A.", ".lora_B."))
        target = re.sub(r"^.*?(?=blocks\.)", "", key).replace(".lora_A.", ".")
        if up is None or target not in merged:
            raise BundleError(f"LoRA weight '{key}' has no lora_B partner or no weight '{target}' to add to")
        merged[target] = merged[target] + (alpha / down.shape[0]) * (up @ down).to(merged[target])
    return merged


def vae_weights(weights: Weights) -> dict[str, Tensor]:
    """Return a residual Wan VAE's encoder weights under diffusers' names, whichever names they came with."""
    if not any(".downsamples." in key for key in weights):
        return dict(weights)
    converted = {}
    for original, tensor in weights.items():
        key = original.removeprefix("model.")
        if key.startswith(("encoder.", "conv1.")):
            converted[_vae_key(key)] = tensor
    return converted


def _vae_key(key: str) -> str:
    """Translate one original VAE encoder key."""
    if key.startswith("conv1."):
        return key.replace("conv1.", "quant_conv.", 1)
    if key.startswith("encoder.conv1."):
        return key.replace("conv1.", "conv_in.", 1)
    key = key.replace("head.0.", "norm_out.").replace("head.2.", "conv_out.")
    match = re.match(r"encoder\.downsamples\.(\d+)\.downsamples\.(\d+)\.(.*)", key)
    if match is not None:
        stage, index, rest = match.groups()
        place = "downsampler" if rest.startswith(("resample.", "time_conv.")) else f"resnets.{index}"
        key = f"encoder.down_blocks.{stage}.{place}.{rest}"
    for old, new in _MIDDLE_NAMES.items():
        key = key.replace(f"{old}.", f"mid_block.{new}.")
    for old, new in _RESIDUAL_NAMES.items():
        key = key.replace(f"{old}.", f"{new}.")
    return key.replace(".shortcut.", ".conv_shortcut.")


def load_weights(module: nn.Module, weights: Weights, what: str) -> None:
    """Load `weights` into `module`, ignoring blocks and heads that it does not have.

    Raises:
        BundleError: a weight is missing, has another shape, or belongs to no part of the model.
    """
    own = module.state_dict()
    missing = sorted(set(own) - set(weights))
    if missing:
        raise BundleError(
            f"{what}: {len(missing)} weights are missing, such as {', '.join(missing[:_MAX_LISTED])}"
        )
    for key, tensor in own.items():
        if weights[key].shape != tensor.shape:
            raise BundleError(
                f"{what}: '{key}' has shape {tuple(weights[key].shape)}, "
                f"the configuration asks for {tuple(tensor.shape)}"
            )
    unknown = sorted(key for key in set(weights) - set(own) if not _may_be_dropped(key))
    if unknown:
        raise BundleError(
            f"{what}: {len(unknown)} unknown weights, such as {', '.join(unknown[:_MAX_LISTED])}"
        )
    module.load_state_dict({key: weights[key] for key in own})


def _may_be_dropped(key: str) -> bool:
    return key.startswith(("blocks.", "decoder.", "post_quant_conv.", *_HEAD_KEYS))
