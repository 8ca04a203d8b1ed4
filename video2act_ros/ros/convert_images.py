"""Frames to image messages. The way back is `recording/decode_images`, which bags share.

Apart from the other conversions, because OpenCV is needed there and the command process does without.
"""

from __future__ import annotations

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from video2act_ros.core.types import CameraFrame
from video2act_ros.recording.reading.decode_images import frame_from_compressed as frame_from_compressed
from video2act_ros.recording.reading.decode_images import frame_from_image as frame_from_image
from video2act_ros.ros.convert import ns_to_stamp, set_bytes


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
