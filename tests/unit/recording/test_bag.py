"""The reader: bags of both storages, and one clear line for each way in which a bag cannot be used."""

import struct

import numpy as np
import pytest
from lockstep import START_NS, STORE, record, scene
from mcap.reader import make_reader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from video2act_ros.core.errors import BagError
from video2act_ros.core.types import LatentStream
from video2act_ros.recording.reading.bag import Reading, open_bag
from video2act_ros.recording.reading.message_types import lacking_fields, own_types
from video2act_ros.recording.reading.streams import RobotBag


@pytest.fixture
def bag(tmp_path, robot_profile, bundle):
    return record(tmp_path / "bag", robot_profile, bundle, 1.5)


def storage_file(folder):
    (path,) = (path for path in folder.iterdir() if path.suffix in (".mcap", ".db3"))
    return path


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_both_storages_give_the_same(tmp_path, robot_profile, bundle, storage):
    """Folders and bare files of MCAP and sqlite3 open, with topics, times and messages in order of reception."""
    folder = record(tmp_path / "bag", robot_profile, bundle, 1.5, storage=storage)
    for path in (folder, storage_file(folder)):
        with open_bag(path) as bag:
            assert bag.topics["/action_chunk"].type == "video2act_msgs/msg/ActionChunk"
            assert bag.topics["/arm/joint_states"].count == 150
            assert (bag.start_ns, bag.end_ns) == (START_NS, START_NS + 1_490_000_000)
            times = [item.time_ns for item in bag.messages()]
            assert times == sorted(times)
            part = list(bag.messages(["/arm/joint_states"], START_NS + 10**9, START_NS + 11 * 10**8))
            assert len(part) == 10
            raw = next(bag.raw_messages(["/arm/joint_states"]))
            again = STORE.serialize_cdr(bag.decode(raw), raw.type)
            assert bytes(again) == raw.data


def test_typed_streams(bag, robot_profile, bundle):
    """Frames, joints, latents, chunks and run states come as the project's types, in policy units."""
    with open_bag(bag) as opened:
        source = RobotBag(opened, robot_profile)
        frames = [item.value for item in source.frames()]
        assert [frame.camera for frame in frames[:2]] == ["cam_high", "cam_wrist"]
        np.testing.assert_array_equal(frames[0].image, scene(0, 0, (32, 32)))
        np.testing.assert_array_equal(frames[1].image, scene(0, 1, (32, 32)))
        assert len(frames) == 60
        samples = [item.value for item in source.joint_samples()]
        assert samples[0].positions.shape == (3,)
        assert 0 <= samples[0].positions[2] <= 1
        assert {item.value.stream for item in source.latents()} == set(LatentStream)
        chunk = next(source.chunks()).value
        assert chunk.joints.shape == (3,)
        assert set(chunk.checksums) == {"images", "joints", "vision", "noise"}
        assert next(source.run_states()).value.context.epoch == 5
        assert [item.value for item in source.instructions()] == ["lift the cube"]
        assert list(source.task_success()) == []


def test_a_missing_bag(tmp_path):
    """It is named with the remedy, as are folders and files that are no bags."""
    with pytest.raises(BagError, match=r"there is no bag at .*nothing"), open_bag(tmp_path / "nothing"):
        pass
    with pytest.raises(BagError, match=r"holds no \.mcap or \.db3"), open_bag(tmp_path):
        pass
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(BagError, match="is no bag"), open_bag(tmp_path / "notes.txt"):
        pass


def test_an_empty_bag(tmp_path):
    """A bag without messages, and a file without bytes."""
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP)
    writer.open()
    writer.add_connection("/run_state", "video2act_msgs/msg/RunState", typestore=STORE)
    writer.close()
    with pytest.raises(BagError, match="is empty; record again"), open_bag(tmp_path / "bag"):
        pass
    storage_file(tmp_path / "bag").write_bytes(b"")
    with pytest.raises(BagError, match="is empty; record again"), open_bag(tmp_path / "bag"):
        pass


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.9999])
def test_a_truncated_bag(bag, share):
    """Whatever is left of it: one line that names the repair."""
    path = storage_file(bag)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    for given in (bag, path):
        expected = f"truncated or damaged.*run `video2act bag repair {given}`"
        with pytest.raises(BagError, match=expected), open_bag(given) as opened:
            list(opened.messages())


