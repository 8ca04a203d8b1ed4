"""Images as the SigLIP encoder takes them (docs/reference.md, "image path")."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance

from video2act_ros.core.types import ImageArray
from video2act_ros.system1.config import SiglipVisionConfig

BACKGROUND = 127  # grey of padding and of missing images: half of 255, truncated
DARK_BELOW = 0.15  # mean brightness of an image that is brightened, of 1
BRIGHTENING = 1.75


def siglip_image(image: ImageArray, config: SiglipVisionConfig) -> ImageArray:
    """Return an (H, W, 3) uint8 RGB image at the tower's size, resized on 8-bit data as the reference does."""
    if config.brighten_dark and image.mean() / 255.0 <= DARK_BELOW:
        image = np.asarray(ImageEnhance.Brightness(Image.fromarray(image)).enhance(BRIGHTENING))
    if config.resize == "pad":
        image = pad_to_square(image)
    size = (config.image_width, config.image_height)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def pad_to_square(image: ImageArray) -> ImageArray:
    """Return the (H, W, 3) uint8 image centred on a grey square whose side is its longer one."""
    height, width = image.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side, 3), BACKGROUND, np.uint8)
    square[top : top + height, left : left + width] = image
    return square
