"""Frames prepared for one model are given to another one only where nothing about them differs."""

import numpy as np
import pytest
from shared_configs import encoder

from video2act_ros.core.types import CameraFrame, LatentStream
from video2act_ros.system2.config import VideoEncoderConfig
from video2act_ros.system2.frame_layout import FrameLayout

PATH = {"width": 64, "height": 48, "jpeg_quality": 50}


def layout(**changes):
    return FrameLayout.of(VideoEncoderConfig.model_validate(encoder(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"camera": "cam_low"},
        {"camera_path": PATH},
        {"frame_period_s": 0.2},
        {"window_frames": 9},
        {"motion": {"width": 32}},
        {"spatial": {"height": 8}},
    ],
)
def test_whatever_changes_a_kept_frame_is_part_of_the_layout(changes):
    """A history is shared by equal layouts only."""
    assert layout(**changes) != layout()
    assert layout(layer=1, channel_order="bgr") == layout()


def test_a_history_prepares_frames_as_its_layout_says():
    """The camera path comes first, then each stream's size."""
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    images = []
    for choice in (layout(), layout(camera_path=PATH)):
        history = choice.history()
        history.add(CameraFrame("cam_high", 1, image))
        images.append(history.window().images[-1])
        assert {stream: frame.shape for stream, frame in images[-1].items()} == dict.fromkeys(
            LatentStream, (16, 16, 3)
        )
    assert not np.array_equal(images[0][LatentStream.SPATIAL], images[1][LatentStream.SPATIAL])
