"""What a recorder does with messages: into the bag being written, into the ring buffer, images as JPEG if wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from video2act_ros.core.errors import BagError, describe_error
from video2act_ros.recording.writing.bag_records import CLOSE_S, RecordedMessage
from video2act_ros.recording.writing.bag_thread import BagThread, write_bag
from video2act_ros.recording.writing.bag_writer import BagWriter, free_bytes
from video2act_ros.recording.writing.jpeg_images import IMAGE, JpegCompressor, Reasons
from video2act_ros.recording.writing.ring import RingBuffer


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How to record; sizes in bytes."""

    jpeg_quality: int | None = None  # None: images as they come
    compression: str = "none"
    queue_bytes: int = 512 << 20
    min_free_bytes: int = 0
    ring_s: float = 0.0  # 0: no ring buffer
    ring_bytes: int = 1 << 30


class RecordingSession:
    """Owns the bag being written and the ring buffer.

    `take` and `note` come from any thread and never block; the other methods are called in one thread.
    """

    def __init__(
        self,
        settings: SessionSettings,
        about: Callable[[], Mapping[str, str]],
        on_failure: Callable[[BagError], None],
    ) -> None:
        """Prepare.

        Args:
            settings: how to record.
            about: what the metadata record `video2act` of a new bag says.
            on_failure: called in another thread when a bag ended early.
        """
        self._settings = settings
        self._about = about
        self._on_failure = on_failure
        self._lock = threading.Lock()  # of which bag is being written
        self._bag: BagThread | None = None
        self._ring = RingBuffer(settings.ring_s, settings.ring_bytes) if settings.ring_s > 0 else None
        self._states: dict[tuple[str, bytes], RecordedMessage] = {}
        self._newest_notes: dict[str, dict[str, str]] = {}
        self._savers: list[threading.Thread] = []
        quality = settings.jpeg_quality
        self._jpeg = (
            None if quality is None else JpegCompressor(quality, settings.queue_bytes, self._distribute)
        )

    @property
    def bag(self) -> BagThread | None:
        """The bag being written."""
        return self._bag

    @property
    def ring(self) -> RingBuffer | None:
        """The ring buffer, where there is one."""
        return self._ring

    @property
    def dropped(self) -> int:
        """Messages that the running bag lacks because too much waited."""
        bag = sum(self._bag.dropped.values()) if self._bag is not None else 0
        return bag + (sum(self._jpeg.dropped.values()) if self._jpeg is not None else 0)

    @property
    def kept_raw(self) -> Reasons:
        """Images that could not be made JPEG and were kept as they came."""
        return dict(self._jpeg.kept_raw) if self._jpeg is not None else {}

    @property
    def not_kept(self) -> Reasons:
        """Messages that got lost between the threads of the compressor and the bag."""
        return dict(self._jpeg.not_kept) if self._jpeg is not None else {}

    def take(self, message: RecordedMessage) -> None:
        """Keep one message."""
        if self._jpeg is None:
            self._distribute(message)
        elif message.topic.type == IMAGE:
            self._jpeg.put(message)
        else:
            self._jpeg.pass_on(message)

    def note(self, name: str, fields: Mapping[str, str]) -> None:
        """Keep a metadata record; the newest of each name goes into bags that begin later, too."""
        self._newest_notes[name] = dict(fields)
        if (bag := self._bag) is not None:
            bag.note(name, fields)

    def begin(self, folder: Path) -> None:
        """Begin a bag.

        Raises:
            BagError: one is being written, or this one cannot be.
        """
        if self._bag is not None:
            raise BagError(f"{self._bag.folder} is being recorded; end it first")
        settings = self._settings
        if (free := free_bytes(folder)) < settings.min_free_bytes:
            raise BagError(
                f"only {free >> 20} MB are free for {folder}, min_free_mb is {settings.min_free_bytes >> 20}; "
                "free space, or record to another disk"
            )
        writer = BagWriter(folder, settings.compression)
        bag = BagThread(
            writer, settings.queue_bytes, settings.min_free_bytes, lambda error: self._fail(writer, error)
        )
        if self._jpeg is not None:
            self._jpeg.dropped.clear()
            self._jpeg.kept_raw.clear()
            self._jpeg.not_kept.clear()
        bag.note("video2act", self._about())
        for name, fields in self._newest_notes.items():
            bag.note(name, fields)
        now_ns = time.time_ns()
        for message in list(self._states.values()):
            bag.put(replace(message, log_ns=now_ns))
        with self._lock:
            self._bag = None if bag.ended_early else bag

    def end(self, notes: Mapping[str, Mapping[str, str]] | None = None) -> Path:
        """End the bag, with last notes, and return its folder.

        Raises:
            BagError: none is being written, or the disk takes too long.
        """
        if self._bag is None:
            raise BagError("no bag is being recorded; begin one first")
        if self._jpeg is not None:
            self._jpeg.drain(CLOSE_S)
        with self._lock:
            bag, self._bag = self._bag, None
        if bag is None:
            raise BagError("the bag ended early; see /diagnostics")
        bag.dropped.update(self._jpeg.dropped if self._jpeg is not None else {})
        for name, fields in (notes or {}).items():
            bag.note(name, fields)
        if not bag.close(CLOSE_S):
            raise BagError(
                f"the bag {bag.folder} is still being written after {CLOSE_S:g} s; wait until its metadata.yaml "
                "no longer changes, or use a faster disk"
            )
        return bag.folder

    def save_ring(self, folder: Path, done: Callable[[BagError | None], None]) -> int:
        """Begin to write what the ring buffer holds as a bag; it goes on collecting.

        Args:
            folder: of the new bag.
            done: called in another thread when the bag is whole, or with why it is not.

        Returns:
            How many messages are being written.

        Raises:
            BagError: there is no ring buffer, it is empty, or the folder cannot be made.
        """
        if self._ring is None:
            raise BagError("there is no ring buffer; set the recorder's parameter ring_s")
        messages = self._ring.snapshot()
        if not messages:
            raise BagError("the ring buffer is empty; is anything being published?")
        writer = BagWriter(folder, self._settings.compression)
        notes = {"video2act": dict(self._about()), **self._newest_notes}

        def save() -> None:
            failure: BagError | None = None
            try:
                write_bag(writer, messages, notes)
            except BagError as error:
                failure = error
            except Exception as error:  # noqa: BLE001
                failure = BagError(f"cannot write the bag {folder}: {describe_error(error)}")
                failure.__cause__ = error
                writer.abandon()
            done(failure)

        thread = threading.Thread(target=save, name="ring_saver")
        self._savers = [saver for saver in self._savers if saver.is_alive()] + [thread]
        thread.start()
        return len(messages)

    def stop(self, notes: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """End everything, the bag with last notes; nothing comes in any more."""
        if self._jpeg is not None:
            self._jpeg.stop()
        try:
            if self._bag is not None:
                self.end(notes)
        finally:
            for saver in self._savers:
                saver.join(CLOSE_S)

    def _distribute(self, message: RecordedMessage) -> None:
        if message.state_of:
            self._states[message.topic.name, message.state_of] = message
        if self._ring is not None:
            self._ring.add(message)
        if (bag := self._bag) is not None:
            bag.put(message)

    def _fail(self, writer: BagWriter, error: BagError) -> None:
        """Let go of the bag that ended, and of no other; in that bag's thread."""
        with self._lock:
            if self._bag is not None and self._bag.folder == writer.folder:
                self._bag = None
        self._on_failure(error)
