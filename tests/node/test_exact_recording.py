"""What real nodes publish, recorded byte by byte, is computed again from the bag alone."""

import threading
from functools import partial

import pytest
from rclpy.node import Node
from rosbags.rosbag2 import StoragePlugin, Writer
from sensor_msgs.msg import CompressedImage, Image, JointState

from video2act_msgs.msg import ActionChunk, Latents, RunState
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.recording.exact.exact import ReplayOptions, exact_replay
from video2act_ros.recording.reading.message_types import default_typestore
from video2act_ros.ros import qos
from video2act_ros.ros.convert_policy import chunk_from_message

TOPICS = {
    "cam_high/image_raw": (Image, qos.CAMERA),
    "cam_wrist/image_raw/compressed": (CompressedImage, qos.CAMERA),
    "arm/joint_states": (JointState, qos.JOINT_STATES),
    "gripper/joint_states": (JointState, qos.JOINT_STATES),
    "latents/spatial": (Latents, qos.LATENTS),
    "latents/motion": (Latents, qos.LATENTS),
    "action_chunk": (ActionChunk, qos.DATA),
    "run_state": (RunState, qos.LATCHED),
}


class RawRecorder(Node):
    """Keeps the bytes of every message, as `ros2 bag record` does."""

    def __init__(self, context):
        super().__init__("raw_recorder", context=context)
        self.lock, self.messages = threading.Lock(), []
        for topic, (kind, profile) in TOPICS.items():
            self.create_subscription(kind, topic, partial(self.keep, topic), profile, raw=True)

    def keep(self, topic, data):
        with self.lock:
            self.messages.append((topic, self.get_clock().now().nanoseconds, data))

    def save(self, folder):
        with self.lock:
            messages = list(self.messages)
        store = default_typestore()
        with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            connections = {}
            for topic, time_ns, data in messages:
                if topic not in connections:
                    kind = TOPICS[topic][0]
                    msgtype = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
                    connections[topic] = writer.add_connection(f"/{topic}", msgtype, typestore=store)
                writer.write(connections[topic], time_ns, data)
        return folder


@pytest.fixture
def recorder(context, spinner):
    return spinner.add(RawRecorder(context))


@pytest.mark.parametrize("history", [1, 2])
def test_live_and_recorded_inputs_give_the_same_bits(
    recorder, world, make_node, request, robot, robot_profile, tmp_path, history
):
    """Images, joints, latents and chunks: the bag gives the same tensors as the live path, and the same results."""
    bundle = request.getfixturevalue("bundle" if history == 1 else "two_images_bundle")
    common = {"bundle": str(bundle), "robot": str(robot), "rate_hz": 10.0}
    make_node(System2Node, **common)
    make_node(System1Node, seed=3, **common)
    world.run_state(epoch=4)
    world.wait_for_more("chunk", 6)
    chunk = chunk_from_message(world.newest("chunk"))
    assert set(chunk.checksums) == {"images", "joints", "vision", "noise"}
    assert bool(chunk.previous_image_stamps_ns) == (history == 2)
    report = exact_replay(
        ReplayOptions(recorder.save(tmp_path / "bag"), robot_profile, (bundle.parent,), partial=True)
    )
    assert report["chunks"] >= 4
    assert report["latents"] >= 2
    assert report["max_abs_diff"] == 0.0, report
    assert report["first_differing_stage"] is None, report
