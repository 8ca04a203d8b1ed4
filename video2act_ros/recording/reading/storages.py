"""The files of a bag, one by one: MCAP in every layout that rosbag2 writes, and sqlite3; messages in order of time."""

from __future__ import annotations

import heapq
import struct
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import zstandard
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.reader import make_reader
from mcap.records import Channel, Chunk, ChunkIndex, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk, get_chunk_data_stream
from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

MCAP_MAGIC = b"\x89MCAP0\r\n"
SQLITE_MAGIC = b"SQLite format 3\0"
_SQLITE_HEADER_BYTES = 100
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""Begins a file or a message that rosbag2 compressed; a serialized message begins with a zero."""

_CDR = "cdr"
_RECORD = struct.Struct("<BQ")  # what it is, how long
_MESSAGE = struct.Struct("<HIQQ")  # channel, sequence, time of receipt and of sending
_IN_CHUNKS = (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE)
_COPY_BYTES = 1 << 20
_ENDLESS_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class StoredTopic:
    """A topic in one file: its type, and the definition that the file carries of it (ros2msg, ros2idl or none)."""

    name: str
    type: str
    count: int
    format: str
    definition: str


class Stored(NamedTuple):
    """One message as it lies in a file, received at `time_ns`."""

    time_ns: int
    topic: str
    type: str
    data: bytes


class Storage(Protocol):
    """One open file of a bag. `start_ns` and `end_ns` are when its first and last message were received."""

    topics: list[StoredTopic]
    start_ns: int
    end_ns: int

    def messages(self, names: Container[str], start_ns: int, end_ns: int) -> Iterator[Stored]:
        """Give the messages of some topics, received from `start_ns` to before `end_ns`, in order of time."""

    def close(self) -> None:
        """Close the file."""


def open_storage(path: Path, scratch: Path) -> Storage:
    """Open one file, whatever its name; a compressed one is unpacked into `scratch` first.

    Raises:
        ValueError: it is neither MCAP nor sqlite3.
        Exception: whatever the libraries raise of damaged files.
    """
    with path.open("rb") as stream:
        begin = stream.read(16)
        if begin.startswith(ZSTD_MAGIC):
            stream.seek(0)
            unpacked = scratch / path.name.removesuffix(".zstd")
            with unpacked.open("xb") as output:
                zstandard.ZstdDecompressor().copy_stream(stream, output, _COPY_BYTES, _COPY_BYTES)
            return open_storage(unpacked, scratch)
    if begin.startswith(SQLITE_MAGIC):
        return SqliteFile(path)
    if begin.startswith(MCAP_MAGIC[: len(begin)]):
        return McapFile(path)
    raise ValueError("it begins neither as MCAP nor as sqlite3")


class McapFile:
    """An MCAP file with or without summary, index of messages, chunks, and order of time.

    What lies where comes from the summary, or from one pass over the file. Memory holds that and the chunks whose
    times overlap.
    """

    def __init__(self, path: Path) -> None:
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._chunks: list[ChunkIndex] = []
        self._loose: list[tuple[int, int]] = []  # messages outside chunks: time [ns] and place in the file
        self._counts: Counter[int] = Counter()
        self._stream: IO[bytes] = path.open("rb")
        try:
            self._check_end()
            if not self._read_summary():
                self._scan()
        except BaseException:
            self.close()
            raise
        times = [time_ns for time_ns, _ in self._loose]
        held = [chunk for chunk in self._chunks if chunk.message_end_time]
        self.start_ns = min((*times, *(chunk.message_start_time for chunk in held)), default=0)
        self.end_ns = max((*times, *(chunk.message_end_time for chunk in held)), default=0)
        self.topics = [self._described(channel) for channel in self._channels.values()]

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def messages(self, names: Container[str], start_ns: int, end_ns: int) -> Iterator[Stored]:
        """Give the messages of some topics, received from `start_ns` to before `end_ns`, in order of time."""
        wanted = {
            key
            for key, channel in self._channels.items()
            if self._is_ours(channel) and channel.topic in names
        }
        chunks = [
            self._chunk_messages(chunk, wanted, start_ns, end_ns)
            for chunk in self._chunks
            if chunk.message_start_time < end_ns
            and chunk.message_end_time >= start_ns
            and (not chunk.message_index_offsets or not wanted.isdisjoint(chunk.message_index_offsets))
        ]
        for _, _, _, message in heapq.merge(*chunks, self._loose_messages(wanted, start_ns, end_ns)):
            if message is not None:
                channel = self._channels[message.channel_id]
                yield Stored(message.log_time, channel.topic, self._type(channel), message.data)

    # -- messages, as (time, place of the chunk or message, number in the chunk, message) ----------------------------

    def _chunk_messages(
        self, index: ChunkIndex, wanted: set[int], start_ns: int, end_ns: int
    ) -> Iterator[tuple[int, int, int, Message | None]]:
        place = index.chunk_start_offset
        yield index.message_start_time, place, -1, None  # the chunk itself is read once its time has come
        chunk = self._record_at(place)
        if not isinstance(chunk, Chunk):
            raise McapError(f"no chunk at byte {place}")
        found = []
        for number, message in enumerate(_chunk_messages(chunk, wanted)):
            if not index.message_start_time <= message.log_time <= index.message_end_time:
                raise McapError(f"the chunk at byte {place} holds a message of another time")
            if start_ns <= message.log_time < end_ns:
                found.append((message.log_time, place, number, message))
        yield from sorted(found)

    def _loose_messages(
        self, wanted: set[int], start_ns: int, end_ns: int
    ) -> Iterator[tuple[int, int, int, Message | None]]:
        for time_ns, place in self._loose:
            if start_ns <= time_ns < end_ns:
                record = self._record_at(place)
                if isinstance(record, Message) and record.channel_id in wanted:
                    yield time_ns, place, 0, record

    def _record_at(self, place: int) -> object:
        self._stream.seek(place)
        return next(StreamReader(self._stream, skip_magic=True, emit_chunks=True).records)

    # -- what lies where ----------------------------------------------------------------------------

    def _check_end(self) -> None:
        self._stream.seek(0, 2)
        if self._stream.tell() >= 2 * len(MCAP_MAGIC):
            self._stream.seek(-len(MCAP_MAGIC), 2)
            if self._stream.read() == MCAP_MAGIC:
                self._stream.seek(0)
                return
        raise McapError("the end of the file is missing")

    def _read_summary(self) -> bool:
        """Take the summary; return whether it tells of every chunk and channel."""
        summary = make_reader(self._stream).get_summary()
        if summary is None or (statistics := summary.statistics) is None:
            return False
        whole = (
            len(summary.chunk_indexes) == statistics.chunk_count
            and len(summary.channels) == statistics.channel_count
            and len(summary.schemas) == statistics.schema_count
            and (statistics.chunk_count > 0 or not statistics.message_count)
        )
        if whole:
            self._schemas, self._channels = dict(summary.schemas), dict(summary.channels)
            self._chunks = list(summary.chunk_indexes)
            self._counts.update(statistics.channel_message_counts)
        return whole

    def _scan(self) -> None:
        """Read the whole file once."""
        self._stream.seek(0)
        records = StreamReader(self._stream, emit_chunks=True, validate_crcs=False).records
        while True:
            place = max(self._stream.tell(), len(MCAP_MAGIC))
            record = next(records, None)
            if record is None:
                break
            if isinstance(record, Chunk):
                self._chunks.append(_index_of(record, place, self._stream.tell() - place))
                for inner in breakup_chunk(record, validate_crc=True):
                    self._note(inner)
                self._counts.update(message.channel_id for message in _chunk_messages(record, self._channels))
            elif isinstance(record, Message):
                self._loose.append((record.log_time, place))
                self._counts[record.channel_id] += 1
            else:
                self._note(record)
        self._loose.sort()

    def _note(self, record: object) -> None:
        if isinstance(record, Schema):
            self._schemas[record.id] = record
        elif isinstance(record, Channel):
            self._channels[record.id] = record

    # -- topics -------------------------------------------------------------------------------------

    def _is_ours(self, channel: Channel) -> bool:
        """Whether a channel carries messages of ROS 2: such a file may hold others, too."""
        return bool(channel.message_encoding == _CDR)

    def _type(self, channel: Channel) -> str:
        schema = self._schemas.get(channel.schema_id)
        return schema.name if schema is not None else ""

    def _described(self, channel: Channel) -> StoredTopic:
        schema = self._schemas.get(channel.schema_id)
        count = self._counts[channel.id] if self._is_ours(channel) else 0
        if schema is None:
            return StoredTopic(channel.topic, "", count, "", "")
        text = schema.data.decode(errors="replace")
        return StoredTopic(channel.topic, schema.name, count, schema.encoding, text)


def _chunk_messages(chunk: Chunk, wanted: Container[int]) -> Iterator[Message]:
    """Give the messages of some channels in a chunk, as they lie there.

    Raises:
        McapError: its records do not fill it exactly: some of it is damaged.
    """
    stream, length = get_chunk_data_stream(chunk, validate_crc=True)
    data, place = memoryview(stream.read(length)), 0
    while place < length:
        if length - place < _RECORD.size:
            raise McapError("a chunk ends within a record")
        opcode, size = _RECORD.unpack_from(data, place)
        place += _RECORD.size
        if opcode not in _IN_CHUNKS or size > length - place:
            raise McapError("a chunk holds something that is no record")
        if opcode == Opcode.MESSAGE:
            if size < _MESSAGE.size:
                raise McapError("a message is too short")
            channel, sequence, log_ns, publish_ns = _MESSAGE.unpack_from(data, place)
            if channel in wanted:
                content = bytes(data[place + _MESSAGE.size : place + size])
                yield Message(channel, log_ns, content, publish_ns, sequence)
        place += size


def _index_of(chunk: Chunk, place: int, length: int) -> ChunkIndex:
    return ChunkIndex(
        chunk_length=length,
        chunk_start_offset=place,
        compression=chunk.compression,
        compressed_size=len(chunk.data),
        message_end_time=chunk.message_end_time,
        message_index_length=0,
        message_index_offsets={},
        message_start_time=chunk.message_start_time,
        uncompressed_size=chunk.uncompressed_size,
    )


class SqliteFile:
    """A sqlite3 file, of any version of rosbag2's layout."""

    def __init__(self, path: Path) -> None:
        _check_pages(path)
        self._reader = Sqlite3Reader(path)
        self._reader.open()
        self.start_ns = int(self._reader.metadata.start_time) if self._reader.metadata.message_count else 0
        self.end_ns = max(int(self._reader.metadata.end_time) - 1, 0)
        formats = {MessageDefinitionFormat.MSG: "ros2msg", MessageDefinitionFormat.IDL: "ros2idl"}
        self.topics = [
            StoredTopic(
                item.topic,
                item.msgtype,
                item.msgcount,
                formats.get(item.msgdef.format, ""),
                item.msgdef.data,
            )
            for item in self._reader.connections
        ]

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def messages(self, names: Container[str], start_ns: int, end_ns: int) -> Iterator[Stored]:
        """Give the messages of some topics, received from `start_ns` to before `end_ns`, in order of time."""
        wanted = [item for item in self._reader.connections if item.topic in names]
        if wanted:
            for connection, time_ns, data in self._reader.messages(wanted, start_ns, end_ns):
                yield Stored(time_ns, connection.topic, connection.msgtype, bytes(data))


def _check_pages(path: Path) -> None:
    """Raise ValueError where a sqlite3 file is shorter than its header says: sqlite itself finds out only by chance."""
    with path.open("rb") as stream:
        header = stream.read(_SQLITE_HEADER_BYTES)
    if len(header) < _SQLITE_HEADER_BYTES:
        raise ValueError("its header is incomplete")
    page_bytes, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    known = header[24:28] == header[92:96]  # else another program wrote it, which did not keep the count
    if known and pages * (1 << 16 if page_bytes == 1 else page_bytes) > path.stat().st_size:
        raise ValueError("the end of the file is missing")


def merged(
    storages: list[Storage], names: Container[str], start_ns: int | None, end_ns: int | None
) -> Iterator[Stored]:
    """Give the messages of all files of a bag in order of time; None: from the first, to the last."""
    bounds = (start_ns or 0, _ENDLESS_NS if end_ns is None else end_ns)
    sources = [storage.messages(names, *bounds) for storage in storages]
    return heapq.merge(*sources, key=lambda stored: stored.time_ns)
