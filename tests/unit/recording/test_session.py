"""What a recorder does with messages: the failure of one bag, one image or one topic touches nothing else."""

import threading

import numpy as np
import pytest
from conditions import until

from video2act_ros.core.errors import BagError
from video2act_ros.recording.writing import jpeg_images
from video2act_ros.recording.writing.bag_records import OfferedQos, RecordedMessage, RecordedTopic
from video2act_ros.recording.writing.jpeg_images import IMAGE
from video2act_ros.recording.writing.session import RecordingSession, SessionSettings

from .bags import number, read, text
from .test_jpeg_images import image

STRANGE = RecordedTopic("/strange", "strange_msgs/msg/Thing", (OfferedQos(),))


class Session(RecordingSession):
    """A session that remembers what it told."""

    def __init__(self, **settings):
        self.told = []
        super().__init__(SessionSettings(**settings), lambda: {"robot": "test"}, self.told.append)


@pytest.fixture
def session():
    """Make sessions that end with the test."""
    made = []

    def make(**settings):
        made.append(Session(**settings))
        return made[-1]

    yield make
    for item in made:
        item.stop()


def test_the_failure_of_one_bag_leaves_the_next_one_alone(tmp_path, session):
    """A bag that ends late and badly, when another one is being written already."""
    recording = session()
    recording.begin(tmp_path / "first")
    first = recording.bag
    fail_now = threading.Event()

    def close():
        assert fail_now.wait(10.0)
        raise OSError(28, "No space left on device")

    first._writer.close = close
    ending = threading.Thread(target=recording.end)
    ending.start()
    until(lambda: recording.bag is None, "the first bag to be let go")
    recording.begin(tmp_path / "second")
    second = recording.bag
    fail_now.set()
    ending.join(10.0)
    until(lambda: recording.told, "the first bag's failure")
    assert "first" in str(recording.told[0])
    assert recording.bag is second
    recording.take(text(7))
    recording.end()
    assert [number(data) for *_, data in read(tmp_path / "second")] == [7]


def test_an_unforeseen_error_ends_the_bag_with_its_reason(tmp_path, session):
    """Whatever is raised in the bag's thread: told at once, and the recorder takes the next bag."""
    recording = session()
    recording.begin(tmp_path / "bag")
    recording.bag._writer.write = lambda message: 1 / 0
    recording.take(text(1))
    until(lambda: recording.told, "the failure")
    assert "ended early: ZeroDivisionError: division by zero" in str(recording.told[0])
    assert recording.bag is None
    recording.begin(tmp_path / "next")
    recording.take(text(2))
    recording.end()
    assert [number(data) for *_, data in read(tmp_path / "next")] == [2]


@pytest.mark.parametrize("publish_ns", [0, -1, -(2**63), 2**63, 2**64])
def test_messages_of_strange_publishers_are_kept(tmp_path, session, publish_ns):
    """No source stamp, a negative one or nonsense: the message and those after it are in the bag."""
    recording = session()
    recording.begin(tmp_path / "bag")
    first = text(1)
    recording.take(RecordedMessage(first.topic, first.log_ns, publish_ns, first.data, -5))
    recording.take(text(2))
    recording.end()
    assert [number(data) for *_, data in read(tmp_path / "bag")] == [1, 2]
    assert not recording.told


def test_a_time_of_receipt_that_no_bag_can_hold_is_replaced():
    """It is now: the message is not lost for it."""
    assert RecordedMessage(text(1).topic, -5, -5, b"").log_ns > 10**18


