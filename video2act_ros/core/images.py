"""Image resizes that recording, training and serving share."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from video2act_ros.core.errors import InputError
from video2act_ros.core.types import ImageArray


class CameraPathConfig(BaseModel):
    """What every camera image goes through before a model resizes it, as the model's training images did.

    A bilinear resize to `width` x `height`, then a JPEG round trip of quality `jpeg_quality` (None: none).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: Annotated[int, Field(gt=0)] = 640
    height: Annotated[int, Field(gt=0)] = 480
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] | None = 95


def resize_image(image: ImageArray, width: int, height: int) -> ImageArray:
    """Return `image` (H, W, 3) uint8 resized to (height, width, 3) by area averaging, contiguous."""
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def through_camera_path(image: ImageArray, path: CameraPathConfig | None) -> ImageArray:
    """Return the (H, W, 3) uint8 image as `path` leaves it: (path.height, path.width, 3); None changes nothing.

    The codec takes the channels for blue, green, red, whatever they are, and gives them back in the same order:
    for an RGB image that is how the released data were stored (docs/reference.md, "image path").
    """
    if path is None:
        return image
    size = (path.width, path.height)
    resized = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    if path.jpeg_quality is None:
        return resized
    done, encoded = cv2.imencode(".jpg", resized, [cv2.IMWRITE_JPEG_QUALITY, path.jpeg_quality])
    if not done:
        raise InputError(
            f"an image of shape {image.shape} cannot be encoded as JPEG; use (H, W, 3) uint8 images"
        )
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)
