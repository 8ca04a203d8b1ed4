"""Bags are rosbag2 folders that other tools read; a disk that takes no more costs the end and nothing else."""

import os
import resource
import threading

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap.records import SummaryOffset
from mcap.stream_reader import StreamReader
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from video2act_ros.core.errors import BagError
from video2act_ros.recording.writing.bag_metadata import BagSummary, FileCount
from video2act_ros.recording.writing.bag_records import OfferedQos, RecordedMessage, RecordedTopic
from video2act_ros.recording.writing.bag_repair import repair_bag
from video2act_ros.recording.writing.bag_thread import BagThread
from video2act_ros.recording.writing.bag_writer import BagWriter
from video2act_ros.recording.writing.message_definitions import definition_of

from .bags import (
    LATCHED,
    SECOND,
    STATE,
    STORE,
    TEXT,
    metadata_records,
    number,
    read,
    storage,
    text,
    write,
)


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_what_was_written_is_read_back_by_rosbags_and_mcap(tmp_path, compression):
    """Same bytes, times and order, with the index, for two independent readers."""
    messages = [text(index, size=50_000) for index in range(50)]
    file = write(tmp_path / "bag", messages, compression)
    expected = [(item.topic.name, item.log_ns, item.data) for item in messages]
    assert read(tmp_path / "bag") == expected
    with file.open("rb") as stream:
        found = list(make_reader(stream, validate_crcs=True).iter_messages())
    assert [(channel.topic, item.log_time, item.data) for _, channel, item in found] == expected
    assert [item.publish_time for *_, item in found] == [item.publish_ns for item in messages]
    assert [item.sequence for *_, item in found] == list(range(50))


def test_metadata_has_the_layout_of_rosbag2(tmp_path):
    """`ros2 bag info` reads it without opening the storage: version 9, counts, hashes and profiles."""
    write(tmp_path / "bag", [text(1), text(3), text(2, topic=LATCHED)], notes=[("video2act", {"robot": "x"})])
    content = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert content["version"] == 9
    assert content["storage_identifier"] == "mcap"
    assert content["relative_file_paths"] == ["bag_0.mcap"]
    assert content["message_count"] == 3
    assert content["starting_time"] == {"nanoseconds_since_epoch": SECOND + 1}
    assert content["duration"] == {"nanoseconds": 2}
    assert content["files"][0]["message_count"] == 3
    assert content["custom_data"] == {"video2act.0": "robot=x"}
    first, second = content["topics_with_message_count"]
    assert (first["message_count"], second["message_count"]) == (2, 1)
    assert first["topic_metadata"]["type_description_hash"].startswith("RIHS01_")
    assert second["topic_metadata"]["offered_qos_profiles"][0]["durability"] == "transient_local"
    infinite = {"sec": 9223372036, "nsec": 854775807}
    assert second["topic_metadata"]["offered_qos_profiles"][0]["lifespan"] == infinite
    with Reader(tmp_path / "bag") as reader:
        assert reader.connections[1].ext.offered_qos_profiles[0].durability.name == "TRANSIENT_LOCAL"


def test_our_own_messages_are_read_by_someone_who_lacks_them(tmp_path):
    """The definition goes with the bag, with the hash that the topic has on the network."""
    definition = definition_of("video2act_msgs/msg/RunState")
    writer_store = get_typestore(Stores.LATEST)
    own = definition.text.split("=" * 80)[0]
    writer_store.register(get_types_from_msg(own, "video2act_msgs/msg/RunState"))
    assert writer_store.hash_rihs01("video2act_msgs/msg/RunState") == definition.hash
    kind = writer_store.types["video2act_msgs/msg/RunState"]
    time = writer_store.types["builtin_interfaces/msg/Time"](0, 0)
    header = writer_store.types["std_msgs/msg/Header"](time, "")
    ages = (0.0, 0.0, np.zeros(2), 0.0, 0.0)
    state = kind(header, "fault", "tests", "policy", 1.0, False, 1, time, 2, time, "", *ages, 3, 4)
    data = bytes(writer_store.serialize_cdr(state, "video2act_msgs/msg/RunState"))
    write(tmp_path / "bag", [RecordedMessage(STATE, SECOND, SECOND, data)])
    with AnyReader([tmp_path / "bag"]) as reader:
        ((connection, _, raw),) = reader.messages()
        assert reader.deserialize(raw, connection.msgtype).state == "fault"
        assert connection.digest == definition.hash


