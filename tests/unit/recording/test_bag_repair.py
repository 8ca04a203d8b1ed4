"""A bag that was cut off anywhere, or damaged, gives back every message that is whole."""

import re

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.writer import Writer

from video2act_ros.core.errors import BagError
from video2act_ros.recording.writing.bag_repair import repair_bag
from video2act_ros.recording.writing.bag_writer import BagWriter

from .bags import TEXT, metadata_records, number, read, storage, text, write

COUNT = 60


@pytest.fixture(scope="module", params=["none", "zstd"])
def whole(request, tmp_path_factory):
    """A bag of several chunks, and the size of its file when each message had reached it."""
    folder = tmp_path_factory.mktemp("bags") / "bag"
    writer = BagWriter(folder, request.param)
    writer.note("video2act", {"robot": "test"})
    sizes = []
    for index in range(COUNT):
        writer.write(text(index, size=200))
        if index % 7 == 6:
            writer.flush()
            sizes.append((writer.bytes_written, index + 1))
    writer.close()
    return folder, sizes


def has_header(content):
    """Whether the magic bytes and one whole record are there."""
    return len(content) >= 17 and len(content) >= 17 + int.from_bytes(content[9:17], "little")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_anywhere_gives_back_every_flushed_message(whole, tmp_path_factory, data):
    """Whatever was flushed before the cut is there, in order, nothing twice, nothing invented."""
    folder, sizes = whole
    content = storage(folder).read_bytes()
    cut = data.draw(st.integers(0, len(content) - 1))
    copy = tmp_path_factory.mktemp("cut") / "bag"
    copy.mkdir()
    file = copy / "bag_0.mcap"
    file.write_bytes(content[:cut])
    flushed = max((count for size, count in sizes if size <= cut), default=0)
    if not has_header(content[:cut]):
        with pytest.raises(BagError, match="is no MCAP file, or holds nothing"):
            repair_bag(copy)
        assert file.read_bytes() == content[:cut], "the original stays"
        return
    report = repair_bag(copy)
    assert report.messages >= flushed
    if report.messages:
        assert [number(raw) for *_, raw in read(copy)] == list(range(report.messages))
    assert sorted(path.name for path in copy.iterdir()) == ["bag_0.mcap", "metadata.yaml"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_spoilt_byte_costs_at_most_what_it_touches(whole, tmp_path_factory, data):
    """One wrong byte never yields a wrong message: what is given back was written."""
    folder, _ = whole
    content = bytearray(storage(folder).read_bytes())
    place = data.draw(st.integers(8, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    copy = tmp_path_factory.mktemp("spoilt") / "bag"
    copy.mkdir()
    (copy / "bag_0.mcap").write_bytes(content)
    try:
        report = repair_bag(copy)
    except BagError:
        return
    if report.messages:
        numbers = [number(raw) for *_, raw in read(copy)]
        assert numbers == sorted(set(numbers))
        assert set(numbers) <= set(range(COUNT))


def test_a_whole_bag_stays_the_same(whole, tmp_path):
    """Repairing what is good loses nothing: messages, notes and topics."""
    folder, _ = whole
    before = read(folder), metadata_records(storage(folder))[0]
    out = tmp_path / "out"
    report = repair_bag(folder, out)
    assert (report.messages, report.cut_bytes, report.damaged_chunks, report.lost_messages) == (
        COUNT,
        0,
        0,
        0,
    )
    assert (read(out), metadata_records(storage(out))[0]) == before
    assert (out / "metadata.yaml").read_text() == (folder / "metadata.yaml").read_text()


def test_a_damaged_chunk_in_the_middle_costs_only_itself(whole, tmp_path):
    """What comes after it is saved, and the report says that something is missing."""
    folder, sizes = whole
    content = bytearray(storage(folder).read_bytes())
    content[sizes[2][0] + 80] ^= 0xFF  # behind the chunk's own head
    copy = tmp_path / "bag"
    copy.mkdir()
    (copy / "bag_0.mcap").write_bytes(content)
    report = repair_bag(copy)
    assert report.damaged_chunks == 1
    numbers = [number(raw) for *_, raw in read(copy)]
    assert numbers == [*range(sizes[2][1]), *range(sizes[3][1], COUNT)]


def test_other_files_are_refused_and_stay(tmp_path):
    """Text that was renamed, an empty file, a folder without storage: one line each."""
    (tmp_path / "bag").mkdir()
    file = tmp_path / "bag" / "bag_0.mcap"
    file.write_text("not a bag" * 100)
    with pytest.raises(BagError, match=re.escape(f"{file} is no MCAP file, or holds nothing")):
        repair_bag(tmp_path / "bag")
    assert [path.name for path in (tmp_path / "bag").iterdir()] == ["bag_0.mcap"]
    file.unlink()
    with pytest.raises(BagError, match=r"holds no \.mcap file"):
        repair_bag(tmp_path / "bag")


def test_the_new_bag_may_go_elsewhere(tmp_path):
    """Where the disk is full; the damaged one is not touched."""
    file = write(tmp_path / "bag", [text(1)])
    cut = file.read_bytes()[:-20]
    file.write_bytes(cut)
    repair_bag(tmp_path / "bag", tmp_path / "new")
    assert file.read_bytes() == cut
    assert len(read(tmp_path / "new")) == 1
    with pytest.raises(BagError, match="exists already"):
        repair_bag(tmp_path / "bag", tmp_path / "new")


def test_a_file_without_chunks_is_repaired_too(tmp_path):
    """As `ros2 bag record` writes them with its fastest preset: every message before the cut is there."""
    file = tmp_path / "bag" / "bag_0.mcap"
    file.parent.mkdir()
    sizes = []
    with file.open("wb") as stream:
        writer = Writer(stream, use_chunking=False)
        writer.start("ros2")
        schema = writer.register_schema(TEXT.type, "ros2msg", b"string data\n")
        channel = writer.register_channel(TEXT.name, "cdr", schema, {"offered_qos_profiles": ""})
        for index in range(COUNT):
            message = text(index)
            writer.add_message(channel, message.log_ns, message.data, message.publish_ns)
            sizes.append(stream.tell())
    file.write_bytes(file.read_bytes()[: sizes[40] + 40])  # in the middle of a message's bytes
    report = repair_bag(file.parent)
    assert (report.messages, report.cut_bytes) == (41, 40)
    assert [number(raw) for *_, raw in read(file.parent)] == list(range(41))


def test_every_file_of_a_split_bag_is_repaired(tmp_path):
    """`ros2 bag record` may split: all files stand in one new metadata.yaml."""
    folder = tmp_path / "bag"
    folder.mkdir()
    for part in range(2):
        file = write(tmp_path / f"part{part}", [text(index) for index in range(part * 5, part * 5 + 5)])
        (folder / f"bag_{part}.mcap").write_bytes(file.read_bytes()[:-30])
    report = repair_bag(folder)
    assert report.messages == 10
    assert [number(raw) for *_, raw in read(folder)] == list(range(10))


def split_bag(folder, files=12):
    """A split bag as another recorder leaves it: numbered files, its own data and distribution."""
    folder.mkdir()
    names = [f"bag_{index}.mcap" for index in range(files)]
    for index, name in enumerate(names):
        part = write(folder.with_name(f"part{index}"), [text(index)])
        part.rename(folder / name)
    content = {
        "version": 9,
        "storage_identifier": "mcap",
        "relative_file_paths": names,
        "custom_data": {"operator": "Ada", "place": "lab\n2"},
        "ros_distro": "humble",
    }
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": content}))
    return names


def repaired(folder):
    content = yaml.safe_load((folder / "metadata.yaml").read_text())
    return content["rosbag2_bagfile_information"]


@pytest.mark.parametrize("known", [True, False])
def test_the_files_of_a_split_bag_keep_their_order(tmp_path, known):
    """Players play them as metadata.yaml names them: by number, also where the old metadata.yaml is gone."""
    names = split_bag(tmp_path / "bag")
    if not known:
        (tmp_path / "bag" / "metadata.yaml").unlink()
    repair_bag(tmp_path / "bag")
    assert repaired(tmp_path / "bag")["relative_file_paths"] == names
    assert [file["path"] for file in repaired(tmp_path / "bag")["files"]] == names


def test_what_another_recorder_said_of_its_bag_stays(tmp_path):
    """Its own data and the distribution that recorded."""
    split_bag(tmp_path / "bag", 2)
    repair_bag(tmp_path / "bag")
    assert repaired(tmp_path / "bag")["custom_data"] == {"operator": "Ada", "place": "lab\n2"}
    assert repaired(tmp_path / "bag")["ros_distro"] == "humble"


def test_one_file_keeps_what_it_repeats_of_its_bag(tmp_path):
    """The record in the file itself, where there is no metadata.yaml."""
    file = tmp_path / "bag_0.mcap"
    told = {"custom_data": {"operator": "Ada"}, "ros_distro": "rolling"}
    with file.open("wb") as stream:
        writer = Writer(stream)
        writer.start("ros2", "libmcap 1.3.0")
        writer.add_metadata("rosbag2", {"serialized_metadata": yaml.safe_dump(told)})
        writer.finish()
    repair_bag(file)
    (record,) = (fields for name, fields in metadata_records(file) if name == "rosbag2")
    content = yaml.safe_load(record["serialized_metadata"])
    assert content["custom_data"] == {"operator": "Ada"}
    assert content["ros_distro"] == "rolling"


def test_a_bag_of_compressed_messages_says_so_afterwards(tmp_path):
    """Its messages stay as they are, so must the word for it."""
    split_bag(tmp_path / "bag", 1)
    path = tmp_path / "bag" / "metadata.yaml"
    content = yaml.safe_load(path.read_text())
    content["rosbag2_bagfile_information"] |= {"compression_mode": "MESSAGE", "compression_format": "zstd"}
    path.write_text(yaml.safe_dump(content))
    repair_bag(tmp_path / "bag")
    assert repaired(tmp_path / "bag")["compression_mode"] == "MESSAGE"
    assert repaired(tmp_path / "bag")["compression_format"] == "zstd"
