"""What the policy does with its inputs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from video2act_ros.core.errors import BundleError, InputError
from video2act_ros.core.types import LatentPair
from video2act_ros.system1.inputs import PolicyInputs
from video2act_ros.system1.policy import Policy

from .helpers import latent_pair, observation, small_config, small_policy

LANGUAGE = torch.linspace(-1.0, 1.0, 50).view(5, 10)


def scaled(pair: LatentPair, factor: float) -> LatentPair:
    """Return the pair with both streams' tokens multiplied."""
    return LatentPair(
        *(dataclasses.replace(s, tokens=s.tokens * np.float32(factor)) for s in (pair.spatial, pair.motion))
    )


def test_a_chunk_is_absolute_positions_in_policy_units():
    """A chunk has one row per action and one column per joint, float64, and is the same for one seed."""
    policy = small_policy()
    pair = latent_pair(policy.config)
    first = policy.predict(observation(), pair, LANGUAGE, seed=3)
    assert first.shape == (8, 14)
    assert first.dtype == np.float64
    np.testing.assert_array_equal(first, policy.predict(observation(), pair, LANGUAGE, seed=3))
    assert not np.array_equal(first, policy.predict(observation(), pair, LANGUAGE, seed=4))


def test_relative_actions_follow_the_observed_joints():
    """With a network that outputs zero, arms stay where they are and grippers go to half open."""
    policy = small_policy()
    torch.nn.init.zeros_(policy.model.final_layer.ffn_final.fc2.weight)
    seen = observation()
    chunk = policy.predict(seen, latent_pair(policy.config), LANGUAGE)
    expected = np.array(seen.joints)
    expected[[6, 13]] = 0.5
    np.testing.assert_allclose(chunk, np.broadcast_to(expected, chunk.shape), atol=1e-12)


@pytest.mark.parametrize("change", ["latents", "image", "joints", "language"])
def test_every_input_changes_the_chunk(change):
    """A chunk depends on the latents of System 2 (zeroing them changes it), images, joints and language."""
    policy = small_policy()
    pair, seen, language = latent_pair(policy.config), observation(), LANGUAGE
    before = policy.predict(seen, pair, language)
    if change == "latents":
        pair = scaled(pair, 0.0)
    elif change == "image":
        images = {**seen.images, "cam_right_wrist": np.zeros((48, 64, 3), np.uint8)}
        seen = dataclasses.replace(seen, images=images)
    elif change == "joints":
        seen = dataclasses.replace(seen, joints=seen.joints + 0.2)
    else:
        language = language.flip(0) * 2
    assert np.abs(policy.predict(seen, pair, language) - before).max() > 1e-5


def test_remembered_keys_give_the_chunk_that_recomputing_gives():
    """Keeping language and video keys between calls changes nothing, also when the inputs change."""
    policy = small_policy()
    pairs = [latent_pair(policy.config, seed) for seed in (0, 0, 1, 0)]
    languages = [LANGUAGE, LANGUAGE, LANGUAGE, -LANGUAGE]
    for index, (pair, language) in enumerate(zip(pairs, languages, strict=True)):
        kept = policy.predict(observation(index), pair, language)
        fresh = small_policy().predict(observation(index), pair, language)
        np.testing.assert_array_equal(kept, fresh)


def test_new_weights_drop_what_was_remembered():
    """After loading other weights the chunk is the one that the new weights give."""
    policy, other = small_policy(0), small_policy(1)
    pair = latent_pair(policy.config)
    policy.predict(observation(), pair, LANGUAGE)
    policy.load_weights(other.state_dict())
    expected = other.predict(observation(), pair, LANGUAGE)
    np.testing.assert_array_equal(policy.predict(observation(), pair, LANGUAGE), expected)


def training_inputs(policy: Policy, batch: int) -> PolicyInputs:
    video, vision = policy.config.video, policy.config.vision
    generator = torch.Generator().manual_seed(5)
    size = (batch, 1, 2, vision.image_height, vision.image_width, 3)
    return PolicyInputs(
        images=torch.randint(0, 256, size, dtype=torch.uint8, generator=generator),
        joints=torch.rand(batch, 14, generator=generator),
        language=LANGUAGE.expand(batch, -1, -1),
        spatial=torch.randn(batch, video.spatial_tokens, video.feature_dim, generator=generator),
        motion=torch.randn(batch, video.motion_tokens, video.feature_dim, generator=generator),
    )


