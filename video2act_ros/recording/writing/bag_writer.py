"""Writes bags as `ros2 bag record` does: a folder with one MCAP file and `metadata.yaml`, readable while it grows."""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from mcap.writer import CompressionType, IndexType, Writer

from video2act_ros.core.errors import BagError
from video2act_ros.recording.writing.bag_metadata import BagSummary, FileCount, TopicCount, dump
from video2act_ros.recording.writing.bag_records import RecordedMessage, RecordedTopic
from video2act_ros.recording.writing.message_definitions import definition_of

COMPRESSIONS = {"none": CompressionType.NONE, "lz4": CompressionType.LZ4, "zstd": CompressionType.ZSTD}

INDEXES = IndexType.CHUNK | IndexType.MESSAGE | IndexType.METADATA
"""No index of attachments where there are none: an empty group in the summary is refused by checkers."""

CHUNK_BYTES = 768 << 10
"""As rosbag2's: what one entry of the index covers."""


def version_of(package: str) -> str:
    """Return the version of an installed Python package; empty where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


LIBRARY = f"video2act_ros {version_of('video2act_ros')}".strip()
"""Who wrote the file, in its header."""


class BagWriter:
    """One bag being written. Only one thread may use it.

    Whatever was written before the last `flush` can be read back (after `repair_bag`) even if the process is
    killed. After an OSError call `abandon`.
    """

    def __init__(self, folder: Path, compression: str = "none") -> None:
        """Make the folder and begin the bag.

        Raises:
            BagError: the folder exists or cannot be made.
        """
        check_new_folder(folder)
        self.folder = folder
        self.summary = BagSummary([FileCount(f"{folder.name}_0.mcap")])
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise BagError(f"cannot make the bag {folder}: {explain(error)}") from error
        try:
            self._output = _Output(folder / self.summary.files[0].path)
            self._writer = Writer(self._output, CHUNK_BYTES, COMPRESSIONS[compression], INDEXES)  # type: ignore[arg-type]
            self._writer.start("ros2", LIBRARY)
            self.summary.write(folder)
        except OSError as error:
            _remove(folder)
            raise BagError(f"cannot make the bag {folder}: {explain(error)}") from error
        self._whole_bytes = self._output.size

    @property
    def bytes_written(self) -> int:
        """Size of the MCAP file."""
        return self._output.size

    def add_topic(self, topic: RecordedTopic) -> None:
        """Make a topic known; one that is known already stays as it is.

        Raises:
            BagError: its message definition is not installed.
        """
        if topic.name in self._channels:
            return
        definition = definition_of(topic.type)
        if topic.type not in self._schemas:
            text = definition.text.encode()
            self._schemas[topic.type] = self._writer.register_schema(topic.type, "ros2msg", text)
        qos = [item.as_rosbag2() for item in topic.qos]
        metadata = {"offered_qos_profiles": dump(qos).strip(), "topic_type_hash": definition.hash}
        schema = self._schemas[topic.type]
        self._channels[topic.name] = self._writer.register_channel(topic.name, "cdr", schema, metadata)
        self.summary.topics[topic.name] = TopicCount(topic.name, topic.type, definition.hash, qos)

    def write(self, message: RecordedMessage) -> None:
        """Write one message.

        Raises:
            OSError: the disk did not take it.
            BagError: its definition is not installed.
        """
        self.add_topic(message.topic)
        self._writer.add_message(
            self._channels[message.topic.name],
            message.log_ns,
            message.data,
            message.publish_ns,
            message.sequence % 2**32,
        )
        self._whole_bytes = self._output.size
        self.summary.count(message.topic.name, message.log_ns)

    def note(self, name: str, fields: Mapping[str, str]) -> None:
        """Write a metadata record: a name and what belongs to it."""
        self._writer.add_metadata(name, dict(fields))
        self.summary.note(name, fields)
        self._whole_bytes = self._output.size

    def flush(self) -> None:
        """Hand everything so far to the operating system, which keeps it when this process is killed."""
        self._writer.flush()
        self._whole_bytes = self._output.size

    def refresh_metadata(self) -> None:
        """Bring `metadata.yaml` up to date, so that a killed bag can be recognised."""
        self.summary.write(self.folder)

    def close(self) -> None:
        """End the bag: index, footer, `metadata.yaml`."""
        self._writer.add_metadata("rosbag2", {"serialized_metadata": dump(self.summary.content())})
        self._writer.finish()
        self._output.close()
        self.refresh_metadata()

    def abandon(self) -> None:
        """End the file after the last whole chunk, without an index; `repair_bag` makes a good bag of it."""
        with contextlib.suppress(OSError):
            self._output.truncate(self._whole_bytes)
        with contextlib.suppress(OSError):
            self._output.close()
        with contextlib.suppress(OSError):
            self.refresh_metadata()


class _Output:
    """An unbuffered file: nothing waits in this process when it is killed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self.size = 0

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while len(rest):
            written = self._file.write(rest) or 0
            self.size += written
            rest = rest[written:]
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """Nothing is buffered."""

    def truncate(self, size: int) -> None:
        os.ftruncate(self._file.fileno(), size)
        self.size = size

    def close(self) -> None:
        self._file.close()


def check_new_folder(folder: Path) -> None:
    """Raise BagError when there is something where a new bag should go, or no bag may go there."""
    if folder.exists():
        raise BagError(f"{folder} exists already; a bag needs a new folder, give another name")
    above = _existing(folder)
    if not above.is_dir():
        raise BagError(f"cannot make the bag {folder}: {explain(OSError(errno.ENOTDIR, ''))}")
    if not os.access(above, os.W_OK):
        raise BagError(f"cannot make the bag {folder}: {explain(OSError(errno.EACCES, ''))}")


def free_bytes(folder: Path) -> int:
    """Return the free space of the disk that `folder`, which need not exist yet, lies on."""
    return shutil.disk_usage(_existing(folder)).free


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def explain(error: OSError) -> str:
    """Return what an error of the file system means, with the remedy."""
    remedies = {
        errno.ENOSPC: "the disk is full; free space, or record to another disk",
        errno.EDQUOT: "the disk quota is used up; free space, or record to another disk",
        errno.EFBIG: "the file may not grow further; raise the limit (ulimit -f), or record to another disk",
        errno.EACCES: "permission denied; choose a folder that this user may write",
        errno.EPERM: "permission denied; choose a folder that this user may write",
        errno.EROFS: "the file system is read-only; choose another folder",
        errno.ENOTDIR: "a part of the path is a file; choose another folder",
    }
    return remedies.get(error.errno or 0, f"{error.strerror or error}; check the disk")


def _remove(folder: Path) -> None:
    """Remove what was begun; only the recorder's own files."""
    with contextlib.suppress(OSError):
        for file in folder.glob("*"):
            file.unlink()
        folder.rmdir()
