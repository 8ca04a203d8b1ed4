from __future__ import annotations

import pytest
import torch
from torch import Tensor

from video2act_ros.core.errors import BundleError
from video2act_ros.system2.config import TransformerConfig
from video2act_ros.system2.video_model import VideoModel
from video2act_ros.system2.wan_weights import load_weights, merge_lora, transformer_weights

from .reference import manifest, reference, weights


def wan_config() -> TransformerConfig:
    wan = manifest()["config"]["wan"]
    return TransformerConfig(
        num_attention_heads=wan["num_heads"],
        attention_head_dim=wan["dim"] // wan["num_heads"],
        in_channels=48,
        out_channels=48,
        text_dim=wan["text_dim"],
        freq_dim=wan["freq_dim"],
        ffn_dim=wan["ffn_dim"],
        num_layers=wan["num_layers"],
    )


def reference_model(state: dict[str, Tensor]) -> VideoModel:
    model = VideoModel(wan_config(), manifest()["config"]["wan_extract"]).eval()
    load_weights(model.transformer, transformer_weights(state), "transformer")
    return model


@torch.no_grad()
def features(model: VideoModel, values: dict[str, Tensor]) -> Tensor:
    return model(values["in.latents"], model.condition(values["in.context"], values["in.timestep"]))


def test_lora_changes_the_features() -> None:
    """The reference values with low-rank updates are not met without them."""
    values, tolerance = reference("d_wan_features_lora")
    plain = features(reference_model(weights("wan_dit")), values)
    assert (plain - values["out.features"]).abs().max() > 10 * tolerance


@pytest.mark.parametrize("change", ["half", "foreign"])
def test_lora_that_does_not_fit_is_refused(change: str) -> None:
    """An update without its other half, or for no weight of the model, is named."""
    lora = weights("wan_lora")
    key = next(key for key in lora if ".lora_A." in key)
    if change == "half":
        del lora[key.replace(".lora_A.", ".lora_B.")]
    else:
        lora["blocks.99.self_attn.q.lora_A.weight"] = lora[key]
        lora["blocks.99.self_attn.q.lora_B.weight"] = lora[key.replace(".lora_A.", ".lora_B.")]
    with pytest.raises(BundleError, match="lora_A"):
        merge_lora(weights("wan_dit"), lora, 8.0)


def test_only_the_used_blocks_are_built() -> None:
    """Blocks beyond the feature layer and the head cost neither memory nor time."""
    model = reference_model(weights("wan_dit"))
    assert len(model.transformer.blocks) == 2
    assert not any("proj_out" in name for name, _ in model.named_parameters())


def test_conditioning_may_be_reused() -> None:
    """A conditioning may be reused for every window: same result as computing it anew."""
    values, _ = reference("d_wan_features_video")
    model = reference_model(weights("wan_dit"))
    kept = model.condition(values["in.context"], values["in.timestep"])
    torch.testing.assert_close(model(values["in.latents"], kept), features(model, values))


def test_one_conditioning_serves_a_batch() -> None:
    """One instruction conditions every window of a batch as it would each alone."""
    values, tolerance = reference("d_wan_features_video")
    model = reference_model(weights("wan_dit"))
    with torch.no_grad():
        conditioning = model.condition(values["in.context"][:1], 0.0)
        together = model(values["in.latents"], conditioning)
        alone = model(values["in.latents"][1:], conditioning)
    assert (together[1:] - alone).abs().max() < tolerance


def test_rotary_tables_survive_half_precision() -> None:
    """bfloat16 weights leave the rotary tables in full precision."""
    model = reference_model(weights("wan_dit"))
    model.cast(torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert model.transformer.rope.freqs_cos.dtype == torch.float32
    values, _ = reference("d_wan_features_raw")
    assert (features(model, values).float() - values["out.features"]).abs().max() < 0.1


@pytest.mark.parametrize("change", ["missing", "shape", "unknown"])
def test_weights_that_do_not_fit_are_refused(change: str) -> None:
    """A checkpoint that does not fit never leaves random weights behind; the message names the key."""
    state = weights("wan_dit")
    key = "blocks.0.ffn.0.weight"
    if change == "missing":
        del state[key]
    elif change == "shape":
        state[key] = state[key][:-1]
    else:
        state["extra.weight"] = torch.zeros(1)
    expected = {"missing": "blocks.0.ffn.net.0.proj.weight", "shape": "has shape", "unknown": "extra.weight"}
    with pytest.raises(BundleError, match=expected[change]):
        reference_model(state)


def test_prefixed_checkpoint_keys_are_recognised() -> None:
    """Keys under a prefix load the same weights."""
    values, tolerance = reference("d_wan_features_raw")
    state = {f"wan_transformer.model.{key}": tensor for key, tensor in weights("wan_dit").items()}
    assert (features(reference_model(state), values) - values["out.features"]).abs().max() < tolerance
