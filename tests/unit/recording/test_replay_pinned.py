"""The shipped bundle's behaviour, pinned: a recording of fixed content, replayed exactly and compared with kept values.

Whatever changes what the systems compute from the same inputs turns this red: conversion of images, resizes, the
window, the features, the synchroniser, the sampler. Where the change is wanted, keep
the values that the failure tells, with the reason in the change.
"""

from pathlib import Path

import numpy as np
import pytest
from lockstep import record

from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.core.types import LatentStream
from video2act_ros.recording.exact.exact import ReplayOptions, exact_replay
from video2act_ros.recording.reading.bag import open_bag
from video2act_ros.recording.reading.streams import RobotBag

ROOT = Path(__file__).resolve().parents[3]
TOLERANCE_RAD = (
    1e-3  # processors and library builds round differently; measured between 1 and 2 threads: see below
)
TOLERANCE_FEATURE = 1e-2

PINNED = {
    "free": [
        [
            -0.00575,
            -0.94146,
            1.14083,
            -0.01032,
            -0.32414,
            0.0003,
            0.0923,
            0.03975,
            -0.92494,
            1.13145,
            -0.01947,
            -0.26925,
            0.03245,
            0.72495,
        ],
        [
            -0.00519,
            -0.93844,
            1.13825,
            -0.00919,
            -0.3257,
            0.00193,
            0.10737,
            0.116,
            -0.75919,
            1.1409,
            -0.14997,
            -0.29952,
            0.19328,
            0.41992,
        ],
    ],
    "guided": [
        [
            -0.009,
            -0.94914,
            1.151,
            -0.00672,
            -0.30852,
            -0.00672,
            0.19939,
            -0.00464,
            -0.95225,
            1.15536,
            0.00217,
            -0.30672,
            0.00217,
            0.34997,
        ],
        [
            -0.00069,
            -0.94969,
            1.16938,
            -0.01808,
            -0.31417,
            -0.00772,
            0.11435,
            0.09033,
            -0.8303,
            1.11707,
            -0.17785,
            -0.32629,
            0.21118,
            0.37063,
        ],
    ],
    "spatial": [-0.6768, 0.02917, -10.47211, 4.28719, 5.1727, -2.31398],
    "motion": [1.76441, 1.67714, -1.65921, -0.18836, 0.6402, -1.15362],
}
"""First and last action of a free and of a guided chunk [rad; grippers 0..1], the first features of the last update."""


@pytest.fixture(scope="module")
def profile():
    return load_robot_profile(ROOT / "config" / "robots" / "aloha_sim.yaml")


@pytest.fixture(scope="module")
def bag(tmp_path_factory, profile):
    folder = tmp_path_factory.mktemp("pinned") / "bag"
    return record(folder, profile, ROOT / "models" / "aloha_lift", 1.5, size=(120, 160))


def test_the_recording_replays_exactly(bag, profile):
    """Zero difference of the shipped bundle's chunks and latents on the machine that made them."""
    report = exact_replay(ReplayOptions(bag, profile, (ROOT / "models",)))
    assert report["max_abs_diff"] == 0.0
    assert report["first_differing_stage"] is None
    assert (report["chunks"], report["latents"]) == (6, 5)
    assert not any(report["skipped"].values())


def test_the_recording_is_what_it_always_was(bag, profile):
    """Chunks within TOLERANCE_RAD and features within TOLERANCE_FEATURE of the kept values, on any machine."""
    with open_bag(bag) as opened:
        source = RobotBag(opened, profile)
        chunks = [item.value for item in source.chunks()]
        latents = [item.value for item in source.latents()]
    found = {
        "free": chunks[0].positions[[0, 63]],
        "guided": chunks[5].positions[[0, 63]],
        "spatial": np.array([t.tokens[0, :6] for t in latents if t.stream is LatentStream.SPATIAL][-1]),
        "motion": np.array([t.tokens[0, :6] for t in latents if t.stream is LatentStream.MOTION][-1]),
    }
    for name, values in found.items():
        tolerance = TOLERANCE_RAD if name in ("free", "guided") else TOLERANCE_FEATURE
        now = f"{name} is now {np.round(values, 5).tolist()}"
        np.testing.assert_allclose(values, PINNED[name], rtol=0, atol=tolerance, err_msg=now)