def test_every_definition_has_the_hash_that_rosbags_computes():
    """Ours read it from the generator's file; both must agree, or readers refuse the type."""
    for name in (
        "sensor_msgs/msg/Image",
        "diagnostic_msgs/msg/DiagnosticArray",
        "rcl_interfaces/msg/ParameterEvent",
    ):
        assert definition_of(name).hash == STORE.hash_rihs01(name)


def test_a_type_that_is_not_installed_is_refused_with_its_package():
    """The remedy is to install the package where the recorder runs."""
    with pytest.raises(BagError, match="install or source the package strange_msgs"):
        definition_of("strange_msgs/msg/Thing")


def test_a_new_bag_never_touches_an_old_one(tmp_path):
    """An existing folder is refused and stays as it is, even an empty one."""
    file = write(tmp_path / "bag", [text(1)])
    before = file.read_bytes()
    with pytest.raises(BagError, match="exists already; a bag needs a new folder"):
        BagWriter(tmp_path / "bag")
    assert file.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    """One line with the remedy, and nothing is left behind."""
    tmp_path.chmod(0o500)
    with pytest.raises(BagError, match="permission denied; choose a folder that this user may write"):
        BagWriter(tmp_path / "bag")


def test_a_path_through_a_file_is_refused(tmp_path):
    """As a permission, with its own remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(BagError, match="a part of the path is a file"):
        BagWriter(tmp_path / "file" / "bag")


@pytest.mark.parametrize(
    ("sourced", "rclpy", "told"),
    [
        ("lyrical", "9.1.2", "lyrical"),
        ("", "7.1.5", "jazzy"),
        ("", "9.1.2", "kilted"),
        ("", "11.0", "unknown"),
    ],
)
def test_metadata_names_the_distribution(tmp_path, monkeypatch, sourced, rclpy, told):
    """The one that was sourced, or the one of the wheels; none is made up."""
    monkeypatch.setenv("ROS_DISTRO", sourced)
    installed = tmp_path / f"rclpy-{rclpy}.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rclpy\nVersion: {rclpy}\n")
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path / "bag", [text(1)])
    content = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())
    assert content["rosbag2_bagfile_information"]["ros_distro"] == told


def test_metadata_stands_from_the_first_moment(tmp_path):
    """A bag that was killed at once can still be recognised."""
    writer = BagWriter(tmp_path / "bag")
    assert (tmp_path / "bag" / "metadata.yaml").is_file()
    writer.abandon()


class Bag:
    """A bag written by its thread, and what the thread told."""

    def __init__(self, folder, queue_bytes=1 << 30, min_free_bytes=0):
        self.failures = []
        self.failed = threading.Event()
        self.folder = folder
        self.thread = BagThread(BagWriter(folder), queue_bytes, min_free_bytes, self._fail)

    def _fail(self, error):
        self.failures.append(error)
        self.failed.set()

    def flushed(self, count):
        """Wait until that many messages can be read from a bag that is not closed."""
        deadline = threading.Event()
        while not deadline.wait(0.02):
            if self.thread.messages >= count and storage(self.folder).stat().st_size > 0:
                return


def test_the_thread_writes_everything_in_order(tmp_path):
    """Closing waits for what was handed over before."""
    bag = Bag(tmp_path / "bag")
    for index in range(500):
        assert bag.thread.put(text(index))
    bag.thread.note("video2act.episode", {"episode": "1"})
    assert bag.thread.close(10.0)
    assert [number(data) for *_, data in read(tmp_path / "bag")] == list(range(500))
    records = metadata_records(storage(tmp_path / "bag"))
    assert records[0] == ("video2act.episode", {"episode": "1"})
    assert not bag.failures


def test_the_file_is_in_the_order_of_time_whatever_the_order_of_arrival(tmp_path):
    """Topics are asked one after the other: what is handed over a little late is sorted in."""
    bag = Bag(tmp_path / "bag")
    for index in (3, 1, 2, 0, 5, 4):
        bag.thread.put(text(index))
    assert bag.thread.close(10.0)
    with storage(tmp_path / "bag").open("rb") as stream:
        found = [message.data for *_, message in make_reader(stream).iter_messages(log_time_order=False)]
    assert [number(data) for data in found] == [0, 1, 2, 3, 4, 5]


def test_what_does_not_fit_into_the_queue_is_dropped_counted_and_told_in_the_bag(tmp_path):
    """Never blocks: the caller hears False, the bag says how many."""
    bag = Bag(tmp_path / "bag", queue_bytes=100)
    assert not bag.thread.put(text(1, size=1000))
    assert bag.thread.put(text(2))
    assert bag.thread.close(10.0)
    assert bag.thread.dropped == {"/instruction": 1}
    assert ("video2act.dropped", {"/instruction": "1"}) in metadata_records(storage(tmp_path / "bag"))
    assert [number(data) for *_, data in read(tmp_path / "bag")] == [2]


def test_a_topic_without_definition_costs_only_itself(tmp_path):
    """A robot's own message type that is not installed here does not end the recording."""
    bag = Bag(tmp_path / "bag")
    bag.thread.put(text(1, topic=RecordedTopic("/strange", "strange_msgs/msg/Thing", (OfferedQos(),))))
    bag.thread.put(text(2))
    assert bag.thread.close(10.0)
    assert list(bag.thread.refused) == ["/strange"]
    assert [number(data) for *_, data in read(tmp_path / "bag")] == [2]
    assert not bag.failures


