"""Both systems in lock-step on made-up cameras and joints: a bag of fixed content, as `ros2 bag record` makes them."""

import math
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from video2act_ros.bundles.load import load_encoder, load_policy
from video2act_ros.core.latent_pairs import LatentPairs
from video2act_ros.core.stages import FRAMES, Stages
from video2act_ros.core.synchroniser import Synchroniser
from video2act_ros.core.types import NS_PER_S, LatentStream, seconds_to_ns
from video2act_ros.recording.reading.decode import JointStateMerger, latents_from_message, store_latents
from video2act_ros.recording.reading.decode_images import frame_from_compressed, frame_from_image
from video2act_ros.recording.reading.message_types import default_typestore
from video2act_ros.system1.realtime_chunking import Prefix, soft_weights
from video2act_ros.system2.frame_history import FrameHistory

STORE = default_typestore()
START_NS = 1_700_000_000 * NS_PER_S
TICK_NS = seconds_to_ns(
    0.01
)  # joints; a frame of each camera every fifth, an update every 30th, a chunk every 25th


def make(name, /, **fields):
    """A rosbags message object; fields that are not given are zero or empty."""
    definition = STORE.fielddefs[name]
    values = {field: fields.get(field, _empty(kind)) for field, kind in definition[1]}
    assert not set(fields) - set(values), set(fields) - set(values)
    return STORE.types[name](**values)


def _empty(kind):
    node, detail = kind
    if node == 1:  # base type
        name = detail[0] if isinstance(detail, tuple) else detail
        return "" if name == "string" else (name == "bool" and False) or 0
    if node == 2:  # message
        return make(detail)
    base = detail[0]
    name = base[1][0] if isinstance(base[1], tuple) else base[1]
    if base[0] == 1 and name != "string":
        return np.zeros(0, dtype={"byte": "uint8"}.get(name, name))
    return []


