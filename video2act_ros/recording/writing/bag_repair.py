"""Makes a good bag of one that was not closed or is damaged: index, footer and `metadata.yaml` anew."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml
import zstandard
from mcap.exceptions import EndOfFile, InvalidMagic, McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, Header, McapRecord, Message, Metadata, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.writer import CompressionType, IndexType, Writer

from video2act_ros.core.errors import BagError
from video2act_ros.recording.writing.bag_metadata import (
    BagSummary,
    FileCount,
    TopicCount,
    dump,
    metadata_content,
    natural_order,
    read_metadata,
)
from video2act_ros.recording.writing.bag_writer import (
    CHUNK_BYTES,
    COMPRESSIONS,
    INDEXES,
    LIBRARY,
    check_new_folder,
    explain,
    free_bytes,
)

_DAMAGE = (
    McapError,
    zstandard.ZstdError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    MemoryError,
    OverflowError,
)
"""What reading nonsense raises, in the file itself or in a compressed chunk."""

_MAGIC_BYTES = 8
_RECORD = struct.Struct("<BQ")  # what it is, how long
_ROSBAG2 = "rosbag2"  # name of the metadata record that repeats metadata.yaml


@dataclass(slots=True)
class RepairReport:
    """What was saved. `cut_bytes` at the end of the files held no whole record."""

    folder: Path
    messages: int = 0
    topics: int = 0
    damaged_chunks: int = 0
    lost_messages: int = 0  # whole ones whose topic stood in a damaged chunk
    cut_bytes: int = 0


def repair_bag(bag: Path, out: Path | None = None) -> RepairReport:
    """Write every readable message of a bag into new files that take the place of the old ones.

    The old files stay until the new ones are whole, and stay as they are when that fails.

    Args:
        bag: a bag's folder, or one `.mcap` file.
        out: folder of a new bag; the old one then stays as it is.

    Raises:
        BagError: there is no MCAP file, it holds something else, or the disk does not take the new one.
    """
    sources = [bag] if bag.is_file() else _sources(bag)
    if not sources:
        raise BagError(
            f"{bag} holds no .mcap file; give the folder of a bag, or an .mcap file "
            "(unpack .mcap.zstd files first: zstd -d)"
        )
    target = out or (bag.parent if bag.is_file() else bag)
    _check_space(sources, target)
    if out is not None:
        check_new_folder(out)
    report = RepairReport(bag if bag.is_file() and out is None else target)
    summary = BagSummary([])
    before = {} if bag.is_file() else read_metadata(bag)
    partial = [target / f"{source.name}.repairing" for source in sources]
    try:
        target.mkdir(parents=True, exist_ok=True)
        for source, file in zip(sources, partial, strict=True):
            summary.files.append(FileCount(source.name))
            with source.open("rb") as stream, file.open("wb") as output:
                _Salvage(summary, report, before).run(stream, output, source)
                os.fsync(output.fileno())
        for source, file in zip(sources, partial, strict=True):
            file.replace(target / source.name)
        if out is not None or bag.is_dir():
            summary.write(target)
    except OSError as error:
        raise BagError(f"cannot repair {bag}, it stays as it is: {explain(error)}") from error
    finally:
        for file in partial:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
    report.messages, report.topics = summary.messages, len(summary.topics)
    return report


def _sources(folder: Path) -> list[Path]:
    """Return a bag's MCAP files as its `metadata.yaml` orders them, then others by the numbers in their names."""
    found = sorted(folder.glob("*.mcap"), key=natural_order)
    named = [Path(str(name)).name for name in read_metadata(folder).get("relative_file_paths") or ()]
    rank = {name: number for number, name in enumerate(named)}
    return sorted(found, key=lambda path: rank.get(path.name, len(rank)))


def _holds_attachments(stream: IO[bytes], size: int) -> bool:
    """Look at what each record is, without reading it."""
    place = _MAGIC_BYTES
    while place + _RECORD.size <= size:
        stream.seek(place)
        opcode, length = _RECORD.unpack(stream.read(_RECORD.size))
        if opcode == Opcode.ATTACHMENT:
            return True
        place += _RECORD.size + length
    return False


def _check_space(sources: list[Path], target: Path) -> None:
    needed = sum(source.stat().st_size for source in sources)
    if (free := free_bytes(target)) < needed:
        raise BagError(
            f"repairing needs {needed >> 20} MB beside the bag and {free >> 20} MB are free; "
            "free space, or give --out with a folder on another disk"
        )