def test_images_that_cannot_be_encoded_are_kept_raw_and_told(tmp_path, session):
    """Steps and sizes that do not agree, bytes that are no image: as they came, with the reason."""
    recording = session(jpeg_quality=90)
    recording.begin(tmp_path / "bag")
    good = image("rgb8", np.zeros((4, 6, 3), np.uint8))
    narrow = RecordedMessage(good.topic, good.log_ns + 1, 4, _with_step(good.data, 5))
    broken = RecordedMessage(good.topic, good.log_ns + 2, 4, good.data[:20])
    for message in (good, narrow, broken, text(3)):
        recording.take(message)
    recording.end()
    topics = [topic for topic, *_ in read(tmp_path / "bag")]
    assert topics == ["/cam/image_raw/compressed", "/cam/image_raw", "/cam/image_raw", "/instruction"]
    count, reason = recording.kept_raw["/cam/image_raw"]
    assert count == 2
    assert reason


def test_an_image_whose_step_is_zero_is_encoded(tmp_path, session):
    """As the live nodes read it: a row is as long as its pixels."""
    recording = session(jpeg_quality=90)
    recording.begin(tmp_path / "bag")
    good = image("rgb8", np.zeros((4, 6, 3), np.uint8))
    recording.take(RecordedMessage(good.topic, 5, 4, _with_step(good.data, 0)))
    recording.end()
    assert [topic for topic, *_ in read(tmp_path / "bag")] == ["/cam/image_raw/compressed"]
    assert not recording.kept_raw


def _with_step(data, step):
    from .bags import STORE

    message = STORE.deserialize_cdr(data, IMAGE)
    message.step = step
    return bytes(STORE.serialize_cdr(message, IMAGE))


def test_jpeg_files_are_in_the_order_of_time(tmp_path, session, monkeypatch):
    """Images of any size in two threads, other topics between them: each topic and the whole file are in order."""
    monkeypatch.setattr(jpeg_images, "PATIENCE_S", 60.0)  # however slow the encoders are here
    recording = session(jpeg_quality=90)
    recording.begin(tmp_path / "bag")
    sizes = (480, 8, 8, 240, 8, 8)
    for index in range(60):
        side = sizes[index % len(sizes)]
        message = image("rgb8", np.full((side, side, 3), index, np.uint8))
        recording.take(RecordedMessage(message.topic, 10**9 + 2 * index, 4, message.data, index))
        recording.take(text(index, at_ns=10**9 + 2 * index + 1))
    recording.end()
    from mcap.reader import make_reader

    (file,) = (tmp_path / "bag").glob("*.mcap")
    with file.open("rb") as stream:
        found = make_reader(stream).iter_messages(log_time_order=False)
        times = [message.log_time for *_, message in found]
    assert times == list(range(10**9, 10**9 + 120))


def test_a_ring_holds_messages_of_types_that_are_not_installed(tmp_path, session):
    """They cost themselves only: the rest of the last seconds is saved."""
    recording = session(ring_s=10.0)
    recording.take(text(1, topic=STRANGE))
    recording.take(text(2))
    done = []
    recording.save_ring(tmp_path / "ring", done.append)
    until(lambda: done, "the bag")
    assert done == [None]
    assert [number(data) for *_, data in read(tmp_path / "ring")] == [2]


def test_a_ring_that_cannot_be_written_is_told_whatever_the_reason(tmp_path, session, monkeypatch):
    """Its thread never ends without a word."""
    recording = session(ring_s=10.0)
    recording.take(text(1))
    monkeypatch.setattr("video2act_ros.recording.writing.session.write_bag", lambda *_: 1 / 0)
    done = []
    recording.save_ring(tmp_path / "ring", done.append)
    until(lambda: done, "the answer")
    assert isinstance(done[0], BagError)
    assert "ZeroDivisionError" in str(done[0])


def test_what_a_compressor_cannot_hand_on_is_counted(session):
    """An error behind the JPEG threads does not vanish in them."""
    recording = session(jpeg_quality=90)
    recording._jpeg._done = lambda message: 1 / 0
    recording.take(image("rgb8", np.zeros((4, 6, 3), np.uint8)))
    recording.take(text(1))
    until(lambda: len(recording.not_kept) == 2, "both errors")
    assert recording.not_kept["/instruction"] == (1, "ZeroDivisionError: division by zero")