def test_damage_inside_a_bag(tmp_path, robot_profile, bundle):
    """Bytes that rotted are found when they are read, in compressed chunks too: refused, or one message is skipped."""
    bag = record(tmp_path / "bag", robot_profile, bundle, 1.0, compressed=True)
    path = storage_file(bag)
    data = bytearray(path.read_bytes())
    with path.open("rb") as stream:
        chunk = max(make_reader(stream).get_summary().chunk_indexes, key=lambda index: index.chunk_length)
    middle = chunk.chunk_start_offset + chunk.chunk_length // 2
    data[middle : middle + 64] = bytes(byte ^ 0xFF for byte in data[middle : middle + 64])
    path.write_bytes(data)
    refused = pytest.raises(BagError, match=r"truncated or damaged|cannot be used")
    with refused, open_bag(bag, Reading(strict=True)) as opened:
        list(opened.messages())


def test_a_bag_that_was_not_closed(bag):
    """Without metadata.yaml the recorder was killed."""
    (bag / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=r"was not closed.*video2act bag repair"), open_bag(bag):
        pass


def test_a_missing_topic(tmp_path, robot_profile, bundle):
    """The message lists the topics that there are."""
    folder = record(
        tmp_path / "bag",
        robot_profile,
        bundle,
        1.0,
        edit=lambda name, message: None if name == "cam_high/image_raw" else message,
    )
    with open_bag(folder) as opened:
        source = RobotBag(opened, robot_profile)
        with pytest.raises(BagError, match=r"lacks a needed topic.*/cam_high/image_raw.*/action_chunk"):
            next(source.frames())
        with pytest.raises(BagError, match="has no camera 'cam_left'"):
            source.camera_source("cam_left")


def test_two_stacks_in_one_bag(tmp_path, robot_profile, bundle):
    """Without a namespace nobody knows which one is meant."""
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP)
    with writer:
        for name in ("/left/run_state", "/right/run_state"):
            connection = writer.add_connection(name, "video2act_msgs/msg/RunState", typestore=STORE)
            writer.write(connection, 1, b"\0\1\0\0" + bytes(400))
    with open_bag(tmp_path / "bag") as opened:
        with pytest.raises(BagError, match="several stacks: /left, /right; choose one with --namespace"):
            RobotBag(opened, robot_profile)
        assert RobotBag(opened, robot_profile, "/left").topic("run_state") == "/left/run_state"


def test_another_version_of_our_messages(tmp_path, robot_profile):
    """A chunk without the fields that this version reads is refused by their names, one with more is not."""
    old = get_typestore(Stores.ROS2_KILTED)
    name = "video2act_msgs/msg/ActionChunk"
    old.register(get_types_from_msg("std_msgs/Header header\nuint64 sequence\nfloat32[] positions", name))
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP)
    with writer:
        connection = writer.add_connection("/action_chunk", name, typestore=old)
        writer.write(connection, 1, b"\0\1\0\0" + bytes(64))
    with (
        open_bag(tmp_path / "bag") as opened,
        pytest.raises(
            BagError, match=r"another version of .*ActionChunk, without .*joint_positions.*positions"
        ),
    ):
        list(RobotBag(opened, robot_profile).chunks())
    newer = get_typestore(Stores.ROS2_KILTED)
    constants, fields = own_types()[name]
    newer.register({**own_types(), name: (constants, [*fields, ("more", (1, ("float64", 0)))])})
    assert lacking_fields(name, newer) == ()


def test_bytes_behind_the_last_field_do_no_harm(tmp_path):
    """rclpy's serializer leaves some, which other readers refuse."""
    data = bytes(STORE.serialize_cdr(STORE.types["std_msgs/msg/String"]("hello"), "std_msgs/msg/String"))
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP)
    with writer:
        connection = writer.add_connection("/words", "std_msgs/msg/String", typestore=STORE)
        writer.write(connection, 1, data + bytes(24))
        writer.write(connection, 2, b"\0\1\0\0" + struct.pack("<I", 1000) + b"short")
    with open_bag(tmp_path / "bag") as opened:
        assert [item.message.data for item in opened.messages()] == ["hello"]
        (line,) = opened.skipped.told(opened.start_ns)
        assert line.startswith(
            "1 message on /words cannot be used, the first after 0.00 s: its 13 bytes are no"
        )


def test_another_robots_profile(bag, robot_profile, bundle):
    """Another robot's profile is refused by its joints."""
    joints = [joint.model_copy(update={"name": f"panda_{joint.name}"}) for joint in robot_profile.joints]
    other = robot_profile.model_copy(update={"joints": tuple(joints)})
    with open_bag(bag) as opened:
        source = RobotBag(opened, other)
        with pytest.raises(
            BagError,
            match=r"carries no positions of panda_shoulder.*carries shoulder, gripper.*choose the robot profile",
        ):
            next(source.joint_samples())
        with pytest.raises(BagError, match="moves the joints shoulder, elbow, gripper"):
            next(source.chunks())