class _Salvage:
    """Copies the records of one file into a new one, until they end or make no sense any more."""

    def __init__(self, summary: BagSummary, report: RepairReport, before: dict[str, Any]) -> None:
        self._summary = summary
        self._report = report
        self._schemas: dict[int, tuple[Schema, int]] = {}  # by the old number: the schema and its new number
        self._channels: dict[int, tuple[Channel, int]] = {}
        self._before = before  # of metadata.yaml, or else of the record that repeats it
        self._writer: Writer | None = None
        self._indexes = INDEXES
        self._library = ""
        self._compression = ""

    def run(self, source: IO[bytes], output: IO[bytes], name: Path) -> None:
        """Copy, and end the new file as a whole one."""
        size = os.fstat(source.fileno()).st_size
        if _holds_attachments(source, size):
            self._indexes = IndexType.ALL
        source.seek(0)
        exact = _ExactStream(source, size)
        for record in _records(exact, size, name):
            if isinstance(record, Chunk):
                self._compression = self._compression or record.compression
                self._chunk(record, self._begin(output))
            elif isinstance(record, Header):
                self._library = record.library
            else:
                self._take(record, self._begin(output))
            exact.whole = source.tell()
        writer = self._begin(output)
        self._keep()
        writer.add_metadata(_ROSBAG2, {"serialized_metadata": dump(self._summary.content())})
        writer.finish()
        output.flush()
        self._report.cut_bytes += size - exact.whole

    def _keep(self) -> None:
        """Keep what the bag said of itself beyond its messages."""
        summary, before = self._summary, self._before
        custom = before.get("custom_data")
        if isinstance(custom, dict):
            summary.custom = {str(key): str(value) for key, value in custom.items()} | summary.custom
        ours = self._library.startswith(LIBRARY.split()[0])
        summary.distribution = str(before.get("ros_distro") or ("" if ours else "unknown"))
        if str(before.get("compression_mode", "")).lower() == "message":
            summary.compression_format = str(before.get("compression_format", ""))
            summary.compression_mode = str(before["compression_mode"])

    def _begin(self, output: IO[bytes]) -> Writer:
        """Return the writer; it compresses as the first chunk does."""
        if isinstance(self._writer, Writer):
            return self._writer
        compression = COMPRESSIONS.get(self._compression, CompressionType.NONE)
        self._writer = Writer(output, CHUNK_BYTES, compression, self._indexes)
        self._writer.start("ros2", LIBRARY)
        return self._writer

    def _chunk(self, chunk: Chunk, writer: Writer) -> None:
        try:
            records = breakup_chunk(chunk, validate_crc=True)
        except _DAMAGE:
            self._report.damaged_chunks += 1
            return
        for record in records:
            self._take(record, writer)

    def _take(self, record: McapRecord, writer: Writer) -> None:
        if isinstance(record, Schema) and record.id not in self._schemas:
            new = writer.register_schema(record.name, record.encoding, record.data)
            self._schemas[record.id] = (record, new)
        elif isinstance(record, Channel) and record.id not in self._channels:
            self._channel(record, writer)
        elif isinstance(record, Message):
            self._message(record, writer)
        elif isinstance(record, Metadata) and record.name == _ROSBAG2:
            self._before = self._before or metadata_content(record.metadata.get("serialized_metadata", ""))
        elif isinstance(record, Metadata):
            writer.add_metadata(record.name, record.metadata)
            self._summary.note(record.name, record.metadata)
        elif isinstance(record, Attachment):
            writer.add_attachment(
                record.create_time, record.log_time, record.name, record.media_type, record.data
            )

    def _channel(self, channel: Channel, writer: Writer) -> None:
        schema, schema_id = self._schemas.get(channel.schema_id, (None, 0))
        new = writer.register_channel(channel.topic, channel.message_encoding, schema_id, channel.metadata)
        self._channels[channel.id] = (channel, new)
        if channel.topic not in self._summary.topics:
            self._summary.topics[channel.topic] = TopicCount(
                channel.topic,
                schema.name if schema else "",
                channel.metadata.get("topic_type_hash", ""),
                _profiles(channel.metadata.get("offered_qos_profiles", "")),
            )

    def _message(self, message: Message, writer: Writer) -> None:
        if message.channel_id not in self._channels:
            self._report.lost_messages += 1
            return
        channel, new = self._channels[message.channel_id]
        writer.add_message(new, message.log_time, message.data, message.publish_time, message.sequence)
        self._summary.count(channel.topic, message.log_time)


class _ExactStream:
    """Reads exactly as much as is asked for: less is the end of a file that was cut off in mid-record."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._size = size
        self.whole = 0  # end of the last whole record

    def read(self, length: int) -> bytes:
        if length > self._size:  # nonsense: nothing of that size may be asked for
            raise EndOfFile
        data = self._stream.read(length)
        if len(data) != length:
            raise EndOfFile
        return data


def _records(stream: _ExactStream, size: int, name: Path) -> Iterator[McapRecord]:
    """Give the records up to the first that cannot be read."""
    records = StreamReader(stream, emit_chunks=True, record_size_limit=size).records  # type: ignore[arg-type]
    first = True
    while True:
        try:
            record = next(records)
        except StopIteration:
            stream.whole = size
            return
        except _DAMAGE as error:
            if first or (isinstance(error, InvalidMagic) and not stream.whole):
                raise BagError(f"{name} is no MCAP file, or holds nothing; record again") from error
            return
        first = False
        yield record


def _profiles(text: str) -> list[dict[str, Any]]:
    """Return the profiles that a channel carries as YAML; none where they cannot be read."""
    try:
        profiles = yaml.safe_load(text)
    except yaml.YAMLError:
        return []
    return profiles if isinstance(profiles, list) else []
