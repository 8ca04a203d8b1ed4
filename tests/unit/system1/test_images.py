"""Preparation of camera images for the vision encoder."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from video2act_ros.core.images import CameraPathConfig, through_camera_path
from video2act_ros.system1.config import SiglipVisionConfig
from video2act_ros.system1.inputs import image_array
from video2act_ros.system1.siglip_images import BACKGROUND, pad_to_square, siglip_image
from video2act_ros.system1.vision import SiglipVision, siglip_weights

from .helpers import observation, small_config

SIDE = 28
TOWER = {
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 14,
}


def vision(**changes):
    return SiglipVisionConfig(image_width=SIDE, image_height=SIDE, model=TOWER, **changes)


def config(**changes):
    tokens = {"dim": 8, "tokens_per_image": 4, "history": 2, "cameras": ("cam_high", "cam_right_wrist")}
    return small_config(images={**tokens, **changes}, vision=vision().model_dump())


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_padding_centres_the_image_on_grey(height, width):
    """Nothing of the image is lost, and all around it is the background."""
    image = np.random.default_rng(0).integers(0, 100, (height, width, 3), dtype=np.uint8)
    square = pad_to_square(image)
    side = max(height, width)
    assert square.shape == (side, side, 3)
    top, left = (side - height) // 2, (side - width) // 2
    np.testing.assert_array_equal(square[top : top + height, left : left + width], image)
    assert (square == BACKGROUND).all(axis=-1).sum() == side * side - height * width


def test_only_dark_images_are_brightened_and_only_on_request():
    """Brightening is off by default and leaves images of ordinary brightness alone."""
    dark, light = np.full((20, 20, 3), 20, np.uint8), np.full((20, 20, 3), 60, np.uint8)
    assert (siglip_image(dark, vision()) == 20).all()
    assert (siglip_image(dark, vision(brighten_dark=True)) == 35).all()
    assert (siglip_image(light, vision(brighten_dark=True)) == 60).all()


def test_the_older_half_of_a_history_comes_first():
    """A history of two is the previous observation's images, then the newest ones; without one it repeats."""
    older, newest = observation(1), observation(2)
    rows = image_array(config(), newest, older)
    np.testing.assert_array_equal(rows[0], image_array(config(), older)[1])
    np.testing.assert_array_equal(rows[1], image_array(config(), newest)[0])


def test_a_missing_camera_may_be_grey():
    """A policy that was trained with missing images gets the background it was trained with."""
    seen = dataclasses.replace(observation(cameras=("cam_high",)))
    rows = image_array(config(missing="background"), seen)
    assert (rows[:, 1] == BACKGROUND).all()
    assert (rows[:, 0] != BACKGROUND).any()


@pytest.mark.parametrize("quality", [None, 95])
def test_the_camera_path_keeps_the_channel_order(quality):
    """Red stays red through resize and JPEG, within the codec's loss."""
    image = np.zeros((60, 80, 3), np.uint8)
    image[..., 0] = 200
    path = CameraPathConfig(width=64, height=48, jpeg_quality=quality)
    result = through_camera_path(image, path)
    assert result.shape == (48, 64, 3)
    np.testing.assert_allclose(result.reshape(-1, 3).mean(axis=0), (200, 0, 0), atol=3)


def test_no_camera_path_changes_nothing():
    """Small bundles take images as the cameras give them."""
    image = observation().images["cam_high"]
    assert through_camera_path(image, None) is image


def test_the_camera_path_reaches_the_policy():
    """What the manifest says of the camera path applies to every image of an observation."""
    with_path = config().model_copy(update={"camera_path": CameraPathConfig(jpeg_quality=5)})
    seen = observation()
    assert (image_array(with_path, seen) != image_array(config(), seen)).any()


@pytest.mark.parametrize("prefix", ["", "vision_model."])
def test_siglip_weights_of_either_naming_fit(prefix):
    """Old and new transformers names give the policy's; text tower and pooling head are left out."""
    own = SiglipVision(vision()).state_dict()
    named = {f"{prefix}{key.removeprefix('tower.')}": value for key, value in own.items()}
    extra = {f"{prefix}head.probe": torch.zeros(1)}
    converted = siglip_weights({**named, **extra})
    assert converted.keys() == {f"vision.{key}" for key in own}
