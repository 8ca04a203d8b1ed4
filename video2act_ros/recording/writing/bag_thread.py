"""The thread that owns a bag being written: a bounded queue in front of it, so that a slow disk never blocks."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from video2act_ros.core.errors import BagError, describe_error
from video2act_ros.recording.writing.bag_records import RecordedMessage
from video2act_ros.recording.writing.bag_writer import BagWriter, explain, free_bytes
from video2act_ros.recording.writing.time_order import TimeOrder

FLUSH_S = 0.4
"""Between two flushes: with the time in the queue and in order, a killed recorder loses less than a second."""

_METADATA_S = 5.0  # between two refreshed metadata.yaml; a killed bag is repaired anyhow


@dataclass(frozen=True, slots=True)
class _Note:
    name: str
    fields: dict[str, str]


class BagThread:
    """Writes what it is given, in the order of log times. `put` and `note` never block and may come from any thread."""

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
        self._order = TimeOrder()
        self.refused: dict[str, str] = {}  # topics that cannot be recorded, and why
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
    def ended_early(self) -> bool:
        """Whether the bag had to end before `close`; why was told."""
        return self._failed

    @property
    def stands(self) -> bool:
        """Whether the thread is gone although the bag was neither closed nor ended."""
        return not (self._thread.is_alive() or self._closing or self._failed)

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
        repair = f"then `video2act bag repair {self.folder}` makes a good bag of it"
        try:
            self._write_until_closed()
            self._end()
        except OSError as error:
            self._fail(f"the bag {self.folder} ended early: {explain(error)}; {repair}")
        except Exception as error:  # noqa: BLE001
            self._fail(f"the bag {self.folder} ended early: {describe_error(error)}; {repair}", error)

    def _write_until_closed(self) -> None:
        flushed_s = refreshed_s = time.monotonic()
        while True:
            with self._changed:
                # By time and not by message: one wake-up for many messages costs the other processes less.
                closing = self._changed.wait_for(lambda: self._closing, FLUSH_S / 8)
                batch, self._waiting = self._waiting, deque()
            self._order.add(item for item in batch if isinstance(item, RecordedMessage))
            for message in self._order.take(everything=closing):
                self._write(message)
            for note in batch:
                if isinstance(note, _Note):
                    self._writer.note(note.name, note.fields)
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

    def _write(self, message: RecordedMessage) -> None:
        with self._changed:
            self._waiting_bytes -= len(message.data)
        write_known(self._writer, message, self.refused)

    def _short_of_space(self) -> bool:
        free = free_bytes(self.folder)
        if free >= self._min_free_bytes:
            return False
        for message in self._order.take(everything=True):
            self._write(message)
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

    def _fail(self, text: str, cause: Exception | None = None) -> None:
        with self._changed:
            self._failed = True
            self._waiting.clear()
            self._waiting_bytes = 0
        self._writer.abandon()
        error = BagError(text)
        error.__cause__ = cause
        self._on_failure(error)


def write_known(writer: BagWriter, message: RecordedMessage, refused: dict[str, str]) -> None:
    """Write one message; a topic whose definition cannot be had goes into `refused` with the reason, nothing else ends.

    Raises:
        OSError: the disk did not take it.
    """
    name = message.topic.name
    if name in refused:
        return
    try:
        writer.add_topic(message.topic)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001
        refused[name] = describe_error(error)
        return
    writer.write(message)


def write_bag(
    writer: BagWriter, messages: list[RecordedMessage], notes: Mapping[str, Mapping[str, str]]
) -> None:
    """Write a whole bag at once, in this thread, and close it.

    Raises:
        BagError: the disk did not take it; what there was stays for `repair_bag`.
    """
    refused: dict[str, str] = {}
    try:
        for name, fields in notes.items():
            writer.note(name, fields)
        for message in sorted(messages, key=lambda item: item.log_ns):
            write_known(writer, message, refused)
        writer.close()
    except OSError as error:
        writer.abandon()
        text = f"cannot write the bag {writer.folder}: {explain(error)}"
        raise BagError(
            f"{text}; then `video2act bag repair {writer.folder}` saves what was written"
        ) from error
