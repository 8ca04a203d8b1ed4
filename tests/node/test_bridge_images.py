"""Images of encodings that the project does not know go through cv_bridge where it is installed, or are refused."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
from sensor_msgs.msg import Image

from video2act_ros.core.errors import InputError
from video2act_ros.recording.reading.decode_images import ENCODINGS
from video2act_ros.ros.bridge_images import frame_by_cv_bridge, load_bridge
from video2act_ros.ros.convert import ns_to_stamp
from video2act_ros.ros.convert_images import frame_from_image

BYTES = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}

# The parts of cv_bridge's interface that are used, for images of 16-bit grey.
CONVERTER = """
import numpy as np

class CvBridgeError(TypeError):
    pass

class CvBridge:
    def encoding_to_dtype_with_channels(self, encoding):
        if encoding != "mono16":
            raise CvBridgeError(f"Unrecognized image encoding [{encoding}]")
        return "uint16", 1

    def imgmsg_to_cv2(self, message, desired_encoding):
        grey = np.frombuffer(message.data, "<u2").reshape(message.height, message.width)
        return np.repeat((grey // 257).astype(np.uint8)[..., None], 3, axis=-1)
"""
CRASH = """
import os, signal

class CvBridgeError(TypeError):
    pass

class CvBridge:
    def imgmsg_to_cv2(self, message, desired_encoding):
        os.kill(os.getpid(), signal.SIGSEGV)
"""


def image(encoding, pixels, padding=0):
    rows = np.pad(
        np.ascontiguousarray(pixels).reshape(len(pixels), -1).view(np.uint8),
        ((0, 0), (0, padding)),
        constant_values=99,
    )
    message = Image(
        height=len(pixels), width=pixels.shape[1], encoding=encoding, step=rows.shape[1], data=rows.tobytes()
    )
    message.header.stamp = ns_to_stamp(123)
    return message


@pytest.fixture
def install_bridge(tmp_path, monkeypatch):
    """Return a function that installs a package named cv_bridge with the given source; it is gone afterwards."""
    load_bridge.cache_clear()
    monkeypatch.syspath_prepend(tmp_path)

    def install(source):
        monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)
        (tmp_path / "cv_bridge.py").write_text(source)

    yield install
    sys.modules.pop("cv_bridge", None)
    load_bridge.cache_clear()


def test_an_unknown_encoding_goes_through_cv_bridge(install_bridge):
    """Where cv_bridge is installed it converts what ours does not know; stamp and camera stay."""
    install_bridge(CONVERTER)
    grey = np.array([[0, 65535], [257, 514]], dtype=np.uint16)
    frame = frame_from_image(image("mono16", grey), "cam_high")
    np.testing.assert_array_equal(frame.image[..., 0], [[0, 255], [1, 2]])
    assert (frame.camera, frame.stamp_ns, frame.image.shape) == ("cam_high", 123, (2, 2, 3))


def test_known_encodings_do_not_need_cv_bridge(install_bridge):
    """A cv_bridge that would end the process is never touched for an encoding that ours converts."""
    install_bridge("raise SystemExit")
    for encoding, channels in CHANNELS.items():
        assert frame_from_image(image(encoding, BYTES[..., :channels]), "cam_high").image.shape == (5, 7, 3)


def test_a_cv_bridge_of_another_numpy_is_one_clear_line(install_bridge):
    """A compiled part that crashes beside this NumPy ends a trial process, never the node; the line says what to do."""
    install_bridge(CRASH)
    for _ in range(2):
        with pytest.raises(InputError, match=r"NumPy.*requirements/ros-installation.txt") as caught:
            frame_from_image(image("mono16", np.zeros((2, 2), np.uint16)), "cam_high")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(find_spec("cv_bridge") is not None, reason="cv_bridge is installed")
def test_without_cv_bridge_the_refusal_names_the_remedies():
    """The encoding, the package to install, and what the driver may send instead."""
    with pytest.raises(InputError) as caught:
        frame_from_image(image("yuv422", BYTES[..., :2]), "cam_high")
    for word in ("cam_high", "yuv422", "cv-bridge", "compressed", *ENCODINGS):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "step", "size"),
    [("mono16", 5, 10), ("mono16", 4, 6), ("mono16", 2, 4), ("strange", 4, 8)],
    ids=["row of half a pixel", "too few bytes", "step below a row", "unknown encoding"],
)
def test_images_that_cv_bridge_would_shear_are_refused(install_bridge, encoding, step, size):
    """cv_bridge itself checks no sizes: a wrong step would move the pixels from row to row."""
    install_bridge(CONVERTER)
    message = Image(height=2, width=2, encoding=encoding, step=step, data=bytes(size))
    with pytest.raises(InputError, match="cv_bridge cannot convert it"):
        frame_from_image(message, "cam_high")


@pytest.fixture
def real_bridge():
    load_bridge.cache_clear()
    bridge = load_bridge()
    if bridge.converter is None:
        pytest.skip(bridge.problem)
    return bridge.converter


@pytest.mark.parametrize("encoding", CHANNELS)
@pytest.mark.parametrize("pixels_of_padding", [0, 2])
def test_ours_equals_cv_bridge(real_bridge, encoding, pixels_of_padding):
    """Both convert the encodings that both know to the same pixels."""
    channels = CHANNELS[encoding]
    message = image(encoding, BYTES[..., :channels], padding=pixels_of_padding * channels)
    ours = frame_from_image(message, "cam_high")
    theirs = frame_by_cv_bridge(message, "cam_high")
    np.testing.assert_array_equal(ours.image, theirs.image)


def test_the_installed_cv_bridge_converts_more(real_bridge):
    """16-bit grey and colour, and a Bayer pattern, become RGB of 8 bits."""
    deep = BYTES[..., :3].astype(np.uint16) * 257
    np.testing.assert_array_equal(frame_from_image(image("rgb16", deep), "c").image, BYTES[..., :3])
    np.testing.assert_array_equal(
        frame_from_image(image("mono16", deep[..., 0]), "c").image[..., 1], BYTES[..., 0]
    )
    flat = np.full((4, 4), 77, np.uint8)
    np.testing.assert_array_equal(
        frame_from_image(image("bayer_rggb8", flat), "c").image, np.full((4, 4, 3), 77)
    )
