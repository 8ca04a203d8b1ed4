"""Messages and the project's types are converted without loss, or refused with a clear message."""

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image, JointState

from video2act_msgs.msg import ActionChunk as ActionChunkMessage
from video2act_msgs.msg import Latents
from video2act_ros.core.errors import InputError
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.core.types import ActionChunk, CameraFrame, LatentStream, LatentTokens
from video2act_ros.ros.convert import JointStateMerger, ns_to_stamp, stamp_to_ns
from video2act_ros.ros.convert_images import (
    IMAGE_MESSAGES,
    frame_from_compressed,
    frame_from_image,
    frame_from_message,
    image_from_frame,
    message_from_frame,
)
from video2act_ros.ros.convert_policy import (
    InputAges,
    chunk_from_message,
    from_bfloat16,
    latents_from_message,
    message_from_chunk,
    message_from_latents,
    to_bfloat16,
)

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
CHANNELS = {"rgb8": [0, 1, 2], "bgr8": [2, 1, 0], "rgba8": [0, 1, 2, 0], "bgra8": [2, 1, 0, 0]}


@given(stamp_ns=st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_keep_every_nanosecond(stamp_ns):
    """Capture stamps are exact."""
    assert stamp_to_ns(ns_to_stamp(stamp_ns)) == stamp_ns


@pytest.mark.parametrize("encoding", CHANNELS)
@pytest.mark.parametrize("padding", [0, 5])
def test_every_colour_encoding_becomes_the_same_rgb(encoding, padding):
    """`step` is honoured: rows may be padded."""
    pixels = RGB[..., CHANNELS[encoding]]
    rows = np.pad(pixels.reshape(5, -1), ((0, 0), (0, padding)), constant_values=99)
    message = Image(height=5, width=7, encoding=encoding, step=rows.shape[1], data=rows.tobytes())
    message.header.stamp = ns_to_stamp(123)
    frame = frame_from_image(message, "cam_high")
    np.testing.assert_array_equal(frame.image, RGB)
    assert (frame.camera, frame.stamp_ns) == ("cam_high", 123)


def test_grey_images_become_rgb():
    """mono8 repeats its one channel."""
    message = Image(height=5, width=7, encoding="mono8", step=7, data=RGB[..., 0].tobytes())
    np.testing.assert_array_equal(frame_from_image(message, "cam_high").image, RGB[..., [0, 0, 0]])


def test_an_rgb_image_is_not_copied():
    """The frame is a view of the message's bytes."""
    message = image_from_frame(CameraFrame("cam_high", 1, RGB))
    assert np.shares_memory(
        frame_from_image(message, "cam_high").image, np.frombuffer(message.data, np.uint8)
    )


def test_an_image_survives_the_wire():
    """The fast way of filling a message gives what the slow one would."""
    message = image_from_frame(CameraFrame("cam_high", 1_500_000_000, RGB))
    received = deserialize_message(serialize_message(message), Image)
    frame = frame_from_image(received, "cam_high")
    np.testing.assert_array_equal(frame.image, RGB)
    assert frame.stamp_ns == 1_500_000_000
    assert received.header.frame_id == "cam_high"


def test_compressed_images_are_decoded_to_rgb():
    """PNG is lossless, so equality is exact."""
    data = cv2.imencode(".png", RGB[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(frame_from_compressed(CompressedImage(data=data), "cam_high").image, RGB)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Image(height=5, width=7, encoding="16UC9", step=14, data=bytes(70)), "converts rgb8"),
        (Image(height=5, width=7, encoding="rgb8", step=21, data=bytes(100)), "105 bytes are needed"),
        (Image(height=5, width=7, encoding="rgb8", step=20, data=bytes(105)), "check the camera driver"),
        (Image(encoding="rgb8"), "check the camera driver"),
    ],
)
def test_images_that_cannot_be_used_are_refused(message, words):
    """The message names the camera and the remedy."""
    with pytest.raises(InputError, match=f"cam_high.*{words}"):
        frame_from_image(message, "cam_high")


