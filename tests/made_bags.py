"""Bags of the test robot, made without ROS: what is in them is a plain function of time."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from video2act_ros.recording.reading.message_types import default_typestore

STORE = default_typestore()
SECOND = 10**9
BEGIN_NS = 1_700_000_000 * SECOND
IMAGE_LAG_NS = 30_000_000  # capture to receipt
JOINT_LAG_NS = 2_000_000


def message(kind, **values):
    """Return a message with every other field at zero."""
    made = STORE.types[kind]
    for name, (node, detail) in STORE.fielddefs[kind][1]:
        if name not in values:
            values[name] = _zero(node, detail)
    return made(**values)


def _zero(node, detail):
    if node.name == "BASE":
        return "" if detail[0] == "string" else False if detail[0] == "bool" else 0
    if node.name == "NAME":
        return message(detail)
    item, count = detail
    if item[0].name != "BASE" or item[1][0] == "string":
        return []
    return np.zeros(count if node.name == "ARRAY" else 0, dtype=item[1][0])


def stamp(time_ns):
    return message("builtin_interfaces/msg/Time", sec=time_ns // SECOND, nanosec=time_ns % SECOND)


def header(time_ns):
    return message("std_msgs/msg/Header", stamp=stamp(time_ns))


def joints_at(time_ns):
    """Shoulder, elbow [rad] and gripper [m] at a time."""
    t = (time_ns - BEGIN_NS) / SECOND
    return 0.1 * t, -0.2 * t, 0.01 + 0.001 * t


def commanded_at(time_ns):
    """What is commanded at a time: a little ahead of the joints."""
    return joints_at(time_ns + SECOND // 10)


def picture(time_ns, side=32):
    """The image captured at a time, (side, side, 3) uint8 RGB: smooth, so that codecs keep it."""
    grey = (time_ns // 10_000_000) % 200
    ramp = np.linspace(0, 50, side)[:, None] + np.zeros((side, side))
    return np.stack([grey + ramp, 200 - grey / 2 + 0 * ramp, ramp * 2], axis=-1).astype(np.uint8)


@dataclass
class MadeBag:
    """Rows of a bag, to be changed before they are written."""

    namespace: str = ""
    rows: list = field(default_factory=list)  # (time of receipt [ns], topic, type, message)

    def add(self, time_ns, topic, kind, made):
        self.rows.append((time_ns, f"{self.namespace}/{topic}", kind, made))

    def cameras(self, from_s, to_s, hz=20, shift_ns=0, only=("cam_high", "cam_wrist")):
        for stamp_ns in times(from_s, to_s, hz):
            seen = stamp_ns + IMAGE_LAG_NS
            pixels = picture(stamp_ns)
            if "cam_high" in only:
                raw = {"height": 32, "width": 32, "encoding": "rgb8", "step": 96, "data": pixels.reshape(-1)}
                kind = "sensor_msgs/msg/Image"
                self.add(
                    seen, "cam_high/image_raw", kind, message(kind, header=header(stamp_ns + shift_ns), **raw)
                )
            if "cam_wrist" in only:
                data = cv2.imencode(".png", pixels[..., ::-1])[1].reshape(-1)
                kind = "sensor_msgs/msg/CompressedImage"
                made = message(kind, header=header(stamp_ns + shift_ns), format="png", data=data)
                self.add(seen, "cam_wrist/image_raw/compressed", kind, made)
        return self

    def joints(self, from_s, to_s, hz=50, shift_ns=0, names=("shoulder", "elbow", "gripper")):
        kind = "sensor_msgs/msg/JointState"
        for stamp_ns in times(from_s, to_s, hz):
            values = np.array(joints_at(stamp_ns))
            for topic, part in (("arm/joint_states", slice(0, 2)), ("gripper/joint_states", slice(2, 3))):
                made = message(
                    kind, header=header(stamp_ns + shift_ns), name=list(names[part]), position=values[part]
                )
                self.add(stamp_ns + JOINT_LAG_NS, topic, kind, made)
        return self

    def commands(self, from_s, to_s, hz=50):
        kind, point = "trajectory_msgs/msg/JointTrajectory", "trajectory_msgs/msg/JointTrajectoryPoint"
        for stamp_ns in times(from_s, to_s, hz):
            points = [message(point, positions=np.array(commanded_at(stamp_ns)))]
            made = message(
                kind, header=header(stamp_ns), joint_names=["shoulder", "elbow", "gripper"], points=points
            )
            self.add(stamp_ns, "commands", kind, made)
        return self

    def run_states(
        self, from_s, to_s, hz=10, state="engaged", episode=1, source="policy", task="lift the cube"
    ):
        kind = "video2act_msgs/msg/RunState"
        begin = stamp(BEGIN_NS + round(from_s * SECOND))
        for stamp_ns in times(from_s, to_s, hz):
            made = message(
                kind,
                header=header(stamp_ns),
                state=state,
                source=source,
                epoch=episode,
                episode=episode,
                episode_stamp=begin,
                epoch_stamp=begin,
                instruction=task,
            )
            self.add(stamp_ns, "run_state", kind, made)
        return self

    def success(self, at_s, value=True):
        kind = "std_msgs/msg/Bool"
        self.add(BEGIN_NS + round(at_s * SECOND), "task_success", kind, message(kind, data=value))
        return self

    def write(self, folder, storage=StoragePlugin.MCAP):
        with Writer(folder, version=9, storage_plugin=storage) as writer:
            connections = {}
            for time_ns, topic, kind, made in sorted(self.rows, key=lambda row: row[0]):
                if (topic, kind) not in connections:
                    connections[topic, kind] = writer.add_connection(topic, kind, typestore=STORE)
                writer.write(connections[topic, kind], time_ns, STORE.serialize_cdr(made, kind))
        return folder


def times(from_s, to_s, hz):
    """Capture times [ns] from one time after the begin to before another, at a rate."""
    count = round((to_s - from_s) * hz)
    return [BEGIN_NS + round((from_s + index / hz) * SECOND) for index in range(count)]


def whole_run(seconds=2.0, namespace=""):
    """Cameras, joints, commands and run states of one engaged episode."""
    bag = MadeBag(namespace)
    return bag.cameras(0, seconds).joints(0, seconds).commands(0, seconds).run_states(0, seconds)
