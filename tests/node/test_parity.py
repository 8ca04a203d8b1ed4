"""A bag and the live path give the same observation tensors."""

import numpy as np
from made_bags import BEGIN_NS, SECOND, whole_run
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image, JointState

from video2act_ros.core.synchroniser import Synchroniser
from video2act_ros.recording.datasets.drive_spans import find_spans
from video2act_ros.recording.datasets.observations import Sample, Sampler, read_commands, ticks
from video2act_ros.recording.reading.bag import open_bag
from video2act_ros.recording.reading.streams import RobotBag
from video2act_ros.ros.convert import JointStateMerger
from video2act_ros.ros.convert_images import frame_from_compressed, frame_from_image

TYPES = {
    "sensor_msgs/msg/Image": (Image, frame_from_image),
    "sensor_msgs/msg/CompressedImage": (CompressedImage, frame_from_compressed),
}


def live_observations(bag, profile, times_ns):
    """Give recorded bytes to what the live nodes' callbacks call, and ask as System 1 does."""
    thresholds = profile.thresholds
    inputs = Synchroniser(profile.camera_names, thresholds.camera_skew_s, thresholds.joint_state_age_s.stop)
    merger = JointStateMerger(profile)
    cameras = {f"/{camera.topic}": camera.name for camera in profile.cameras}
    joints = [f"/{source.topic}" for source in profile.joint_states]
    waiting, seen = list(times_ns), {}
    for raw in bag.raw_messages([*cameras, *joints]):
        while waiting and raw.time_ns > waiting[0] + SECOND // 10:
            seen[waiting[0]] = inputs.newest("lift the cube", not_after_ns=waiting[0])
            waiting.pop(0)
        if raw.topic in cameras:
            kind, convert = TYPES[raw.type]
            inputs.add_frame(convert(deserialize_message(raw.data, kind), cameras[raw.topic]))
        else:
            message = deserialize_message(raw.data, JointState)
            if (sample := merger.update(joints.index(raw.topic), message, raw.time_ns)) is not None:
                inputs.add_joints(sample)
    return seen


def test_a_bag_and_the_live_path_give_the_same_observations(tmp_path, robot_profile):
    """Same synchroniser, same conversions: images bit by bit, joints, stamps; from rclpy's and rosbags' messages."""
    with open_bag(whole_run(2.0).write(tmp_path / "bag")) as bag:
        robot = RobotBag(bag, robot_profile)
        (span,) = find_spans(robot)
        times_ns = [time_ns for time_ns in ticks(span, 10.0) if time_ns < BEGIN_NS + round(1.7 * SECOND)]
        sampled = list(Sampler(robot, read_commands(robot)).samples(span, times_ns))
        live = live_observations(bag, robot_profile, times_ns)
    assert len(sampled) == len(live) == len(times_ns) > 10
    for sample in sampled:
        assert isinstance(sample, Sample)
        other = live[sample.time_ns]
        assert sample.observation.image_stamps_ns == other.image_stamps_ns
        assert sample.observation.joint_stamp_ns == other.joint_stamp_ns
        assert np.array_equal(sample.observation.joints, other.joints)
        for name, image in other.images.items():
            assert np.array_equal(sample.observation.images[name], image)
