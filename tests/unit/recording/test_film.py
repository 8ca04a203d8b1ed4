"""The film shows every camera with the maps over the head camera."""

import av
import numpy as np
import pytest

from video2act_ros.core.errors import InputError
from video2act_ros.recording.film import HEIGHT, WIDTH, FilmFrame, compose, overlay, write_film

CAMERAS = ("cam_high", "cam_right_wrist", "cam_left_wrist")
GREY = np.full((24, 32, 3), 100, dtype=np.uint8)


def frame(spatial=None, motion=None):
    return FilmFrame(dict.fromkeys(CAMERAS, GREY), spatial, motion, "lift", "engaged")


def test_an_empty_map_leaves_the_image_alone():
    """Where nothing was found nothing is drawn."""
    colour = np.array([255.0, 0.0, 0.0], dtype=np.float32)
    np.testing.assert_array_equal(overlay(GREY, np.zeros((3, 4), np.float32), colour), GREY)


def test_a_map_colours_its_place_only():
    """The map lies over the image as the model saw it: rows down, columns right."""
    mask = np.zeros((2, 2), np.float32)
    mask[0, 1] = 1.0
    drawn = overlay(GREY, mask, np.array([255.0, 0.0, 0.0], dtype=np.float32))
    assert drawn[0, -1, 0] > 150
    np.testing.assert_array_equal(drawn[-1, 0], GREY[-1, 0])


def test_the_written_film_has_every_frame(tmp_path):
    """The MP4 can be read back with its size and frame count."""
    path = tmp_path / "episode.mp4"
    write_film(path, [frame(np.ones((3, 3), np.float32))] * 7, 20, CAMERAS[0], CAMERAS[1:])
    with av.open(str(path)) as container:
        decoded = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    assert len(decoded) == 7
    assert decoded[0].shape == (HEIGHT, WIDTH, 3) == compose(frame(), CAMERAS[0], CAMERAS[1:]).shape


def test_no_frame_is_an_error_and_no_file(tmp_path):
    """A film without frames is not written at all."""
    with pytest.raises(InputError, match="no camera frame"):
        write_film(tmp_path / "episode.mp4", [], 20, CAMERAS[0], CAMERAS[1:])
    assert not list(tmp_path.iterdir())
