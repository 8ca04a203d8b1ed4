"""The action head's norm computes the same in training and in serving, in every precision."""

import pytest
import torch

from video2act_ros.system1.scale_norm import NORM_EPS, ScaleNorm


@pytest.fixture(params=["variance", "rms"])
def norm(request):
    torch.manual_seed(0)
    layer = ScaleNorm(512, request.param)
    layer.weight.data.normal_(1.0, 0.2)
    return layer


def exact(x, norm):
    """The norm in float64."""
    x, weight = x.double(), norm.weight.double()
    square = x.square().mean(-1, keepdim=True) if norm.norm == "rms" else x.var(-1, keepdim=True)
    return x / (square + NORM_EPS).sqrt() * weight


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_serving_computes_what_training_computes(norm, dtype):
    """Statistics are float32 in both, and the result is rounded once: but for ties the same bits in bfloat16."""
    norm = norm.to(dtype)
    x = torch.randn(64, 512).to(dtype)
    trained = norm(x)
    with torch.no_grad():
        served = norm(x)
    assert served.dtype == trained.dtype == dtype
    if dtype is torch.bfloat16:
        assert (served != trained).double().mean() < 1e-3
    torch.testing.assert_close(
        served, trained.detach(), rtol=2.0**-7 if dtype is torch.bfloat16 else 1e-6, atol=1e-6
    )


def test_a_bfloat16_result_is_the_nearest_one(norm):
    """No error of the statistics on top of the rounding of the result."""
    norm = norm.to(torch.bfloat16)
    x = torch.randn(64, 512).bfloat16()
    with torch.no_grad():
        served = norm(x)
    wanted = exact(x, norm)
    rounded = wanted.float().bfloat16()
    assert (served != rounded).double().mean() < 1e-3  # where float32 and float64 round to different sides
    torch.testing.assert_close(served.double(), wanted, rtol=2.0**-8, atol=1e-6)