@pytest.mark.parametrize(("transport", "loss"), [("raw", 0), ("compressed", 12)])
def test_a_frame_comes_back_from_either_transport(transport, loss):
    """Channel order, size, stamp and camera survive; JPEG costs a few grey levels of a smooth image."""
    rows, columns = np.mgrid[0:48, 0:64]
    image = np.stack([rows * 5, columns * 3, np.full((48, 64), 90)], axis=-1).astype(np.uint8)
    message = message_from_frame(CameraFrame("cam_high", 1_500_000_000, image), transport)
    assert type(message) is IMAGE_MESSAGES[transport]
    assert message.header.frame_id == "cam_high"
    frame = frame_from_message(message, "cam_high")
    assert (frame.camera, frame.stamp_ns) == ("cam_high", 1_500_000_000)
    assert np.abs(frame.image.astype(int) - image).max() <= loss


@pytest.mark.parametrize("data", [b"", b"no image"])
def test_compressed_rubbish_is_refused(data):
    """Bytes that are no image are named."""
    with pytest.raises(InputError, match="cannot be decoded"):
        frame_from_compressed(CompressedImage(format="jpeg", data=data), "cam_high")


# -- joints --------------------------------------------------------------------------------------------


def joint_state(stamp_ns, **positions):
    message = JointState(name=list(positions), position=list(positions.values()))
    message.velocity = [0.5 * value for value in positions.values()]
    message.header.stamp = ns_to_stamp(stamp_ns)
    return message


def test_joint_sources_are_merged_in_the_profiles_order_and_units(robot):
    """Any order, other joints and several topics: one sample with the oldest stamp, grippers in [0, 1]."""
    merger = JointStateMerger(load_robot_profile(robot))
    assert merger.update(0, joint_state(10, wheel=9.0, elbow=0.2, shoulder=0.1), now_ns=99) is None
    assert merger.missing == ("gripper",)
    sample = merger.update(1, joint_state(12, gripper=0.01), now_ns=99)
    np.testing.assert_allclose(sample.positions, [0.1, 0.2, 0.25])
    np.testing.assert_allclose(sample.velocities, [0.05, 0.1, 0.125])
    assert sample.stamp_ns == 10
    assert merger.update(0, joint_state(0, elbow=0.2, shoulder=0.1), now_ns=99).stamp_ns == 12


def test_joint_names_may_differ(robot):
    """`names` in the profile maps ours to theirs."""
    content = yaml.safe_load(robot.read_text())
    content["joint_states"] = [{"topic": "joint_states", "names": {"elbow": "joint_2"}}]
    robot.write_text(yaml.safe_dump(content))
    merger = JointStateMerger(load_robot_profile(robot))
    sample = merger.update(0, joint_state(1, shoulder=0.1, joint_2=0.3, gripper=0.0), now_ns=0)
    np.testing.assert_allclose(sample.positions, [0.1, 0.3, 0.0])


def test_joint_states_that_cannot_be_used_are_refused(robot):
    """NaN, foreign names and unequal lengths are each named."""
    merger = JointStateMerger(load_robot_profile(robot))
    with pytest.raises(InputError, match="NaN or infinite positions for elbow"):
        merger.update(0, joint_state(1, elbow=float("nan"), shoulder=0.0), now_ns=0)
    with pytest.raises(InputError, match="none of the profile's"):
        merger.update(0, joint_state(1, wheel=0.0), now_ns=0)
    with pytest.raises(InputError, match="2 names and 1 positions"):
        merger.update(0, JointState(name=["elbow", "shoulder"], position=[0.0]), now_ns=0)
    assert merger.missing == ("shoulder", "elbow", "gripper")


def test_a_message_without_any_of_our_joints_is_passed_over(robot):
    """A base's wheels on the arm's topic are no mistake; where nothing else comes, they are what is told."""
    merger = JointStateMerger(load_robot_profile(robot))
    assert merger.passes_over(0, joint_state(1, wheel=0.0))
    assert "carries wheel, but not shoulder, elbow" in merger.gaps[0]
    assert not merger.passes_over(0, joint_state(1, shoulder=0.0, wheel=0.0))
    merger.update(0, joint_state(2, shoulder=0.0), now_ns=0)
    assert merger.passes_over(0, joint_state(3, wheel=0.0))
    assert "carries shoulder, but not elbow" in merger.gaps[0]
    assert not merger.passes_over(0, JointState(name=["wheel"], position=[]))  # refused by `update`


# -- latents and chunks --------------------------------------------------------------------------------


def latents(tokens):
    return LatentTokens(
        stream=LatentStream.MOTION,
        stamp_ns=5_000_000_007,
        sequence=3,
        epoch=2,
        tokens=tokens,
        features_id="f",
        bundle_id="b",
        frame_stamps_ns=(4, 5_000_000_007),
        instruction="lift",
        compute_time_s=0.25,
    )


