"""How fast a bag of three VGA cameras and joints is replayed to another process without loss.

.venv/bin/python scripts/bench_replay.py [SECONDS] [RATE ...]
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.recording.reading.message_types import default_typestore
from video2act_ros.ros import environment

SECOND = 10**9
BEGIN_NS = 1_700_000_000 * SECOND
CAMERA_HZ, JOINT_HZ = 30, 100


def write_bag(folder: Path, seconds: float) -> None:
    """Write a bag of the ALOHA profile: 3 x 640 x 480 x 30 Hz of noise, joints at 100 Hz."""
    store = default_typestore()
    types = store.types
    profile = load_robot_profile(environment.resolve_profile("aloha_sim"))
    start = np.array([joint.start for joint in profile.joints])
    pixels = np.random.default_rng(0).integers(0, 256, 640 * 480 * 3, dtype=np.uint8)

    def header(time_ns: int) -> object:
        stamp = types["builtin_interfaces/msg/Time"](sec=time_ns // SECOND, nanosec=time_ns % SECOND)
        return types["std_msgs/msg/Header"](stamp=stamp, frame_id="")

    image, joints = "sensor_msgs/msg/Image", "sensor_msgs/msg/JointState"
    rows = [
        (index * SECOND // CAMERA_HZ, camera.topic, image)
        for index in range(round(seconds * CAMERA_HZ))
        for camera in profile.cameras
    ]
    rows += [
        (index * SECOND // JOINT_HZ, "joint_states", joints) for index in range(round(seconds * JOINT_HZ))
    ]
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for offset_ns, topic, kind in sorted(rows):
            if topic not in connections:
                connections[topic] = writer.add_connection(f"/{topic}", kind, typestore=store)
            stamp = header(BEGIN_NS + offset_ns)
            if kind == image:
                made = types[kind](stamp, 480, 640, "rgb8", 0, 1920, pixels)
            else:
                made = types[kind](stamp, list(profile.joint_names), start, np.zeros(0), np.zeros(0))
            writer.write(connections[topic], BEGIN_NS + offset_ns, store.serialize_cdr(made, kind))


def main() -> None:
    """Replay at each rate (0: as fast as possible) and print what arrived."""
    environment.prepare(may_restart=True)
    import rclpy
    from sensor_msgs.msg import Image, JointState
    from std_msgs.msg import String

    from video2act_msgs.srv import NewEpisode
    from video2act_ros.core.model_swap import BundleStatus
    from video2act_ros.ros import qos
    from video2act_ros.ros.bundle_switch import SYSTEMS, bundle_status_topic
    from video2act_ros.ros.process import make_executor
    from video2act_ros.ros.runner import StackRunner
    from video2act_ros.ros.stack import REPLAY_NODE

    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    rates = sys.argv[2:] or ["1", "2", "4", "8", "0"]
    rclpy.init()
    node = rclpy.create_node("bench_replay")
    received: Counter[str] = Counter()

    def count(topic: str, _data: bytes) -> None:
        received[topic] += 1

    for topic in ("cam_high", "cam_right_wrist", "cam_left_wrist"):
        name = f"{topic}/image_raw"
        node.create_subscription(Image, name, partial(count, name), qos.CAMERA, raw=True)
    node.create_subscription(
        JointState, "joint_states", partial(count, "joint_states"), qos.JOINT_STATES, raw=True
    )
    node.create_service(NewEpisode, "new_episode", lambda _request, response: response)
    up = String(data=BundleStatus(bundle_id="listens").to_json())  # as both systems tell when they listen
    for system in SYSTEMS:
        node.create_publisher(String, bundle_status_topic(system), qos.LATCHED).publish(up)
    executor = make_executor()
    executor.add_node(node)
    with tempfile.TemporaryDirectory() as folder:
        bag, report = Path(folder, "bag"), Path(folder, "report.json")
        write_bag(bag, seconds)
        for rate in rates:
            received.clear()
            given = {"bag": str(bag), "rate": rate, "report": str(report)}
            changed = threading.Condition()
            with StackRunner((REPLAY_NODE,), given, Path(folder, "logs")) as runner:
                runner.watch(changed)
                while runner.running():
                    executor.spin_once(timeout_sec=0.1)
            for _ in range(20):
                executor.spin_once(timeout_sec=0.05)
            content = json.loads(report.read_text())
            sent = sum(content["messages"].values())
            lost = sent - sum(received.values())
            delays = " ".join(
                f"{name} {1e3 * content[f'delay_{name}_s']:.2f} ms" for name in ("p50", "p99", "max")
            )
            sys.stdout.write(
                f"rate {rate}: {content['speed']:.2f} x real time, {sent} sent, {lost} lost, {delays}\n"
            )
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
