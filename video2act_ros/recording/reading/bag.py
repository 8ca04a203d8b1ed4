"""Reading bags: rosbag2 folders (MCAP, sqlite3, split, compressed) and single files, ours and others."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import zstandard
from mcap.exceptions import McapError
from rosbags.rosbag2 import ReaderError
from rosbags.serde import SerdeError

from video2act_ros.core.errors import BagError, InputError, unknown_choice
from video2act_ros.core.types import NS_PER_S, CameraFrame
from video2act_ros.recording.reading.message_types import lacking_fields, typestore_of
from video2act_ros.recording.reading.skipped import SkippedMessages
from video2act_ros.recording.reading.storages import ZSTD_MAGIC, Storage, merged, open_storage
from video2act_ros.recording.writing.bag_metadata import METADATA_FILE, natural_order, read_metadata

SUFFIXES = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")

_DAMAGE = (
    ReaderError,
    McapError,
    apsw.Error,
    struct.error,
    SerdeError,
    zstandard.ZstdError,
    RuntimeError,  # lz4's
    EOFError,
    TypeError,
    ValueError,
    KeyError,
    IndexError,
    MemoryError,
    OverflowError,
    OSError,
)
"""What the storage libraries raise on files that end early or hold nonsense."""

Topics = Iterable[str] | Mapping[str, Collection[str]] | None
"""Names of topics; a mapping also says which message types count there, as others may use the same name. None: all."""


@dataclass(frozen=True, slots=True)
class BagTopic:
    """One topic of a bag, its most frequent message type (`package/msg/Name`) and how many messages of each it has."""

    name: str
    type: str
    counts: Mapping[str, int]

    @property
    def count(self) -> int:
        """Number of its messages, of all types."""
        return sum(self.counts.values())

    def count_of(self, types: Collection[str]) -> int:
        """Return the number of its messages of some types."""
        return sum(count for name, count in self.counts.items() if name in types)


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


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read bags.

    With `strict`, a message that cannot be used is refused instead of left out. `other_images` converts raw images of
    encodings that `decode_images` does not know: the message and the camera's name in, an InputError where it cannot.
    """

    strict: bool = False
    other_images: Callable[[Any, str], CameraFrame] | None = None


class Bag:
    """An open bag; make it with `open_bag`. Messages come in the order in which they were received."""

    def __init__(self, path: Path, storages: list[Storage], reading: Reading) -> None:
        self.path = path
        self.reading = reading
        self.skipped = SkippedMessages()
        self._storages = storages
        self._held = [storage for storage in storages if any(topic.count for topic in storage.topics)]
        described = [topic for storage in storages for topic in storage.topics]
        self.typestore = typestore_of((topic.type, topic.format, topic.definition) for topic in described)
        """rosbags' type store with every definition that the bag carries."""
        counts: dict[str, Counter[str]] = {}
        for topic in described:
            counts.setdefault(topic.name, Counter())[topic.type] += topic.count
        self.topics = {
            name: BagTopic(name, found.most_common(1)[0][0], found) for name, found in counts.items()
        }

    @property
    def start_ns(self) -> int:
        """When the first message was received."""
        return min((storage.start_ns for storage in self._held), default=0)

    @property
    def end_ns(self) -> int:
        """When the last message was received."""
        return max((storage.end_ns for storage in self._held), default=0)

    def skip(self, topic: str, time_ns: int, error: Exception) -> None:
        """Leave out a message that cannot be used, and count it.

        Raises:
            BagError: the bag was opened `strict`.
        """
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        if self.reading.strict:
            after_s = (time_ns - self.start_ns) / NS_PER_S
            raise BagError(
                f"bag {self.path}: a message on {topic} after {after_s:.2f} s cannot be used: {reason}; "
                "leave --strict out to skip such messages"
            ) from error
        self.skipped.add(topic, time_ns, reason)

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
        self, topics: Topics = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[RawMessage]:
        """Give the recorded bytes of the topics received from `start_ns` to before `end_ns`.

        Raises:
            BagError: the file is damaged where it is read.
        """
        wanted = frozenset(self.topics if topics is None else topics)
        types = topics if isinstance(topics, Mapping) else {}
        source = merged(self._storages, wanted, start_ns, end_ns)
        while True:
            try:
                stored = next(source)
            except StopIteration:
                return
            except _DAMAGE as error:
                raise _damaged(self.path, error) from error
            if stored.topic in types and stored.type not in types[stored.topic]:
                continue  # somebody else's use of the name
            data = stored.data
            if data.startswith(ZSTD_MAGIC):
                try:
                    data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
                except zstandard.ZstdError as error:
                    self.skip(stored.topic, stored.time_ns, error)
                    continue
            yield RawMessage(stored.topic, stored.time_ns, stored.type, data)

    def messages(
        self, topics: Topics = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """Give the decoded messages; arguments and errors as of `raw_messages`.

        One that cannot be decoded is left out and counted in `skipped`.
        """
        for raw in self.raw_messages(topics, start_ns, end_ns):
            try:
                message = self.decode(raw)
            except InputError as error:
                self.skip(raw.topic, raw.time_ns, error)
                continue
            yield BagMessage(raw.topic, raw.time_ns, message)

    def decode(self, raw: RawMessage) -> Any:
        """Return the message object of recorded bytes.

        Bytes behind its last field are ignored: rclpy's serializer leaves some, which rosbags' own check refuses.

        Raises:
            InputError: they are no message of that type, or its definition is not known.
        """
        if raw.type not in self.typestore.fielddefs:
            raise InputError(
                f"the definition of {raw.type or 'its type'} is neither in the bag nor known here"
            )
        try:
            definition = self.typestore.get_msgdef(raw.type)
            readers = {b"\0\0": definition.deserialize_cdr_be, b"\0\1": definition.deserialize_cdr_le}
            read = readers[raw.data[:2]]  # by the encapsulation in the CDR header
            return read(raw.data[4:], 0, definition.cls, self.typestore)[0]
        except _DAMAGE as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"its {len(raw.data)} bytes are no {raw.type} ({text})") from error


