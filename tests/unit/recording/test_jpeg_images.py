"""Images in bags as JPEG: the same pixels but for the codec, on the topic where players look for them."""

import queue
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

from video2act_ros.recording.writing import jpeg_images
from video2act_ros.recording.writing.bag_records import RecordedMessage, RecordedTopic
from video2act_ros.recording.writing.jpeg_images import COMPRESSED_IMAGE, IMAGE, JpegCompressor

from .bags import STORE

TOPIC = RecordedTopic("/cam/image_raw", IMAGE)
FROM_RGB = {"rgb8": None, "bgr8": cv2.COLOR_RGB2BGR, "rgba8": cv2.COLOR_RGB2RGBA, "mono8": cv2.COLOR_RGB2GRAY}


def image(encoding, pixels, padding=0):
    """An Image message whose rows are `padding` bytes longer than its pixels."""
    rows = pixels.reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    types = STORE.types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](12, 34), "optical")
    message = types[IMAGE](
        header, pixels.shape[0], pixels.shape[1], encoding, 0, rows.shape[1], rows.reshape(-1)
    )
    return RecordedMessage(TOPIC, 5, 4, bytes(STORE.serialize_cdr(message, IMAGE)), 7)


def smooth():
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    return np.stack(
        [np.tile(ramp, (48, 1)), np.tile(ramp[::-1], (48, 1)), np.full((48, 64), 90, np.uint8)], -1
    )


@pytest.fixture
def compressor():
    handed = []
    compressor = JpegCompressor(95, 1 << 30, handed.append)
    compressor.handed = handed
    yield compressor
    compressor.stop()


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", FROM_RGB)
def test_the_decoded_image_shows_the_same_colours(compressor, encoding, padding):
    """Red stays red, whatever the order of the channels; stamp and frame stay."""
    conversion = FROM_RGB[encoding]
    pixels = smooth() if conversion is None else cv2.cvtColor(smooth(), conversion)
    result = compressor.encode(image(encoding, pixels, padding))
    assert (result.topic.name, result.topic.type) == ("/cam/image_raw/compressed", COMPRESSED_IMAGE)
    assert (result.log_ns, result.publish_ns, result.sequence) == (5, 4, 7)
    message = STORE.deserialize_cdr(result.data, COMPRESSED_IMAGE)
    assert (message.header.stamp.sec, message.header.frame_id) == (12, "optical")
    assert message.format == f"{encoding}; jpeg compressed {'mono8' if encoding == 'mono8' else 'bgr8'}"
    decoded = cv2.imdecode(message.data, cv2.IMREAD_COLOR)
    expected = cv2.cvtColor(smooth(), cv2.COLOR_RGB2BGR)
    if encoding == "mono8":
        expected = cv2.cvtColor(cv2.cvtColor(smooth(), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2BGR)
    assert np.abs(decoded.astype(int) - expected).mean() < 3


def test_depth_images_stay_as_they_are(compressor):
    """JPEG would spoil them."""
    message = image("16UC1", np.zeros((4, 8), np.uint8))
    assert compressor.encode(message) is message


def test_everything_handed_over_comes_out_and_what_is_too_much_is_counted():
    """Stopping waits; beyond the queue's size images are dropped, never waited for."""
    done = []
    compressor = JpegCompressor(90, 1 << 20, done.append)
    message = image("rgb8", np.zeros((480, 640, 3), np.uint8))
    for _ in range(40):
        compressor.put(message)
    compressor.stop()
    assert len(done) + compressor.dropped.get("/cam/image_raw", 0) == 40
    assert done


def test_what_is_not_encoded_waits_for_no_image_and_draining_only_for_those_before(monkeypatch):
    """Encoders that fall behind keep neither the run state of a fault out of the bag nor its end waiting."""
    handed, gates, begun = [], [threading.Event() for _ in range(3)], queue.SimpleQueue()
    compressor = JpegCompressor(95, 1 << 30, handed.append)

    def encode(message):
        begun.put(message.sequence)
        assert gates[message.sequence].wait(20.0)
        return message

    monkeypatch.setattr(compressor, "encode", encode)
    monkeypatch.setattr(jpeg_images, "PATIENCE_S", 0.0)
    first, second, later = (replace(image("rgb8", smooth()), sequence=number) for number in range(3))
    compressor.put(first)
    compressor.put(second)
    state = replace(first, topic=RecordedTopic("/run_state", "video2act_msgs/msg/RunState"), sequence=9)
    compressor.pass_on(state)
    assert handed == [state]
    drained = threading.Thread(target=compressor.drain, args=(20.0,))
    gates[1].set()
    begun.get(timeout=20.0), begun.get(timeout=20.0)
    drained.start()
    compressor.put(later)
    assert drained.is_alive()
    gates[0].set()
    drained.join(20.0)
    assert not drained.is_alive()
    assert handed == [state, first, second]
    gates[2].set()
    compressor.stop()
    assert handed == [state, first, second, later]
