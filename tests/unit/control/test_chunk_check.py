"""Which chunks never reach the arm, and why."""

import re
from dataclasses import replace

import numpy as np
import pytest

from video2act_ros.control.chunk_check import ChunkGate
from video2act_ros.control.chunk_plausibility import ChunkPlausibility
from video2act_ros.core.types import seconds_to_ns

NAMES = ("shoulder", "elbow", "gripper")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epoch": 6}, "epoch 6 while the current epoch is 7"),
        ({"epoch": 8}, "epoch 8 while the current epoch is 7"),
        ({"names": ("shoulder", "elbow")}, "2 joints .* has 3"),
        ({"names": ("elbow", "shoulder", "gripper")}, "use a bundle made for this robot"),
        ({"values": [0.0, np.nan, 0.0]}, "NaN"),
        ({"values": [0.0, 1e6]}, "moves elbow 999994.00 beyond its position limits"),
        ({"values": [0.0, 6.21]}, "moves elbow 0.21 beyond .* \\(-2.00 to 6.00\\); check System 1's bundle"),
        ({"values": [[0.0, 0.0, 0.0], [-2.3, 0.0, 0.0]]}, "moves shoulder 0.30 beyond"),
        ({"stamp_s": 9.95}, "observed no later"),
        ({"stamp_s": 10.0}, "observed no later"),
        ({"stamp_s": 8.0}, "observed before the current epoch"),
        ({"stamp_s": 10.01, "step_s": 0.001}, "too slow for this horizon"),
        ({"stamp_s": 11.0}, "0.90 s in the future"),
    ],
)
def test_unusable_chunks_are_refused_with_the_reason(make_chunk, changes, words):
    """Old epochs, other joints, NaN, old observations, spent and future chunks never reach the arm."""
    gate = ChunkGate(NAMES, (np.full(3, -2.0), np.array([9.0, 6.0, 9.0])))
    gate.raise_epoch(7, seconds_to_ns(9.0))
    assert gate.admit(make_chunk(10.0, [1.0] * 8, epoch=7), seconds_to_ns(10.0)) is None
    options = {"stamp_s": 10.05, "values": [5.0, 5.0, 5.0], "epoch": 7} | changes
    wrong = make_chunk(options.pop("stamp_s"), options.pop("values"), **options)
    refusal = gate.admit(wrong, seconds_to_ns(10.1))
    assert refusal is not None
    assert re.search(words, refusal.text)
    assert refusal.routine == ("epoch" in words)
    assert gate.admit(make_chunk(10.05, [1.0] * 8, epoch=7), seconds_to_ns(10.1)) is None


def test_a_raised_epoch_lets_only_newer_observations_through(make_chunk):
    """After a reset nothing from before it is executed, whatever epoch it claims."""
    gate = ChunkGate(NAMES)
    assert gate.admit(make_chunk(10.0, [1.0] * 8), seconds_to_ns(10.0)) is None
    gate.raise_epoch(1, seconds_to_ns(10.1))
    assert gate.epoch == 1
    for stamp_s, epoch in ((10.15, 0), (10.05, 1)):
        assert gate.admit(make_chunk(stamp_s, [1.0] * 8, epoch=epoch), seconds_to_ns(10.2)).routine
    assert gate.admit(make_chunk(10.15, [1.0] * 8, epoch=1), seconds_to_ns(10.2)) is None


@pytest.mark.parametrize(
    "seen",
    [
        {"image_stamps_ns": (seconds_to_ns(10.15), seconds_to_ns(10.05))},
        {"joint_stamp_ns": seconds_to_ns(10.05)},
        {"previous_image_stamps_ns": (seconds_to_ns(10.05),)},
        {"previous_joint_stamp_ns": seconds_to_ns(10.05)},
        {"latent_stamp_ns": seconds_to_ns(8.95)},
    ],
)
def test_a_chunk_that_saw_anything_from_before_is_refused(make_chunk, seen):
    """Its own stamp is not all it was made of: images, joints and latents of another scene give it away."""
    gate = ChunkGate(NAMES)
    gate.raise_epoch(1, seconds_to_ns(10.1), seconds_to_ns(9.0))
    chunk = make_chunk(10.15, [1.0] * 8, epoch=1)
    refusal = gate.admit(replace(chunk, **seen), seconds_to_ns(10.2))
    assert refusal is not None
    assert refusal.routine
    later = {
        name: seconds_to_ns(10.12) if name.endswith("p_ns") else (seconds_to_ns(10.12),) for name in seen
    }
    assert gate.admit(replace(chunk, **later), seconds_to_ns(10.2)) is None


def test_a_little_beyond_a_limit_is_the_limiters_matter(make_chunk):
    """A policy may err slightly; such a chunk is taken and clipped later."""
    gate = ChunkGate(NAMES, (np.zeros(3), np.ones(3)))
    assert gate.admit(make_chunk(0.0, [-0.19, 1.19]), 0) is None


@pytest.fixture
def gate(profile):
    limits = (profile.limits("position_min"), profile.limits("position_max"))
    return ChunkGate(NAMES, limits, plausible=ChunkPlausibility(profile))


@pytest.mark.parametrize(
    ("values", "step_s", "words"),
    [
        (
            [0.0, 1.0, 0.0],
            0.02,
            r"lets shoulder leap by 1.00 in 0.02 s \(action 0 to 1\), more than 10 times",
        ),
        ([0.0, 0.5, 1.0], 40.0, "has a step of 40 s between two actions; steps from 0.001 to 2 s are taken"),
        ([0.0, 0.5, 1.0], float("inf"), "has a step of inf s"),
        ([0.0, 0.5, 1.0], 1e-9, "has a step of 1e-09 s"),
        ([40.0, 41.0, 42.0], 0.05, "beyond its position limits .* it looks like degrees"),
    ],
)
def test_chunks_that_no_policy_can_mean_are_refused(gate, make_chunk, values, step_s, words):
    """Leaps, steps in another unit, positions in degrees: each named with where to look."""
    positions = np.repeat(np.array(values)[:, None], 3, axis=1) * [1.0, 0.5, 1.0 if max(values) < 2 else 0.0]
    refusal = gate.admit(make_chunk(10.0, positions, step_s=step_s), seconds_to_ns(10.0))
    assert re.search(words, refusal.text)
    assert not refusal.routine


def test_lively_chunks_pass(gate, make_chunk):
    """A policy's noise, speeds above the profile's and grippers that snap are the limiter's matter."""
    positions = np.array([[0.0, 0.0, 0.0], [0.3, 0.2, 1.0], [0.1, 0.5, 0.0]])
    assert gate.admit(make_chunk(10.0, positions, step_s=0.05), seconds_to_ns(10.0)) is None


def test_a_chunk_of_another_clock_does_not_blame_a_slow_system1(gate, make_chunk):
    """Its stamp is the mistake, not its speed."""
    refusal = gate.admit(make_chunk(10.0, [0.0] * 8), seconds_to_ns(1.8e9))
    assert "chunk is stamped 57.0 years ago, by another clock; let System 1 stamp" in refusal.text
