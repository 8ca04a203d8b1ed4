"""Bags as the recorders of the world write them: one recording, rewritten in every storage, layout and compression."""

import shutil
from pathlib import Path

import yaml
import zstandard
from mcap.reader import make_reader
from mcap.writer import CompressionType, IndexType, Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Reader as Rosbag2Reader
from rosbags.rosbag2 import Writer as Rosbag2Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

METADATA = "metadata.yaml"
ALL = IndexType.ALL


def _rows(source):
    """Everything in the plain MCAP file of a bag: (schema, channel, message), in order of time."""
    (file,) = source.glob("*.mcap")
    with file.open("rb") as stream:
        return list(make_reader(stream).iter_messages())


def _write(path, rows, compress=lambda data: data, **options):
    """Write rows as one MCAP file with the options of the MCAP writer."""
    given = {"chunk_size": 20_000, "compression": CompressionType.NONE} | options
    schemas, channels = {}, {}
    with path.open("wb") as stream:
        writer = Writer(stream, **given)
        writer.start("ros2", "tests")
        for schema, channel, message in rows:
            if schema.name not in schemas:
                schemas[schema.name] = writer.register_schema(schema.name, schema.encoding, schema.data)
            if channel.topic not in channels:
                channels[channel.topic] = writer.register_channel(
                    channel.topic, channel.message_encoding, schemas[schema.name], channel.metadata
                )
            writer.add_message(
                channels[channel.topic], message.log_time, compress(message.data), message.publish_time
            )
        writer.finish()


def _metadata(source, target, files, change=lambda content: None):
    content = yaml.safe_load((source / METADATA).read_text())
    inner = content["rosbag2_bagfile_information"]
    inner["relative_file_paths"] = files
    change(inner)
    (target / METADATA).write_text(yaml.safe_dump(content, sort_keys=False))


def _mcap(reorder=lambda rows: rows, **options):
    def make(source, target):
        _write(target / "bag_0.mcap", reorder(_rows(source)), **options)
        _metadata(source, target, ["bag_0.mcap"])

    return make


def _shuffled(rows):
    """Rows far out of time order: later and earlier ones in turn, as several recorders' caches leave them."""
    half = len(rows) // 2
    mixed = [row for pair in zip(rows[half:], rows[:half], strict=False) for row in pair]
    return mixed + rows[2 * half :]


def _split(files):
    """So many files whose times overlap: every file takes every so-manieth message."""

    def make(source, target):
        rows = _rows(source)
        names = [f"bag_{number}.mcap" for number in range(files)]
        for number, name in enumerate(names):
            _write(target / name, rows[number::files])
        _metadata(source, target, names)

    return make


def _reindexed(source, target):
    """`ros2 bag reindex` writes other profiles of service into metadata.yaml than stand in the file."""

    def change(content):
        profile = {"history": "keep_last", "depth": 10, "reliability": "reliable", "durability": "volatile"}
        for topic in content["topics_with_message_count"]:
            topic["topic_metadata"]["offered_qos_profiles"] = [profile]

    shutil.copy(next(source.glob("*.mcap")), target / "bag_0.mcap")
    _metadata(source, target, ["bag_0.mcap"], change)


def _compressed_messages(source, target):
    _write(target / "bag_0.mcap", _rows(source), compress=zstandard.compress)
    _metadata(
        source,
        target,
        ["bag_0.mcap"],
        lambda content: content.update(compression_format="zstd", compression_mode="MESSAGE"),
    )


def _sqlite(mode=None):
    """A sqlite3 bag by the rosbags library, compressed as files or as messages on request."""

    def make(source, target):
        target.rmdir()
        store = get_typestore(Stores.EMPTY)
        writer = Rosbag2Writer(target, version=9, storage_plugin=StoragePlugin.SQLITE3)
        if mode is not None:
            writer.set_compression(mode, CompressionFormat.ZSTD)
        with Rosbag2Reader(source) as reader, writer:
            connections = {}
            for connection, time_ns, data in reader.messages():
                if connection.topic not in connections:
                    types = get_types_from_msg(connection.msgdef.data, connection.msgtype)
                    store.register(types)
                    connections[connection.topic] = writer.add_connection(
                        connection.topic, connection.msgtype, typestore=store
                    )
                writer.write(connections[connection.topic], time_ns, data)

    return make


def _compressed_file(kept):
    """`ros2 bag record --compression-mode file`: `kept` is how metadata.yaml names the file."""

    def make(source, target):
        data = next(source.glob("*.mcap")).read_bytes()
        (target / "bag_0.mcap.zstd").write_bytes(zstandard.compress(data))
        _metadata(
            source,
            target,
            [kept],
            lambda content: content.update(compression_format="zstd", compression_mode="FILE"),
        )

    return make


def _with_others(source, target):
    """Channels of other encodings and types that nobody here knows."""
    rows = _rows(source)
    path = target / "bag_0.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.NONE)
        writer.start("ros2", "tests")
        json = writer.register_schema("thing", "jsonschema", b"{}")
        odd = writer.register_schema("odd_msgs/msg/Odd", "ros2msg", b"float64[ x")
        foreign = [
            writer.register_channel("/things", "json", json),
            writer.register_channel("/odd", "cdr", odd),
            writer.register_channel("/bare", "cdr", 0),
        ]
        known = {}
        for schema, channel, message in rows:
            for number in foreign:
                writer.add_message(number, message.log_time, b"\0\1\0\0{}", message.log_time)
            if channel.topic not in known:
                number = writer.register_schema(schema.name, schema.encoding, schema.data)
                known[channel.topic] = writer.register_channel(channel.topic, "cdr", number, channel.metadata)
            writer.add_message(known[channel.topic], message.log_time, message.data, message.publish_time)
        writer.finish()
    _metadata(source, target, ["bag_0.mcap"])


KINDS = {
    "mcap": _mcap(),
    "lz4 chunks": _mcap(compression=CompressionType.LZ4),
    "zstd chunks": _mcap(compression=CompressionType.ZSTD),
    "without message index": _mcap(index_types=ALL & ~IndexType.MESSAGE),
    "without chunk index": _mcap(index_types=ALL & ~IndexType.CHUNK),
    "without statistics": _mcap(use_statistics=False),
    "without repeated channels": _mcap(repeat_channels=False, repeat_schemas=False),
    "without summary": _mcap(
        index_types=IndexType.NONE,
        repeat_channels=False,
        repeat_schemas=False,
        use_statistics=False,
        use_summary_offsets=False,
    ),
    "unchunked": _mcap(use_chunking=False),
    "unchunked, out of order": _mcap(_shuffled, use_chunking=False),
    "chunks out of order": _mcap(_shuffled),
    "split, overlapping": _split(3),
    "split into 12": _split(12),
    "reindexed": _reindexed,
    "compressed messages": _compressed_messages,
    "compressed file": _compressed_file("bag_0.mcap.zstd"),
    "compressed file, named as before": _compressed_file("bag_0.mcap"),
    "sqlite3": _sqlite(),
    "sqlite3, compressed file": _sqlite(CompressionMode.FILE),
    "sqlite3, compressed messages": _sqlite(CompressionMode.MESSAGE),
    "with others' channels": _with_others,
}
"""By name, what rewrites the plain bag `source` as another kind into the empty folder `target`."""


def rewrite(source: Path, target: Path, kind: str) -> Path:
    """Return the folder `target` with the recording of `source` as another kind of bag."""
    target.mkdir()
    KINDS[kind](source, target)
    return target
