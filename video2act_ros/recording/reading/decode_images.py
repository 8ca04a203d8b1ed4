"""Image messages, rclpy's or rosbags', to frames. Raw rgb8 images are not copied.

Apart from the other conversions, because OpenCV is needed here and the command process does without.
"""

from __future__ import annotations

import cv2
import numpy as np

from video2act_ros.core.errors import InputError
from video2act_ros.core.types import CameraFrame, ImageArray
from video2act_ros.recording.reading.decode import Message, stamp_to_ns

_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
}
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
"""A camera's pixels as its raw topic has them: a viewer's hint in the file (EXIF) turns no image."""

ENCODINGS = tuple(_CHANNELS)
"""Encodings of raw images that are converted here."""


def frame_from_image(message: Message, camera: str) -> CameraFrame:
    """Return a raw image as RGB; rgb8 without padding is a view of the message's bytes.

    Raises:
        InputError: the encoding is not supported, or the data are shorter than the header says.
    """
    channels = _CHANNELS.get(message.encoding)
    if channels is None:
        raise InputError(
            f"camera '{camera}' sends the encoding '{message.encoding}'; supported are {', '.join(ENCODINGS)} "
            "and compressed images (transport: compressed in the robot profile)"
        )
    height, width, row = int(message.height), int(message.width), int(message.width) * channels
    step = int(message.step) or row
    data = np.frombuffer(message.data, dtype=np.uint8)
    if not height or not width or step < row or data.size < height * step:
        raise InputError(
            f"camera '{camera}' sends {data.size} bytes with step {step} for {width}x{height} {message.encoding}; "
            f"{height * max(step, row)} bytes are needed; check the camera driver"
        )
    pixels: ImageArray = data[: height * step].reshape(height, step)[:, :row].reshape(height, width, channels)
    if message.encoding in _TO_RGB:
        pixels = np.asarray(cv2.cvtColor(pixels, _TO_RGB[message.encoding]), dtype=np.uint8)
    return CameraFrame(camera, stamp_to_ns(message.header.stamp), pixels, message.encoding)


def frame_from_compressed(message: Message, camera: str) -> CameraFrame:
    """Return a JPEG or PNG image as RGB.

    Raises:
        InputError: the bytes are no image that OpenCV can read.
    """
    data = np.frombuffer(message.data, dtype=np.uint8)
    pixels = cv2.imdecode(data, _AS_STORED) if data.size else None
    if pixels is None:
        raise InputError(
            f"camera '{camera}' sends compressed images of format '{message.format}' that cannot be decoded; "
            "supported are jpeg and png"
        )
    rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    return CameraFrame(camera, stamp_to_ns(message.header.stamp), rgb, message.format)
