"""The thread that owns a bag being written: a bounded queue in front of it, so that a slow disk never blocks."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from video2act_ros.core.errors import BagError, Video2ActError
from video2act_ros.recording.writing.bag_records import RecordedMessage
from video2act_ros.recording.writing.bag_writer import BagWriter, explain, free_bytes

FLUSH_S = 0.4
"""Between two flushes: with the time in the queue, a killed recorder loses less than a second."""

_METADATA_S = 5.0  # between two refreshed metadata.yaml; a killed bag is repaired anyhow


@dataclass(frozen=True, slots=True)
class _Note:
    name: str
    fields: dict[str, str]


class BagThread:
    """Writes what it is given, in order. `put` and `note` never block; they may be called from any thread."""

    def __init__(
        self,
        writer: BagWriter,
        queue_bytes: int,
        min_free_bytes: int,
        on_failure: Callable[[BagError], None],
    ) -> None:
        """Start the thread, which now owns `writer`.

        Args:
            writer: a new bag.
            queue_bytes: messages beyond this much that waits are dropped and counted.
            min_free_bytes: with less free space the bag ends, whole, instead of filling the disk.
            on_failure: called once, in this thread, when the bag had to end before `close`.
        """
        self._writer = writer
        self._queue_bytes = queue_bytes
        self._min_free_bytes = min_free_bytes
        self._on_failure = on_failure
        self._changed = threading.Condition()
        self._waiting: deque[RecordedMessage | _Note] = deque()
        self._waiting_bytes = 0
        self._closing = False
        self._failed = False
        self._refused: set[str] = set()  # topics whose definition is not installed
        self.dropped: dict[str, int] = {}
        self.folder = writer.folder
        self._thread = threading.Thread(target=self._run, name="bag_writer", daemon=True)
        self._thread.start()

    @property
    def messages(self) -> int:
        """Messages written so far."""
        return self._writer.summary.messages

    @property
    def bytes_written(self) -> int:
        """Size of the bag's file."""
        return self._writer.bytes_written

    @property
    def waiting_bytes(self) -> int:
        """Bytes of messages that wait to be written."""
        return self._waiting_bytes

    @property
    def refused_topics(self) -> frozenset[str]:
        """Topics that cannot be recorded because their message definition is not installed."""
        return frozenset(self._refused)

    def put(self, message: RecordedMessage) -> bool:
        """Hand over one message; return False when it was dropped because too much waits."""
        with self._changed:
            if self._closing or self._failed:
                return True  # the bag has ended; that was told
            if self._waiting_bytes + len(message.data) > self._queue_bytes:
                self.dropped[message.topic.name] = self.dropped.get(message.topic.name, 0) + 1
                return False
            self._waiting.append(message)
            self._waiting_bytes += len(message.data)
            return True

    def note(self, name: str, fields: Mapping[str, str]) -> None:
        """Hand over a metadata record; its values also go into the custom data of `metadata.yaml`."""
        with self._changed:
            if not (self._closing or self._failed):
                self._waiting.append(_Note(name, dict(fields)))

    def close(self, timeout_s: float) -> bool:
        """Write what waits, end the bag, wait for that; return whether it has ended."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # -- in the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._write_until_closed()
            self._end()
        except OSError as error:
            text = f"the bag {self.folder} ended early: {explain(error)}"
            self._fail(f"{text}; then `video2act bag repair {self.folder}` makes a good bag of it")
        except Video2ActError as error:
            self._fail(f"the bag {self.folder} ended early: {error}")

    def _write_until_closed(self) -> None:
        flushed_s = refreshed_s = time.monotonic()
        while True:
            with self._changed:
                # By time and not by message: one wake-up for many messages costs the other processes less.
                closing = self._changed.wait_for(lambda: self._closing, FLUSH_S / 8)
                batch, self._waiting = self._waiting, deque()
            for item in batch:
                self._write(item)
            if closing:
                return
            now_s = time.monotonic()
            if now_s - flushed_s >= FLUSH_S / 2:
                self._writer.flush()
                flushed_s = now_s
                if self._short_of_space():
                    return
            if now_s - refreshed_s >= _METADATA_S:
                self._writer.refresh_metadata()
                refreshed_s = now_s

    def _write(self, item: RecordedMessage | _Note) -> None:
        if isinstance(item, _Note):
            self._writer.note(item.name, item.fields)
            return
        with self._changed:
            self._waiting_bytes -= len(item.data)
        if item.topic.name in self._refused:
            return
        try:
            self._writer.add_topic(item.topic)
        except BagError:
            self._refused.add(item.topic.name)
            return
        self._writer.write(item)

    def _short_of_space(self) -> bool:
        free = free_bytes(self.folder)
        if free >= self._min_free_bytes:
            return False
        self._end()
        self._failed = True
        self._on_failure(
            BagError(
                f"recording ended, the bag {self.folder} is whole: only {free >> 20} MB are free on its disk "
                f"(min_free_mb is {self._min_free_bytes >> 20}); free space, or record to another disk"
            )
        )
        return True

    def _end(self) -> None:
        if self._failed:
            return
        if self.dropped:
            self._writer.note("video2act.dropped", {name: str(count) for name, count in self.dropped.items()})
        self._writer.close()

    def _fail(self, text: str) -> None:
        with self._changed:
            self._failed = True
            self._waiting.clear()
            self._waiting_bytes = 0
        self._writer.abandon()
        self._on_failure(BagError(text))


def write_bag(
    writer: BagWriter, messages: list[RecordedMessage], notes: Mapping[str, Mapping[str, str]]
) -> None:
    """Write a whole bag at once, in this thread, and close it.

    Raises:
        BagError: the disk did not take it; what there was stays for `repair_bag`.
    """
    try:
        for name, fields in notes.items():
            writer.note(name, fields)
        for message in messages:
            writer.write(message)
        writer.close()
    except OSError as error:
        writer.abandon()
        text = f"cannot write the bag {writer.folder}: {explain(error)}"
        raise BagError(
            f"{text}; then `video2act bag repair {writer.folder}` saves what was written"
        ) from error
