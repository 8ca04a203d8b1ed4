"""A camera of `video2act bench-record`: numbered images at a fixed rate, in a process of its own."""

from __future__ import annotations

import array
import sys
import time
from dataclasses import dataclass

import numpy as np
import rclpy
from rclpy.duration import Duration
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

from video2act_ros.core.types import ImageArray
from video2act_ros.ros import environment, qos
from video2act_ros.ros.start import start_ros

FRAMES = 16
"""Different images, shown in turns."""

_NOISE = 2.0  # standard deviation of a camera's, in grey levels
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """What one camera does; the fields are the process's arguments."""

    name: str
    rate_hz: float
    count: int
    width: int
    height: int

    @classmethod
    def parse(cls, arguments: list[str]) -> CameraOptions:
        """Return the options of a command line."""
        name, rate, count, width, height = arguments
        return cls(name, float(rate), int(count), int(width), int(height))

    def arguments(self) -> list[str]:
        """Return the command line."""
        return [self.name, str(self.rate_hz), str(self.count), str(self.width), str(self.height)]


def frame_id(number: int) -> str:
    """Return the frame id that carries an image's number; always of the same length."""
    return f"{number:011d}"  # with its end twelve bytes, so that nothing after it moves


def pictures(width: int, height: int) -> list[ImageArray]:
    """Return (H, W, 3) uint8 images as a camera makes them: smooth areas, edges that move, noise."""
    random = np.random.default_rng(0)
    columns, rows = np.meshgrid(np.linspace(0, 4 * np.pi, width), np.linspace(0, 3 * np.pi, height))
    images = []
    for index in range(FRAMES):
        pattern = 110 + 60 * np.sin(columns + index / 4) * np.cos(rows)
        pattern[:, index * width // FRAMES :][:, : width // 8] += 50
        image = pattern[..., None] * [1.0, 0.9, 0.8] + random.normal(0, _NOISE, (height, width, 3))
        images.append(np.clip(image, 0, 255).astype(np.uint8))
    return images


def run_camera(options: CameraOptions) -> None:
    """Wait for a subscriber and for a line on standard input, publish, tell the largest lateness [s]."""
    start_ros()
    node = rclpy.create_node(f"bench_{options.name}")
    publisher = node.create_publisher(Image, f"{options.name}/image_raw", qos.DATA)
    templates = [_template(image) for image in pictures(options.width, options.height)]
    deadline_s = time.monotonic() + _PATIENCE_S
    while not publisher.get_subscription_count() and time.monotonic() < deadline_s:
        time.sleep(0.02)  # a benchmark's camera has no executor that could tell it
    _say("ready")
    sys.stdin.readline()
    start_s, late_s = time.monotonic(), 0.0
    for number in range(options.count):
        due_s = start_s + number / options.rate_hz
        time.sleep(max(0.0, due_s - time.monotonic()))
        late_s = max(late_s, time.monotonic() - due_s)
        publisher.publish(_numbered(templates[number % FRAMES], number))
    publisher.wait_for_all_acked(Duration(seconds=5))
    _say(f"{late_s:.6f}")
    sys.stdin.readline()
    node.destroy_node()
    rclpy.shutdown()


def _template(image: ImageArray) -> bytes:
    height, width = image.shape[:2]
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message._data = array.array("B", image.tobytes())
    message.header.frame_id = frame_id(0)
    return bytes(serialize_message(message))


def _numbered(template: bytes, number: int) -> bytes:
    """Return the CDR bytes with the present time and `number`: header bytes 4, stamp 8, length 4, text."""
    seconds, rest = divmod(time.time_ns(), 10**9)
    stamp = seconds.to_bytes(4, "little") + rest.to_bytes(4, "little")
    return b"".join((template[:4], stamp, template[12:16], frame_id(number).encode(), template[27:]))


def number_of(data: bytes) -> int:
    """Return the number of a recorded image, raw or compressed: both begin with the same header."""
    return int(data[16:27])


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    environment.prepare(may_restart=True)
    run_camera(CameraOptions.parse(sys.argv[1:]))
