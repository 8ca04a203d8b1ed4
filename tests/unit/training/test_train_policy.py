"""Training of the policy: what it is shown, that it learns, and that an interruption changes nothing."""

import io

import numpy as np
import pytest
import torch
from rich.console import Console

from video2act_ros.core.errors import DatasetError
from video2act_ros.training.checkpoint import load_average
from video2act_ros.training.policy_data import PolicyData, action_scale
from video2act_ros.training.train_policy import BatchMaker, TrainingOptions, learning_rate, train_policy

EPISODES, LENGTH = 3, 5
N = EPISODES * LENGTH
SILENT = Console(file=io.StringIO())


@pytest.fixture
def data():
    """Fifteen observations of three episodes whose chunks follow from the joints."""
    random = np.random.default_rng(0)
    joints = random.normal(0, 0.3, (N, 3)).astype(np.float32)
    return PolicyData(
        images=random.integers(0, 256, (N, 2, 32, 32, 3), dtype=np.uint8),
        joints=joints,
        chunks=np.repeat(joints[:, None] * 0.5, 8, axis=1),
        cube=random.normal(0, 1, (N, 3)).astype(np.float32),
        spatial=torch.arange(N).half()[:, None, None].expand(N, 4, 24).contiguous(),
        motion=torch.zeros(N, 8, 24).half(),
        phrasing=np.arange(N) % 2,
        first=np.repeat(np.arange(EPISODES) * LENGTH, LENGTH),
    )


@pytest.fixture
def language():
    return torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))


def options(**changes):
    return TrainingOptions(**({"steps": 6, "batch": 8, "warmup_steps": 2} | changes))


def test_features_are_older_than_the_observation_but_of_its_episode(data, tiny_policy, language):
    """System 2 lags behind when it serves, so the policy is trained on features of every lag, never of
    another episode."""
    maker = BatchMaker(data, tiny_policy, language, options(batch=64, max_latent_lag=6))
    rng = np.random.default_rng((0, 0))
    index = rng.integers(0, N, 64)
    used = maker.make(0).inputs.spatial[:, 0, 0].numpy().astype(int)
    assert np.all(used <= index)
    assert np.all(used >= data.first[index])
    assert len(set(index - used)) > 2


def test_batches_follow_from_the_step_alone(data, tiny_policy, language):
    """A resumed training sees the batches that an uninterrupted one would."""
    first, second = (BatchMaker(data, tiny_policy, language, options()).make(3) for _ in range(2))
    assert torch.equal(first.clean, second.clean)
    assert torch.equal(first.inputs.images, second.inputs.images)
    assert not torch.equal(first.clean, BatchMaker(data, tiny_policy, language, options()).make(4).clean)


def test_training_lowers_the_loss_on_a_learnable_task(data, tiny_policy, language, tmp_path):
    """The whole loop learns: optimiser, loss, noise and average fit together."""
    log = io.StringIO()
    train_policy(
        tiny_policy, data, language, options(steps=300, batch=16, image_gain=0.0), tmp_path, Console(file=log)
    )
    losses = [
        float(line.split("action ")[1].split(",")[0])
        for line in log.getvalue().splitlines()
        if "step" in line
    ]
    assert losses[-1] < 0.5 * losses[0]


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(data, tiny_policy, language, tmp_path):
    """Stopped after half and resumed from its checkpoint, the result is the same to the last bit."""
    start = {key: value.clone() for key, value in tiny_policy.state_dict().items()}
    whole = train_policy(tiny_policy, data, language, options(), tmp_path / "whole", SILENT)
    tiny_policy.load_state_dict(start)
    train_policy(tiny_policy, data, language, options(stop_after_steps=3), tmp_path / "half", SILENT)
    tiny_policy.load_state_dict(start)
    resumed = train_policy(tiny_policy, data, language, options(), tmp_path / "half", SILENT)
    expected, actual = load_average(whole), load_average(resumed)
    assert all(torch.equal(expected[key], actual[key]) for key in expected)


def test_a_damaged_checkpoint_is_refused(data, tiny_policy, language, tmp_path):
    """Half a checkpoint is named, and nothing is trained on it."""
    path = train_policy(tiny_policy, data, language, options(), tmp_path, SILENT)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DatasetError, match="delete it to start again"):
        train_policy(tiny_policy, data, language, options(steps=9), tmp_path, SILENT)


def test_the_learning_rate_rises_and_falls():
    """Linear warm-up, then a cosine down to a hundredth."""
    chosen = options(steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate(step, chosen) for step in range(100)]
    assert np.argmax(rates) in (9, 10)
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)


def test_the_action_scale_makes_relative_targets_of_unit_size():
    """Each joint's relative target has a root mean square of one after scaling; still joints keep a floor."""
    random = np.random.default_rng(0)
    joints = random.normal(0, 1, (500, 3)).astype(np.float32)
    chunks = (joints[:, None] + random.normal(0, (0.3, 1e-4, 0.0), (500, 8, 3))).astype(np.float32)
    chunks[..., 2] = 0.8
    scale = action_scale(chunks, joints, [2])
    assert scale == pytest.approx((0.3, 0.02, 0.3), rel=0.05)
