"""Raw images in encodings that the project does not convert itself, by cv_bridge where it is installed.

cv_bridge's compiled part is built against one major version of NumPy. Beside another one nothing is raised: its
import succeeds, and the first conversion ends the process with a segmentation fault. So another process tries it
first, once, when the first such image arrives; that takes about a second.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

from video2act_ros.core.errors import InputError
from video2act_ros.core.types import CameraFrame
from video2act_ros.recording.reading.decode import stamp_to_ns
from video2act_ros.recording.reading.decode_images import ENCODINGS

_TRIAL_TIMEOUT_S = 30.0
_TRIAL = """
from cv_bridge import CvBridge
from sensor_msgs.msg import Image
image = Image(height=1, width=2, encoding="mono16", step=4, data=[0, 0, 255, 255])
assert CvBridge().imgmsg_to_cv2(image, "rgb8").tolist() == [[[0, 0, 0], [255, 255, 255]]]
"""


@dataclass(frozen=True, slots=True)
class Bridge:
    """cv_bridge's converter, or why there is none and what to do about it."""

    converter: Any  # cv_bridge.CvBridge, which has no types; None: not usable
    problem: str = ""


@cache
def load_bridge() -> Bridge:
    """Return cv_bridge's converter if it is installed and works beside this NumPy; tried once per process."""
    if find_spec("cv_bridge") is None:
        return Bridge(
            None, "cv_bridge, which knows more, is not installed (sudo apt install ros-$ROS_DISTRO-cv-bridge)"
        )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL], env=environment, capture_output=True, timeout=_TRIAL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return Bridge(None, f"cv_bridge is installed but converts nothing within {_TRIAL_TIMEOUT_S:.0f} s")
    if trial.returncode:
        return Bridge(
            None,
            f"cv_bridge is installed but does not work beside NumPy {np.__version__}: install the versions that "
            "requirements/ros-installation.txt names into the environment of the nodes",
        )
    from cv_bridge import CvBridge

    return Bridge(CvBridge())


def frame_by_cv_bridge(message: Image, camera: str) -> CameraFrame:
    """Return a raw image of any encoding that cv_bridge can turn into RGB.

    Raises:
        InputError: cv_bridge is missing or does not work, or cannot convert this image; names what can be sent instead.
    """
    bridge = load_bridge()
    if bridge.converter is None:
        raise InputError(_refusal(message, camera, bridge.problem))
    from cv_bridge import CvBridgeError

    try:
        _check_rows(message, bridge.converter)
        pixels = bridge.converter.imgmsg_to_cv2(message, "rgb8")
    except (
        CvBridgeError,
        AttributeError,
        TypeError,
        ValueError,
    ) as error:  # the last three: its use of NumPy
        raise InputError(_refusal(message, camera, f"cv_bridge cannot convert it ({error})")) from error
    rgb = np.ascontiguousarray(pixels, dtype=np.uint8)
    return CameraFrame(camera, stamp_to_ns(message.header.stamp), rgb, message.encoding)


def _check_rows(message: Image, converter: Any) -> None:
    """Raise ValueError where cv_bridge would shear the image: it assumes that a row is a whole number of pixels."""
    dtype, channels = converter.encoding_to_dtype_with_channels(message.encoding)
    pixel = np.dtype(dtype).itemsize * channels
    needed = message.height * max(message.step, message.width * pixel)
    if not needed or message.step % pixel or len(message.data) < needed:
        raise ValueError(
            f"{len(message.data)} bytes with step {message.step} for {message.width}x{message.height} pixels of "
            f"{pixel} bytes"
        )


def _refusal(message: Image, camera: str, reason: str) -> str:
    return (
        f"camera '{camera}' sends the encoding '{message.encoding}'; {reason}; this package itself converts "
        f"{', '.join(ENCODINGS)}, and compressed images (transport: compressed in the robot profile)"
    )
