"""Frames to image messages, and back: by `recording/reading/decode_images`, which bags share, or by cv_bridge.

Apart from the other conversions, because OpenCV is needed there and the command process does without.
"""

from __future__ import annotations

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from video2act_ros.core.types import CameraFrame
from video2act_ros.recording.reading import decode_images
from video2act_ros.recording.reading.decode_images import frame_from_compressed as frame_from_compressed
from video2act_ros.ros.bridge_images import frame_by_cv_bridge
from video2act_ros.ros.convert import ns_to_stamp, set_bytes

IMAGE_MESSAGES: dict[str, type[Image | CompressedImage]] = {"raw": Image, "compressed": CompressedImage}
"""The type of a camera's messages by its `transport` in the robot profile."""


def frame_from_message(message: Image | CompressedImage, camera: str) -> CameraFrame:
    """Return an image of either transport as RGB.

    Raises:
        InputError: it cannot be converted.
    """
    if isinstance(message, CompressedImage):
        return frame_from_compressed(message, camera)
    return frame_from_image(message, camera)


def message_from_frame(frame: CameraFrame, transport: str) -> Image | CompressedImage:
    """Return a frame as a driver of that transport sends it."""
    return compressed_from_frame(frame) if transport == "compressed" else image_from_frame(frame)


def frame_from_image(message: Image, camera: str) -> CameraFrame:
    """Return a raw image as RGB: converted here where the encoding is known, else by cv_bridge where installed.

    Raises:
        InputError: neither can convert the encoding, or the data are shorter than the header says.
    """
    if message.encoding in decode_images.ENCODINGS:
        return decode_images.frame_from_image(message, camera)
    return frame_by_cv_bridge(message, camera)


def image_from_frame(frame: CameraFrame, frame_id: str = "") -> Image:
    """Return a frame as an rgb8 message."""
    height, width, _ = frame.image.shape
    message = Image(height=height, width=width, encoding="rgb8", is_bigendian=0, step=3 * width)
    message.header.stamp = ns_to_stamp(frame.stamp_ns)
    message.header.frame_id = frame_id or frame.camera
    set_bytes(message, frame.image)
    return message


def compressed_from_frame(frame: CameraFrame, quality: int = 90) -> CompressedImage:
    """Return a frame as a JPEG message."""
    pixels = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    message = CompressedImage(format="jpeg")
    message.header.stamp = ns_to_stamp(frame.stamp_ns)
    message.header.frame_id = frame.camera
    set_bytes(message, np.asarray(data))
    return message