@given(st.lists(st.floats(-(2.0**127), 2.0**127, width=32), min_size=6, max_size=6))
def test_bfloat16_rounds_to_the_nearest(values):
    """The error is at most half a step of 8 significant bits, and bfloat16 numbers stay what they are."""
    array = np.array(values, np.float32)
    rounded = from_bfloat16(to_bfloat16(array))
    assert np.all(np.abs(rounded - array) <= np.maximum(np.abs(array) * 2.0**-8, 1e-40))
    np.testing.assert_array_equal(from_bfloat16(to_bfloat16(rounded)), rounded)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0.0), ("float16", 2**-11), ("bfloat16", 2**-8)])
def test_latents_survive_the_wire(dtype, tolerance):
    """Every field comes back; float32 exactly."""
    tokens = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    sent = latents(tokens)
    message = deserialize_message(serialize_message(message_from_latents(sent, dtype, "cam_high")), Latents)
    back = latents_from_message(message)
    np.testing.assert_allclose(back.tokens, tokens, rtol=tolerance)
    for name in ("stream", "stamp_ns", "sequence", "epoch", "features_id", "bundle_id", "frame_stamps_ns"):
        assert getattr(back, name) == getattr(sent, name)
    assert (back.instruction, back.compute_time_s) == ("lift", 0.25)


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, "float32"), (np.inf, "bfloat16"), (1e5, "float16")])
def test_latents_that_are_not_finite_are_not_sent(value, dtype):
    """A diverged video model is told at its source."""
    with pytest.raises(InputError, match="not finite"):
        message_from_latents(latents(np.full((1, 2), value, np.float32)), dtype, "")


def test_latents_that_contradict_themselves_are_refused():
    """Shape, dtype, stream and values are checked on arrival."""
    for change in ({"shape": [4, 7]}, {"dtype": "float64"}, {"stream": "sound"}, {"shape": [24]}):
        message = message_from_latents(latents(np.zeros((4, 6), np.float32)), "float32", "")
        for name, value in change.items():
            setattr(message, name, value)
        with pytest.raises(InputError):
            latents_from_message(message)
    message = message_from_latents(latents(np.zeros((4, 6), np.float32)), "float32", "")
    message.data = np.full(24, np.nan, np.float32).tobytes()
    with pytest.raises(InputError, match="NaN"):
        latents_from_message(message)


def chunk():
    return ActionChunk(
        stamp_ns=1_000_000_001,
        sequence=4,
        epoch=2,
        step_s=0.04,
        joint_names=("a", "b"),
        positions=np.arange(6.0).reshape(3, 2),
        instruction="lift",
        bundle_id="b",
        features_id="f",
        seed=11,
        image_stamps_ns=(1, 2),
        joint_stamp_ns=3,
        latent_sequence=9,
        latent_stamp_ns=8,
        compute_time_s=0.125,
        committed=1,
        prefix=np.array([[0.5, 0.25]]),
        guidance=np.array([[0.5, 0.25], [0.75, 0.125]]),
        joints=np.array([0.1, 0.2]),
        previous_image_stamps_ns=(4, 5),
        previous_joint_stamp_ns=6,
        previous_joints=np.array([0.3, 0.4]),
        checksums={"images": 2**32 - 1, "noise": 7},
    )


def test_a_chunk_survives_the_wire():
    """Every field comes back, so that a recording can be replayed exactly."""
    message = message_from_chunk(chunk(), InputAges((0.1, 0.2), 0.3, 0.4))
    received = deserialize_message(serialize_message(message), ActionChunkMessage)
    assert (list(received.image_ages), received.joint_age, received.latent_age) == ([0.1, 0.2], 0.3, 0.4)
    back, sent = chunk_from_message(received), chunk()
    for name in ActionChunk.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(back, name), getattr(sent, name), err_msg=name)


def test_chunks_that_contradict_themselves_are_refused():
    """Sizes and values are checked on arrival."""
    for change in ({"horizon": 4}, {"committed": 2}, {"joint_names": []}, {"positions": [float("nan")] * 6}):
        message = message_from_chunk(chunk(), InputAges())
        for name, value in change.items():
            setattr(message, name, value)
        with pytest.raises(InputError):
            chunk_from_message(message)
