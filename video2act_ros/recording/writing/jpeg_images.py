"""Images as JPEG for bags: `sensor_msgs/Image` bytes in, `sensor_msgs/CompressedImage` bytes out, in threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from rosbags.typesys import Stores, get_typestore

from video2act_ros.core.errors import InputError, describe_error
from video2act_ros.recording.writing.bag_records import RecordedMessage, RecordedTopic

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
SUFFIX = "/compressed"

_CHANNELS = {"rgb8": 3, "bgr8": 3, "mono8": 1, "rgba8": 4, "bgra8": 4}
_TO_BGR = {"rgb8": cv2.COLOR_RGB2BGR, "rgba8": cv2.COLOR_RGBA2BGR, "bgra8": cv2.COLOR_BGRA2BGR}
_THREADS = 2
PATIENCE_S = 0.5
"""So long encoders may keep other messages waiting behind images, for the order of the file."""

Reasons = dict[str, tuple[int, str]]
"""By topic: how many messages, and why the newest."""


class _Slot:
    """The place of one message in the order of arrival; `result` once it may be handed on."""

    __slots__ = ("other", "result", "since_s")

    def __init__(self, other: RecordedMessage | None = None) -> None:
        self.result = other
        self.other = other is not None  # no image that is encoded
        self.since_s = time.monotonic()


class JpegCompressor:
    """Encodes images in threads of its own and hands them on in the order in which they came, all else between them.

    An image that cannot be encoded is handed on as it is; `kept_raw` says why, by topic, where that is unexpected.
    """

    def __init__(self, quality: int, queue_bytes: int, done: Callable[[RecordedMessage], None]) -> None:
        """Prepare.

        Args:
            quality: of JPEG, 1 to 100.
            queue_bytes: images beyond this much that waits are dropped and counted.
            done: called with each message, one at a time, in whatever thread ended the wait for it.
        """
        self._quality = quality
        self._queue_bytes = queue_bytes
        self._done = done
        self._store = get_typestore(Stores.LATEST)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="jpeg")
        self._changed = threading.Condition()
        self._handing = threading.RLock()
        self._slots: deque[_Slot] = deque()
        self._waiting_bytes = 0
        self._topics: dict[str, RecordedTopic] = {}
        self.dropped: dict[str, int] = {}
        self.kept_raw: Reasons = {}
        self.not_kept: Reasons = {}  # what `done` refused

    def put(self, message: RecordedMessage) -> None:
        """Encode an image and hand it on, later and in another thread; dropped where too much waits."""
        size, slot = len(message.data), _Slot()
        with self._changed:
            if self._waiting_bytes + size > self._queue_bytes:
                self.dropped[message.topic.name] = self.dropped.get(message.topic.name, 0) + 1
                return
            self._waiting_bytes += size
            self._slots.append(slot)
        try:
            self._pool.submit(self._work, message, slot)
        except RuntimeError:  # the threads have ended
            self._work(message, slot)

    def pass_on(self, message: RecordedMessage) -> None:
        """Hand on anything else as it is: after the images before it, unless those keep it for `PATIENCE_S`."""
        with self._changed:
            self._slots.append(_Slot(message))
            late = time.monotonic() - self._slots[0].since_s >= PATIENCE_S
        if late:
            self._overtake()
        else:
            self._hand_on()

    def drain(self, timeout_s: float) -> None:
        """Wait until all that waits now has been handed on, whatever comes meanwhile."""
        with self._changed:
            waiting = {id(slot): slot for slot in self._slots}  # kept, so that no other gets the same id
            self._changed.wait_for(lambda: not any(id(slot) in waiting for slot in self._slots), timeout_s)
        with self._handing:  # also the one that is being handed on
            pass

    def stop(self) -> None:
        """Encode what waits, then end the threads."""
        self._pool.shutdown(wait=True)

    def _work(self, message: RecordedMessage, slot: _Slot) -> None:
        try:
            result = self.encode(message)
        except Exception as error:  # noqa: BLE001
            count, _ = self.kept_raw.get(message.topic.name, (0, ""))
            self.kept_raw[message.topic.name] = (count + 1, describe_error(error))
            result = message
        slot.result = result
        try:
            self._hand_on()
        finally:
            with self._changed:
                self._waiting_bytes -= len(message.data)
                self._changed.notify_all()

    def _hand_on(self) -> None:
        """Hand on what is ready, up to the first message that is not."""
        with self._handing:
            while True:
                with self._changed:
                    result = self._slots[0].result if self._slots else None
                    if result is None:
                        return
                    self._slots.popleft()
                self._give(result)

    def _overtake(self) -> None:
        """Hand on all that waits for an image that is not encoded yet; the images keep their places."""
        with self._handing:
            with self._changed:
                ready = [slot.result for slot in self._slots if slot.other and slot.result is not None]
                self._slots = deque(slot for slot in self._slots if not slot.other)
            for message in ready:
                self._give(message)
        self._hand_on()

    def _give(self, message: RecordedMessage) -> None:
        try:
            self._done(message)
        except Exception as error:  # noqa: BLE001
            count, _ = self.not_kept.get(message.topic.name, (0, ""))
            self.not_kept[message.topic.name] = (count + 1, describe_error(error))

    def encode(self, message: RecordedMessage) -> RecordedMessage:
        """Return the image as JPEG on `<topic>/compressed`, or `message` where JPEG cannot hold its encoding.

        Raises:
            InputError: its sizes do not agree.
            Exception: its bytes are no image at all.
        """
        image: Any = self._store.deserialize_cdr(message.data, IMAGE)
        channels = _CHANNELS.get(image.encoding)
        if channels is None:
            return message
        row, step = image.width * channels, image.step or image.width * channels
        if not row or not image.height or step < row or len(image.data) < image.height * step:
            raise InputError(
                f"{len(image.data)} bytes with step {image.step} for {image.width}x{image.height} {image.encoding}; "
                "check the camera driver"
            )
        rows = image.data[: image.height * step].reshape(image.height, step)
        pixels = np.ascontiguousarray(rows[:, :row]).reshape(image.height, image.width, channels)
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
