"""Compressed images are what their camera's raw topic shows."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from video2act_ros.recording.reading.decode_images import frame_from_compressed

ORIENTATION = 0x0112  # EXIF tag


@pytest.mark.parametrize("image_format", ["jpeg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_viewers_hint_turns_no_image(image_format, orientation):
    """A camera that writes how it is mounted sends the same pixels as on its raw topic, whatever the codec."""
    rows, columns = np.mgrid[0:32, 0:64]
    pixels = np.stack((rows * 7, columns * 3, 40 + 0 * rows), axis=-1).astype(np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(
        file, image_format, exif=exif, **({"quality": 95} if image_format == "jpeg" else {})
    )
    stamp = SimpleNamespace(sec=1, nanosec=2)
    message = SimpleNamespace(format=image_format, data=file.getvalue(), header=SimpleNamespace(stamp=stamp))
    frame = frame_from_compressed(message, "cam_high")
    assert frame.image.shape == pixels.shape
    assert np.abs(frame.image.astype(int) - pixels).mean() < 3.0
