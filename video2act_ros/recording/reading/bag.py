"""Reading bags: rosbag2 folders (MCAP, sqlite3) and bare `.mcap` files, ours and those of `ros2 bag record`."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2 import ReaderError, storage_mcap
from rosbags.serde import SerdeError

from video2act_ros.core.errors import BagError, unknown_choice
from video2act_ros.recording.reading.message_types import default_typestore, lacking_fields

_DAMAGE = (
    ReaderError,
    AnyReaderError,
    apsw.Error,
    struct.error,
    SerdeError,
    storage_mcap.zstd.ZstdError,
    RuntimeError,  # lz4's
    EOFError,
    TypeError,
    ValueError,
    KeyError,
    OSError,
)
"""What the storage libraries raise on files that end early or hold nonsense."""


@dataclass(frozen=True, slots=True)
class BagTopic:
    """One topic of a bag, its message type (`package/msg/Name`) and the number of its messages."""

    name: str
    type: str
    count: int


@dataclass(frozen=True, slots=True)
class BagMessage:
    """One message: `time_ns` is when the recorder received it, `message` an object of rosbags' classes.

    Its fields have the names of the definition; numeric sequences are numpy arrays.
    """

    topic: str
    time_ns: int
    message: Any


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message as it was recorded: `data` is CDR with its four header bytes."""

    topic: str
    time_ns: int
    type: str
    data: bytes


class Bag:
    """An open bag; make it with `open_bag`. Messages come in the order in which they were received."""

    def __init__(self, path: Path, reader: AnyReader) -> None:
        self.path = path
        self._reader = reader
        self.topics = {
            name: BagTopic(name, info.msgtype or info.connections[0].msgtype, info.msgcount)
            for name, info in reader.topics.items()
        }

    @property
    def start_ns(self) -> int:
        """When the first message was received."""
        return int(self._reader.start_time)

    @property
    def end_ns(self) -> int:
        """When the last message was received."""
        return int(self._reader.end_time) - 1

    @property
    def typestore(self) -> Any:
        """rosbags' type store with every definition that the bag carries."""
        return self._reader.typestore

    def require(self, *topics: str) -> None:
        """Check that the bag holds messages of these topics, with every field that this version reads.

        Raises:
            BagError: names what is missing and what there is.
        """
        for topic in topics:
            if topic not in self.topics or not self.topics[topic].count:
                held = sorted(name for name, info in self.topics.items() if info.count)
                raise BagError(
                    f"bag {self.path} lacks a needed topic: {unknown_choice('topic', topic, held)}"
                )
            self.check_version(self.topics[topic].type)

    def check_version(self, msgtype: str) -> None:
        """Raise BagError where the bag's definition of one of our messages lacks fields of this version."""
        if lacking := lacking_fields(msgtype, self.typestore):
            raise BagError(
                f"bag {self.path} holds another version of {msgtype}, without {', '.join(lacking)}; "
                "record again with this version, or read it with the version that made it"
            )

    def raw_messages(
        self, topics: Iterable[str] | None = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[RawMessage]:
        """Give the recorded bytes of the topics (None: all) received from `start_ns` to before `end_ns`.

        Raises:
            BagError: the file is damaged where it is read.
        """
        wanted = None if topics is None else set(topics)
        connections = [item for item in self._reader.connections if wanted is None or item.topic in wanted]
        if not connections:
            return
        source = self._reader.messages(connections, start_ns, end_ns)
        while True:
            try:
                connection, time_ns, data = next(source)
            except StopIteration:
                return
            except _DAMAGE as error:
                raise _damaged(self.path, error) from error
            yield RawMessage(connection.topic, time_ns, connection.msgtype, bytes(data))

    def messages(
        self, topics: Iterable[str] | None = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """Give the decoded messages; arguments and errors as of `raw_messages`."""
        for raw in self.raw_messages(topics, start_ns, end_ns):
            yield BagMessage(raw.topic, raw.time_ns, self.decode(raw))

    def decode(self, raw: RawMessage) -> Any:
        """Return the message object of recorded bytes.

        Bytes behind its last field are ignored: rclpy's serializer leaves some, which rosbags' own check refuses.
        """
        try:
            definition = self.typestore.get_msgdef(raw.type)
            readers = {b"\0\0": definition.deserialize_cdr_be, b"\0\1": definition.deserialize_cdr_le}
            read = readers[raw.data[:2]]  # by the encapsulation in the CDR header
            return read(raw.data[4:], 0, definition.cls, self.typestore)[0]
        except _DAMAGE as error:
            raise _damaged(self.path, error) from error


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Open a bag's folder, or a bare `.mcap` or `.db3` file.

    Raises:
        BagError: it is missing, empty, truncated, or holds something else.
    """
    check_exists(path)
    try:
        reader = AnyReader([path], default_typestore=default_typestore())
        reader.open()
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    try:
        if not reader.message_count:
            raise _empty(path)
        yield Bag(path, reader)
    finally:
        reader.close()


def check_exists(path: Path) -> None:
    """Raise BagError unless `path` can be a whole bag."""
    if not path.exists():
        raise BagError(f"there is no bag at {path}; give the folder of a bag or an .mcap file")
    if path.is_file():
        if path.suffix not in (".mcap", ".db3"):
            raise BagError(f"{path} is no bag; give the folder of a bag or an .mcap file")
        if not path.stat().st_size:
            raise _empty(path)
        return
    storages = [*path.glob("*.mcap"), *path.glob("*.db3")]
    if not storages:
        raise BagError(f"{path} holds no .mcap or .db3 file; give the folder of a bag")
    if not any(file.stat().st_size for file in storages):
        raise _empty(path)
    if not (path / "metadata.yaml").is_file():
        raise BagError(f"bag {path} was not closed, metadata.yaml is missing; {_remedy(path)}")


def _empty(path: Path) -> BagError:
    return BagError(f"bag {path} is empty; record again while the stack runs")


def _damaged(path: Path, error: Exception) -> BagError:
    text = " ".join(str(error).split()) or type(error).__name__
    return BagError(f"bag {path} is truncated or damaged ({text}); {_remedy(path)}")


def _remedy(path: Path) -> str:
    if path.suffix == ".db3" or (path.is_dir() and any(path.glob("*.db3"))):
        return "sqlite3 bags cannot be repaired here: recover it with `sqlite3 FILE .recover`, or record MCAP"
    return f"run `video2act bag repair {path}`"