def stamp(time_ns):
    return make("builtin_interfaces/msg/Time", sec=time_ns // NS_PER_S, nanosec=time_ns % NS_PER_S)


def header(time_ns):
    return make("std_msgs/msg/Header", stamp=stamp(time_ns))


def image_message(camera, time_ns, pixels):
    """An (H, W, 3) uint8 RGB image on its way from the camera: raw, or PNG where the profile says compressed."""
    if camera.transport == "compressed":
        data = cv2.imencode(".png", pixels[..., ::-1])[1]
        return make("sensor_msgs/msg/CompressedImage", header=header(time_ns), format="png", data=data)
    height, width, _ = pixels.shape
    return make(
        "sensor_msgs/msg/Image",
        header=header(time_ns),
        height=height,
        width=width,
        encoding="rgb8",
        step=3 * width,
        data=pixels.reshape(-1).copy(),
    )


def scene(index, camera_index, size):
    """A smooth (H, W, 3) uint8 picture with a spot that wanders: the same on every machine (integers only)."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    spot_x, spot_y = (7 * index + 11 * camera_index) % width, (5 * index) % height
    near = np.maximum(0, 255 - 8 * (np.abs(x - spot_x) + np.abs(y - spot_y)))
    planes = [(3 * x + 40 * camera_index) % 256, (2 * y + 3 * index) % 256, near]
    return np.stack(planes, axis=-1).astype(np.uint8)


class LockStep:
    """Writes a bag of what both systems do, computed by the functions that the nodes call."""

    def __init__(
        self,
        folder,
        profile,
        bundle,
        *,
        storage="mcap",
        namespace="",
        size=(32, 32),
        edit=None,
        guided=True,
        compressed=False,
    ):
        self.profile, self.namespace, self.size = profile, namespace, size
        self.edit = edit or (lambda name, message: message)
        plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
        self.writer = Writer(folder, version=9, storage_plugin=plugin)
        if compressed:
            self.writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self.writer.open()
        self.connections = {}
        self.time_ns, self.tick = START_NS, 0
        self.updates = self.chunks = 0
        self.epoch, self.instruction = 5, None
        self.offset_ns = 0  # of the clock that stamps
        self.pairs = LatentPairs()
        self.use(bundle)
        thresholds = profile.thresholds
        self.inputs = Synchroniser(
            self.policy.section.policy.images.cameras,
            thresholds.camera_skew_s,
            thresholds.joint_state_age_s.stop,
        )
        self.merger = JointStateMerger(profile)

    def use(self, bundle):
        """Change to another bundle, both systems at once."""
        self.encoder, self.policy = load_encoder(Path(bundle), "cpu"), load_policy(Path(bundle), "cpu")
        config = self.encoder.section.encoder
        self.history = FrameHistory(
            config.frame_period_s, config.window_frames, prepare=self.encoder.encoder.prepare_frame
        )
        self.instruction = self.instruction or self.policy.manifest.instructions[0]

    def write(self, name, msgtype, message):
        """Write a message on a topic; what `edit` makes of it is recorded, the systems saw the original."""
        message = self.edit(name, message)
        if message is None:
            return
        if name not in self.connections:
            topic = name if name.startswith("/") else f"{self.namespace}/{name}"
            self.connections[name] = self.writer.add_connection(topic, msgtype, typestore=STORE)
        self.writer.write(self.connections[name], self.time_ns, STORE.serialize_cdr(message, msgtype))

    def run(self, seconds):
        """Go on for some time."""
        for _ in range(round(seconds * NS_PER_S / TICK_NS)):
            self.step()

    def close(self):
        self.writer.close()

    def step(self):
        if self.tick % 10 == 0:
            self.run_state()
        self.joints()
        if self.tick % 5 == 0:
            self.images()
        if self.tick % 30 == 10:
            self.update()
        if self.tick % 25 == 20:
            self.chunk()
        self.tick += 1
        self.time_ns += TICK_NS

    @property
    def now_ns(self):
        return self.time_ns + self.offset_ns

    def run_state(self):
        fields = {"state": "shadow", "source": "policy", "epoch": self.epoch, "instruction": self.instruction}
        self.write("run_state", "video2act_msgs/msg/RunState", make("video2act_msgs/msg/RunState", **fields))

    def joints(self):
        for index, source in enumerate(self.profile.joint_states):
            mine = [
                name
                for i, name in enumerate(self.profile.joint_names)
                if i % len(self.profile.joint_states) == index
            ]
            middle = self.profile.array("start")
            positions = [
                middle[self.profile.joint_names.index(name)] + 0.01 * math.sin(0.05 * self.tick + len(name))
                for name in mine
            ]
            names = [source.names.get(name, name) for name in mine]
            message = make(
                "sensor_msgs/msg/JointState",
                header=header(self.now_ns - 1000),
                name=names,
                position=np.array(positions),
            )
            self.write(source.topic, "sensor_msgs/msg/JointState", message)
            sample = self.merger.update(index, message, self.now_ns)
            if sample is not None:
                self.inputs.add_joints(sample)

    def images(self):
        for index, camera in enumerate(self.profile.cameras):
            message = image_message(
                camera, self.now_ns - 3000 - index, scene(self.tick // 5, index, self.size)
            )
            compressed = camera.transport == "compressed"
            msgtype = "sensor_msgs/msg/CompressedImage" if compressed else "sensor_msgs/msg/Image"
            self.write(camera.topic, msgtype, message)
            frame = (frame_from_compressed if compressed else frame_from_image)(message, camera.name)
            if camera.name in self.policy.section.policy.images.cameras:
                self.inputs.add_frame(frame)
            if camera.name == self.encoder.section.encoder.camera:
                self.history.add(frame)

    def update(self):
        window, stages = self.history.window(), Stages()
        features = self.encoder.encoder.update_prepared(
            window.images, self.encoder.instructions[self.instruction]
        )
        stages.add(FRAMES, *(frame[stream] for frame in window.images for stream in LatentStream))
        for stream in LatentStream:
            dtype = self.encoder.section.encoder.dtype
            message = make(
                "video2act_msgs/msg/Latents",
                header=header(window.stamp_ns),
                sequence=self.updates,
                epoch=self.epoch,
                stream=stream.value,
                bundle_id=self.encoder.bundle_id,
                features_id=self.encoder.section.features_id,
                frame_stamps=[stamp(time_ns) for time_ns in window.stamps_ns],
                instruction=self.instruction,
                shape=np.array(features[stream].shape, dtype=np.uint32),
                dtype=dtype,
                data=np.frombuffer(store_latents(features[stream], dtype).tobytes(), np.uint8),
                stages=list(stages.checksums),
                checksums=np.array(list(stages.checksums.values()), dtype=np.uint32),
            )
            self.pairs.add(latents_from_message(message))
            self.write(f"latents/{stream.value}", "video2act_msgs/msg/Latents", message)
        self.updates += 1

    def chunk(self):
        pair, loaded, stages = self.pairs.newest, self.policy, Stages()
        seen = self.inputs.newest(self.instruction)
        policy, names = loaded.section.policy, loaded.section.joint_names
        prefix = self.prefix(seen) if self.chunks % 2 else None
        previous = None
        if policy.images.history == 2:
            step_ns = seconds_to_ns(1.0 / policy.ctrl_freq_hz)
            previous = self.inputs.newest("", not_after_ns=seen.stamp_ns - step_ns)
        positions = loaded.policy.predict(
            seen,
            pair,
            loaded.instructions[self.instruction],
            seed=self.chunks % 3,
            previous=previous,
            prefix=prefix,
            stages=stages,
        )
        message = make(
            "video2act_msgs/msg/ActionChunk",
            header=header(seen.stamp_ns),
            sequence=self.chunks,
            epoch=self.epoch,
            image_stamps=[stamp(seen.image_stamps_ns[name]) for name in policy.images.cameras],
            joint_stamp=stamp(seen.joint_stamp_ns),
            joint_positions=seen.joints,
            **self.earlier(previous, policy.images.cameras),
            latent_sequence=pair.sequence,
            latent_stamp=stamp(pair.stamp_ns),
            features_id=loaded.section.features_id,
            instruction=self.instruction,
            step=policy.action_step_s,
            joint_names=list(names),
            horizon=len(positions),
            positions=positions.ravel(),
            committed=0 if prefix is None else prefix.frozen,
            prefix=np.zeros(0) if prefix is None else prefix.frozen_positions.ravel(),
            guidance=np.zeros(0) if prefix is None else prefix.positions.ravel(),
            bundle_id=loaded.bundle_id,
            seed=self.chunks % 3,
            stages=list(stages.checksums),
            checksums=np.array(list(stages.checksums.values()), dtype=np.uint32),
        )
        self.write("action_chunk", "video2act_msgs/msg/ActionChunk", message)
        self.chunks += 1

    def earlier(self, previous, cameras):
        """What a chunk tells of the earlier observation."""
        if previous is None:
            return {}
        return {
            "previous_image_stamps": [stamp(previous.image_stamps_ns[name]) for name in cameras],
            "previous_joint_stamp": stamp(previous.joint_stamp_ns),
            "previous_joint_positions": previous.joints,
        }

    def prefix(self, seen):
        """Freeze two actions and guide two more."""
        return Prefix(np.tile(seen.joints, (4, 1)) + 0.001, soft_weights(2, 4), 2)


def record(folder, profile, bundle, seconds=2.0, **options):
    """Write such a bag and return its folder."""
    stack = LockStep(folder, profile, bundle, **options)
    stack.run(seconds)
    stack.close()
    return folder