def test_a_full_disk_ends_the_bag_whose_messages_stay(tmp_path):
    """The file may not grow beyond a limit, as on a full disk: one message that names the remedy, then `repair`."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    bag = Bag(tmp_path / "bag")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, limits[1]))
        for index in range(20):
            bag.thread.put(text(index, size=500_000))
        assert bag.failed.wait(10.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert bag.thread.put(text(99)), "an ended bag is no reason to drop and count"
    assert bag.thread.close(10.0)
    (error,) = bag.failures
    assert "ended early" in str(error)
    assert f"`video2act bag repair {bag.folder}`" in str(error)
    assert repair_bag(bag.folder).cut_bytes == 0, "what did not fit was cut off cleanly"
    numbers = [number(data) for *_, data in read(bag.folder)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 6  # of 8 that the limit holds, less the chunk in progress


def test_the_bag_ends_whole_before_the_disk_is_full(tmp_path):
    """Less free space than wanted: the bag is closed and needs no repair."""
    bag = Bag(tmp_path / "bag", min_free_bytes=1 << 60)
    bag.thread.put(text(1))
    assert bag.failed.wait(10.0)
    assert "only" in str(bag.failures[0])
    assert "is whole" in str(bag.failures[0])
    assert [number(data) for *_, data in read(tmp_path / "bag")] == [1]
    assert bag.thread.close(1.0)


def test_time_alone_brings_messages_to_the_disk(tmp_path):
    """A quiet topic's message is there although its chunk is far from full: that is what a kill leaves."""
    bag = Bag(tmp_path / "bag")
    empty = storage(tmp_path / "bag").stat().st_size
    bag.thread.put(text(7))
    waiting = threading.Event()
    while storage(tmp_path / "bag").stat().st_size == empty:
        assert not waiting.wait(0.02)
    copy = tmp_path / "killed"
    repair_bag(tmp_path / "bag", copy)
    assert [number(data) for *_, data in read(copy)] == [7]
    bag.thread.close(10.0)


def test_topics_of_one_name_are_one_channel(tmp_path):
    """A topic whose offered profiles change later stays one topic."""
    other = RecordedTopic(TEXT.name, TEXT.type, (OfferedQos(reliability="best_effort"),))
    write(tmp_path / "bag", [text(1), text(2, topic=other)])
    with Reader(tmp_path / "bag") as reader:
        assert [(item.topic, item.msgcount) for item in reader.connections] == [(TEXT.name, 2)]


def test_the_summary_has_no_empty_group(tmp_path):
    """Checkers refuse a summary offset of no length, as that of attachments where there are none."""
    file = write(tmp_path / "bag", [text(1)], notes=[("video2act", {"robot": "x"})])
    with file.open("rb") as stream:
        groups = [record for record in StreamReader(stream).records if isinstance(record, SummaryOffset)]
    assert len(groups) == 5
    assert all(record.group_length for record in groups)


def test_metadata_has_every_value_on_one_line(tmp_path):
    """Long values are not folded and line breaks are escaped: simple parsers of YAML give up otherwise."""
    value = "word " * 60
    summary = BagSummary([FileCount("bag_0.mcap")], custom={"long": value, "lines": "one\ntwo\n\nthree"})
    tmp_path.joinpath("metadata.yaml").touch()
    summary.write(tmp_path)
    lines = (tmp_path / "metadata.yaml").read_text().splitlines()
    assert all(":" in line or line.lstrip().startswith("- ") for line in lines)
    content = yaml.safe_load((tmp_path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert content["custom_data"] == {"long": value, "lines": "one\ntwo\n\nthree"}