FORGIVING = Reading()
"""Leaves out what cannot be used."""


@contextmanager
def open_bag(path: Path, reading: Reading = FORGIVING) -> Iterator[Bag]:
    """Open a bag's folder, or one `.mcap` or `.db3` file, compressed or not.

    Args:
        path: the folder or file.
        reading: what is refused, and what else helps.

    Raises:
        BagError: it is missing, empty, truncated, or holds something else.
    """
    check_exists(path)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="video2act_bag_")))
        storages: list[Storage] = []
        try:
            for file in bag_files(path):
                storages.append(open_storage(file, scratch))
                stack.callback(storages[-1].close)
            bag = Bag(path, storages, reading)
        except _DAMAGE as error:
            raise _damaged(path, error) from error
        if not any(topic.count for topic in bag.topics.values()):
            raise _empty(path)
        yield bag


def bag_files(path: Path) -> list[Path]:
    """Return the storage files of a bag, in the order of `metadata.yaml`, or of the numbers in their names.

    Raises:
        BagError: one that `metadata.yaml` names is missing.
    """
    if path.is_file():
        return [path]
    names = [PurePath(name).name for name in read_metadata(path).get("relative_file_paths") or []]
    if not names:
        return sorted(_storage_files(path), key=natural_order)
    files = []
    for name in names:  # a compressed file may be named as it was before, or after
        choices = (name, f"{name}.zstd", name.removesuffix(".zstd"))
        found = next((path / choice for choice in choices if (path / choice).is_file()), None)
        if found is None:
            raise BagError(f"bag {path} lacks its file {name}; copy the whole folder again")
        files.append(found)
    return files


def _storage_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith(SUFFIXES)]


def check_exists(path: Path) -> None:
    """Raise BagError unless `path` can be a whole bag."""
    if not path.exists():
        raise BagError(f"there is no bag at {path}; give the folder of a bag or an .mcap file")
    if path.is_file():
        if not path.name.endswith(SUFFIXES):
            raise BagError(f"{path} is no bag; give the folder of a bag or an .mcap file")
        if not path.stat().st_size:
            raise _empty(path)
        return
    storages = _storage_files(path)
    if not storages:
        raise BagError(f"{path} holds no .mcap or .db3 file; give the folder of a bag")
    if not any(file.stat().st_size for file in storages):
        raise _empty(path)
    if not (path / METADATA_FILE).is_file():
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