def test_training_and_serving_evaluate_the_same_function():
    """The training forward, with gradients, equals the evaluation that sampling uses, without."""
    policy = small_policy()
    inputs = training_inputs(policy, 3)
    noisy, timesteps = torch.randn(3, 8, 14), torch.tensor([5, 400, 999])
    trained = policy(inputs, noisy, timesteps)
    with torch.inference_mode():
        tokens = policy.image_tokens(inputs.images)
        conditions = policy.conditions(inputs.language, tokens, inputs.spatial, inputs.motion)
        state = policy.state_vector.scatter(inputs.joints)[:, None]
        state_token = policy.adapt_state_action(state, policy.state_vector.mask)
        served = policy.denoise(
            noisy, timesteps, state_token, conditions, torch.full((1,), 25.0), policy.state_vector.mask
        )
    torch.testing.assert_close(trained.prediction, served, rtol=0, atol=1e-5)
    torch.testing.assert_close(trained.image_tokens, tokens)


def test_draws_that_share_an_observation_equal_separate_ones():
    """R noise draws per observation give what R copies of the observation give."""
    policy = small_policy()
    inputs = training_inputs(policy, 3)
    noisy, timesteps = torch.randn(6, 8, 14), torch.arange(6) * 100
    shared = policy(inputs, noisy, timesteps).prediction
    fields = ("images", "joints", "language", "spatial", "motion")
    copied = {name: getattr(inputs, name).repeat_interleave(2, dim=0) for name in fields}
    separate = policy(PolicyInputs(**copied), noisy, timesteps).prediction
    torch.testing.assert_close(shared, separate, rtol=0, atol=1e-5)


def test_every_weight_learns():
    """A training step reaches every parameter: nothing in a bundle is dead weight."""
    policy = small_policy().train()
    output = policy(training_inputs(policy, 2), torch.randn(2, 8, 14), torch.tensor([1, 900]))
    output.prediction.square().sum().backward()
    gradients = {name: value.grad for name, value in policy.named_parameters()}
    idle = [name for name, gradient in gradients.items() if gradient is None or not gradient.any()]
    assert idle == []


def test_a_missing_camera_is_refused():
    """An observation without one of the policy's cameras is refused by name, with the known ones listed."""
    policy = small_policy()
    with pytest.raises(InputError, match=r"no image of cam_right_wrist.*cam_high"):
        policy.predict(observation(cameras=("cam_high",)), latent_pair(policy.config), LANGUAGE)


def test_other_joint_numbers_are_refused():
    """An observation of another robot is refused before anything is computed."""
    policy = small_policy()
    seen = dataclasses.replace(observation(), joints=np.zeros(7))
    with pytest.raises(InputError, match="moves 14 joints"):
        policy.predict(seen, latent_pair(policy.config), LANGUAGE)


def test_latents_of_another_shape_are_refused():
    """Features of another video model are refused with both shapes."""
    policy = small_policy()
    video = {"variant": "direct", "feature_dim": 12, "spatial_tokens": 5, "motion_tokens": 6}
    other = small_config(video=video)
    with pytest.raises(InputError, match=r"spatial tokens have shape \(1, 5, 12\)"):
        policy.predict(observation(), latent_pair(other), LANGUAGE)


def test_an_instruction_that_is_too_long_is_refused():
    """More language tokens than position embeddings are refused."""
    policy = small_policy()
    with pytest.raises(InputError, match="at most 6"):
        policy.predict(observation(), latent_pair(policy.config), torch.zeros(7, 10))


def test_weights_that_do_not_fit_are_refused():
    """Missing, unknown and misshapen weights are refused by name; unused released ones are accepted."""
    policy = small_policy()
    state = {**policy.state_dict(), "model.video_cond_pos_embed": torch.zeros(1)}
    policy.load_weights(state)
    state["surprise"] = state.pop("model.x_pos_embed")
    state["lang_adaptor.0.weight"] = torch.zeros(2, 2)
    with pytest.raises(BundleError, match=r"missing model\.x_pos_embed; unknown surprise; lang_adaptor"):
        policy.load_weights(state)


def test_history_of_two_shows_the_previous_observation_first():
    """With two time steps the older image comes first; without a previous one the newest stands in."""
    images = {"dim": 16, "tokens_per_image": 6, "history": 2, "cameras": ("cam_high", "cam_right_wrist")}
    policy = small_policy(images=images)
    old, new = observation(1), observation(2)
    both = policy.image_array(new, old)
    assert both.shape == (2, 2, 32, 32, 3)
    np.testing.assert_array_equal(both[1], policy.image_array(new)[0])
    assert not np.array_equal(both[0], both[1])
    pair = latent_pair(policy.config)
    moving, still = (policy.predict(new, pair, LANGUAGE, previous=before) for before in (old, None))
    assert not np.array_equal(moving, still)
