from __future__ import annotations

import numpy as np
import pytest

from video2act_ros.training.dataset import Demonstrations


@pytest.fixture
def demonstrations() -> Demonstrations:
    """Two episodes of 10 and 6 control steps with images every second one of the first 6 and 4 steps."""
    rows = np.array([0, 2, 4, 10, 12])
    values = np.repeat(np.arange(16, dtype=np.float32)[:, None], 2, axis=1)
    return Demonstrations(
        task="lift",
        instruction="lift",
        paraphrases=(),
        joint_names=("a", "b"),
        control_hz=50.0,
        image_hz=25.0,
        images={"cam_high_64": np.zeros((5, 64, 64, 3), np.uint8)},
        image_row=rows,
        image_episode=np.array([0, 0, 0, 1, 1]),
        cube=np.zeros((5, 3), np.float32),
        joints=values + 100.0,
        targets=values,
        step_start=np.array([0, 10, 16]),
        image_start=np.array([0, 3, 5]),
        seeds=np.array([0, 1]),
        noise_std=np.zeros(2, np.float32),
    )


def test_a_chunk_follows_its_image_and_never_leaves_the_episode(demonstrations: Demonstrations) -> None:
    """chunks[n, k] is the target of control step k after image n; past the end the last one repeats."""
    chunks = demonstrations.chunks(np.array([1, 2, 4]), 7)
    np.testing.assert_array_equal(chunks[0, :, 0], [2, 3, 4, 5, 6, 7, 8])
    np.testing.assert_array_equal(chunks[1, :, 0], [4, 5, 6, 7, 8, 9, 9])
    np.testing.assert_array_equal(chunks[2, :, 1], [12, 13, 14, 15, 15, 15, 15])


def test_a_window_repeats_the_episodes_first_image(demonstrations: Demonstrations) -> None:
    """Windows end at the asked image, oldest first, and never reach into another episode."""
    windows = demonstrations.window(np.array([2, 3, 4]), 3)
    np.testing.assert_array_equal(windows, [[0, 1, 2], [3, 3, 3], [3, 3, 4]])
    np.testing.assert_array_equal(demonstrations.window(np.array([2]), 2, stride=2), [[0, 2]])
