"""Known leading actions inside the sampler: exact where frozen, drawn to where guided, nothing else touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from video2act_ros.core.errors import InputError
from video2act_ros.system1.config import SamplerConfig
from video2act_ros.system1.guide import Guide, make_guide
from video2act_ros.system1.realtime_chunking import Prefix, soft_weights
from video2act_ros.system1.sampler import Sampler, draw_noise

from .helpers import latent_pair, observation, small_policy

ONES = torch.ones(1)


def prefix_of(positions, frozen):
    return Prefix(positions, soft_weights(frozen, len(positions)), frozen)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), steps=st.sampled_from([1, 2, 3, 5, 10]))
def test_frozen_rows_stay_the_noised_prefix_at_every_step(seed, steps):
    """With weight 1 a row is alpha_t a + sigma_t eps at every evaluation, whatever the network says."""
    sampler, noise = Sampler(SamplerConfig(steps=steps)), draw_noise((2, 6, 4), seed)
    clean = draw_noise((1, 6, 4), seed + 1)
    weights = torch.zeros_like(clean)
    weights[:, :3] = 1.0
    seen = []

    def denoise(sample, timestep):
        seen.append((int(timestep), sample))
        return 3.0 * draw_noise((2, 6, 4), seed + 2 + len(seen))

    result = sampler.sample(denoise, noise, ONES, Guide(clean, weights))
    for timestep, sample in seen:
        share = sampler.alphas_cumprod[timestep]
        expected = share.sqrt() * clean + (1.0 - share).sqrt() * noise
        torch.testing.assert_close(sample[:, :3], expected[:, :3], rtol=0, atol=2e-5)
    torch.testing.assert_close(result[:, :3], clean[:, :3].expand(2, -1, -1), rtol=0, atol=2e-6)


def test_a_guided_row_ends_between_prediction_and_prefix():
    """A soft weight w ends at w a + (1 - w) x0 of the last prediction; weight 0 changes nothing at all."""
    noise, predictions = draw_noise((1, 4, 3), 0), draw_noise((5, 1, 4, 3), 1)
    clean, weights = draw_noise((1, 4, 3), 2), torch.zeros(1, 4, 3)
    weights[:, 1] = 0.3

    def run(guide):
        left = iter(predictions)
        return Sampler(SamplerConfig(steps=5)).sample(lambda *_: next(left), noise, ONES, guide)

    free, guided = run(None), run(Guide(clean, weights))
    torch.testing.assert_close(
        guided[:, 1], 0.3 * clean[:, 1] + 0.7 * predictions[-1][:, 1], rtol=0, atol=2e-6
    )
    assert torch.equal(guided[:, [0, 2, 3]], free[:, [0, 2, 3]])


def test_unused_elements_are_left_as_they_are():
    """Elements outside the mask have no weight, frozen or not."""
    mask = torch.tensor([1.0, 0.0, 1.0])
    guide = make_guide(torch.ones(1, 2, 3), prefix_of(np.ones((2, 2)), 2), mask, 5)
    assert torch.equal(guide.weights[0, :2], mask.expand(2, 3))
    assert torch.count_nonzero(guide.weights[0, 2:]) == 0


def test_a_prefix_longer_than_the_chunk_is_refused():
    """Nothing is cut off silently."""
    with pytest.raises(InputError, match="6 actions does not fit a chunk of 5"):
        make_guide(torch.ones(1, 6, 3), prefix_of(np.ones((6, 3)), 2), ONES, 5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_chunk_repeats_its_frozen_positions(dtype):
    """Through joint-relative, scaled actions and back: equal to 1e-5; free rows do follow the prefix."""
    policy = small_policy(dtype=dtype)
    seen, language = observation(), torch.randn(3, 10, generator=torch.Generator().manual_seed(0))
    pair = latent_pair(policy.config)
    positions = np.random.default_rng(1).uniform(0.0, 1.0, (6, 14))
    free = policy.predict(seen, pair, language)
    chunk = policy.predict(seen, pair, language, prefix=prefix_of(positions, 4))
    np.testing.assert_allclose(chunk[:4], positions[:4], rtol=0, atol=1e-5)
    assert chunk.shape == free.shape
    assert np.all(np.abs(chunk[4] - positions[4]) <= np.abs(free[4] - positions[4]) + 0.5)
    assert not np.array_equal(chunk[6:], free[6:])


def test_without_a_prefix_a_chunk_is_what_it_was():
    """No prefix, and a prefix of weight 0, give the same chunk to the last bit."""
    policy = small_policy()
    seen, language = observation(), torch.zeros(3, 10)
    pair = latent_pair(policy.config)
    nothing = Prefix(np.ones((2, 14)), np.zeros(2), 0)
    np.testing.assert_array_equal(
        policy.predict(seen, pair, language), policy.predict(seen, pair, language, prefix=nothing)
    )
