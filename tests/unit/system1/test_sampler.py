"""The sampler's arithmetic, for any network."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from video2act_ros.system1.config import SamplerConfig
from video2act_ros.system1.sampler import Sampler, draw_noise

# x ← a·x + b·x0_i + c·x0_{i−1} of five steps (docs/reference.md, "sampler").
LINEAR_FORM = (
    (999, 0.95181640, 0.30662154, 0.0),
    (799, 0.85300657, 0.33691891, -0.01472043),
    (599, 0.73283058, 0.52355660, -0.14764117),
    (400, 0.53739765, 0.83673934, -0.32116055),
    (200, 0.0, 1.0, 0.0),
)
ONES = torch.ones(1)


def run(predictions: torch.Tensor, noise: torch.Tensor, mask: torch.Tensor = ONES):
    """Sample with a network that gives `predictions[i]` at step i; return all it saw, and the result."""
    seen: list[tuple[int, torch.Tensor]] = []

    def denoise(sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        seen.append((int(timestep), sample))
        return predictions[len(seen) - 1]

    result = Sampler(SamplerConfig(steps=len(predictions))).sample(denoise, noise, mask)
    return seen, result


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_five_steps_have_the_documented_linear_form(seed):
    """Each update is the fixed linear combination of sample, prediction and previous prediction."""
    predictions, noise = draw_noise((5, 2, 3, 4), seed), draw_noise((2, 3, 4), seed + 1)
    seen, result = run(predictions, noise)
    x, previous = noise, torch.zeros_like(noise)
    for index, (timestep, a, b, c) in enumerate(LINEAR_FORM):
        assert seen[index][0] == timestep
        torch.testing.assert_close(seen[index][1], x, rtol=0, atol=5e-5)
        x, previous = a * x + b * predictions[index] + c * previous, predictions[index]
    torch.testing.assert_close(result, x, rtol=0, atol=5e-5)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10, 25])
def test_the_last_step_returns_the_network_output(steps):
    """The final sigma is zero: nothing of the noise is left in a chunk, for any number of steps."""
    predictions = draw_noise((steps, 2, 3, 4), 1)
    _, result = run(predictions, draw_noise((2, 3, 4), 2))
    torch.testing.assert_close(result, predictions[-1], rtol=0, atol=1e-6)


def test_unused_elements_of_a_chunk_are_zero():
    """Elements outside the mask are zero in a chunk, whatever the network says there."""
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0])
    _, result = run(draw_noise((5, 2, 3, 4), 1), draw_noise((2, 3, 4), 2), mask)
    assert torch.count_nonzero(result[..., 1::2]) == 0
    assert torch.count_nonzero(result[..., ::2]) == 12


def test_a_sampler_starts_afresh_for_every_chunk():
    """Nothing of one chunk's multistep history reaches the next chunk."""
    sampler = Sampler(SamplerConfig())
    noise = draw_noise((1, 3, 4), 0)
    first, second = (sampler.sample(lambda x, _: x.tanh(), noise, ONES) for _ in range(2))
    assert torch.equal(first, second)


def test_between_steps_the_sample_has_the_network_dtype():
    """The update runs in float32 and its result is cast back to the model's dtype after every step."""
    predictions = draw_noise((5, 1, 3, 4), 1).bfloat16()
    seen, result = run(predictions, draw_noise((1, 3, 4), 2).bfloat16(), ONES.bfloat16())
    assert {sample.dtype for _, sample in seen} == {torch.bfloat16} == {result.dtype}


def test_noise_depends_on_the_seed_alone():
    """One seed gives one noise, and drawing it leaves the global generator as it was."""
    before = torch.get_rng_state()
    torch.manual_seed(1)
    first = draw_noise((4, 3), 7)
    torch.manual_seed(2)
    assert torch.equal(first, draw_noise((4, 3), 7))
    assert not torch.equal(first, draw_noise((4, 3), 8))
    torch.set_rng_state(before)
    draw_noise((4, 3), 7)
    assert torch.equal(before, torch.get_rng_state())
