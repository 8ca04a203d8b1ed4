"""Reference values on the paths that verification does not take: training's attention, and bfloat16."""

from __future__ import annotations

import pytest
import torch

from video2act_ros.system1.action_head import ConditionCache, join_scenes, language_bias

from .helpers import assert_within, golden_policy, reference


@pytest.mark.parametrize("name", ["a_action_core_b1", "a_action_core_b3_padded_lang"])
def test_the_training_path_equals_the_reference(name):
    """With gradients, attention and norms take other kernels; the function is the same."""
    values, tolerance = reference(name)
    policy, mask = golden_policy(), values["in.action_mask"]
    images = policy.encode_images(values["in.img_tokens"])
    video = policy.model.video_keys_values(values["in.video_tokens_adapted"])
    bias = language_bias(values["in.lang_attn_mask"], torch.float32)
    language = policy.encode_language(values["in.lang_tokens"])
    prediction = policy.denoise(
        values["in.noisy_action"],
        values["in.timesteps"],
        policy.adapt_state_action(values["in.state_tokens"], mask),
        ConditionCache(language, join_scenes(images, video), bias),
        values["in.ctrl_freqs"],
        mask,
    )
    assert prediction.requires_grad
    assert_within(prediction, values["out.prediction"], tolerance)


@torch.no_grad()
def test_bfloat16_stays_near_the_reference():
    """The deployment dtype changes a chunk by no more than the reference's own bfloat16 run does."""
    values, _ = reference("f_predict_direct")
    policy = golden_policy().to(torch.bfloat16)
    keys = ("lang_tokens", "img_tokens", "state_tokens", "noise")
    own = {key: values[f"in.{key}"].bfloat16() for key in keys}
    action = policy.predict_tokens(
        language=own["lang_tokens"],
        image_tokens=own["img_tokens"],
        spatial=values["mid.wan_features_0"].bfloat16(),
        motion=values["mid.wan_features_1"].bfloat16(),
        state=own["state_tokens"],
        noise=own["noise"],
        ctrl_freqs_hz=values["in.ctrl_freqs"],
    )
    assert action.dtype == torch.bfloat16
    assert_within(action.float(), values["out.action"], 0.05)
