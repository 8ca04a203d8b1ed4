"""Images as JPEG for bags: `sensor_msgs/Image` bytes in, `sensor_msgs/CompressedImage` bytes out, in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from rosbags.typesys import Stores, get_typestore

from video2act_ros.recording.writing.bag_records import RecordedMessage, RecordedTopic

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
SUFFIX = "/compressed"

_CHANNELS = {"rgb8": 3, "bgr8": 3, "mono8": 1, "rgba8": 4, "bgra8": 4}
_TO_BGR = {"rgb8": cv2.COLOR_RGB2BGR, "rgba8": cv2.COLOR_RGBA2BGR, "bgra8": cv2.COLOR_BGRA2BGR}
_THREADS = 2


class JpegCompressor:
    """Encodes images in threads of its own and hands the results on; other encodings pass as they are."""

    def __init__(self, quality: int, queue_bytes: int, done: Callable[[RecordedMessage], None]) -> None:
        self._quality = quality
        self._queue_bytes = queue_bytes
        self._done = done
        self._store = get_typestore(Stores.LATEST)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="jpeg")
        self._changed = threading.Condition()
        self._waiting_bytes = 0
        self._topics: dict[str, RecordedTopic] = {}
        self.dropped: dict[str, int] = {}

    def put(self, message: RecordedMessage) -> None:
        """Encode an image and hand it on, later and in another thread; dropped where too much waits."""
        size = len(message.data)
        with self._changed:
            if self._waiting_bytes + size > self._queue_bytes:
                self.dropped[message.topic.name] = self.dropped.get(message.topic.name, 0) + 1
                return
            self._waiting_bytes += size
        self._pool.submit(self._work, message)

    def drain(self, timeout_s: float) -> None:
        """Wait until nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting_bytes == 0, timeout_s)

    def stop(self) -> None:
        """Encode what waits, then end the threads."""
        self._pool.shutdown(wait=True)

    def _work(self, message: RecordedMessage) -> None:
        try:
            self._done(self.encode(message))
        finally:
            with self._changed:
                self._waiting_bytes -= len(message.data)
                self._changed.notify_all()

    def encode(self, message: RecordedMessage) -> RecordedMessage:
        """Return the image as JPEG on `<topic>/compressed`, or `message` where JPEG cannot hold its encoding."""
        image: Any = self._store.deserialize_cdr(message.data, IMAGE)
        channels = _CHANNELS.get(image.encoding)
        if channels is None or len(image.data) < image.height * image.step:
            return message
        rows = image.data[: image.height * image.step].reshape(image.height, image.step)
        pixels = rows[:, : image.width * channels].reshape(image.height, image.width, channels)
        if conversion := _TO_BGR.get(image.encoding):
            pixels = cv2.cvtColor(pixels, conversion)
        encoded, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        if not encoded:
            return message
        kind = "mono8" if channels == 1 else "bgr8"
        compressed = self._store.types[COMPRESSED_IMAGE](
            header=image.header,
            format=f"{image.encoding}; jpeg compressed {kind}",
            data=np.asarray(data, dtype=np.uint8).reshape(-1),
        )
        cdr = bytes(self._store.serialize_cdr(compressed, COMPRESSED_IMAGE))
        return replace(message, topic=self._topic(message.topic), data=cdr)

    def _topic(self, raw: RecordedTopic) -> RecordedTopic:
        """Return the topic of the compressed images, the same object every time."""
        name = raw.name + SUFFIX
        if name not in self._topics or self._topics[name].qos != raw.qos:
            self._topics[name] = RecordedTopic(name, COMPRESSED_IMAGE, raw.qos)
        return self._topics[name]
