"""Observations are joined by capture stamps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from video2act_ros.core.errors import InputError
from video2act_ros.core.synchroniser import NotReady, Synchroniser
from video2act_ros.core.types import CameraFrame, JointSample, Observation, seconds_to_ns

CAMERAS = ("cam_high", "cam_left_wrist")
SKEW_S = 0.02
IMAGE = np.zeros((4, 6, 3), np.uint8)


def synchroniser() -> Synchroniser:
    return Synchroniser(CAMERAS, SKEW_S, joint_state_age_s=0.1)


def frame(camera: str, stamp_s: float) -> CameraFrame:
    return CameraFrame(camera, seconds_to_ns(stamp_s), IMAGE)


def joints(stamp_s: float, value: float = 0.0) -> JointSample:
    return JointSample(seconds_to_ns(stamp_s), np.full(3, value), np.full(3, 2 * value))


times = st.lists(st.integers(0, 300), min_size=1, max_size=8, unique=True).map(sorted)


@given(first=times, second=times)
def test_the_newest_set_whose_stamps_agree_is_chosen(first, second):
    """Same result as looking at every pair of frames."""
    sync = synchroniser()
    for camera, stamps in zip(CAMERAS, (first, second), strict=True):
        for stamp in stamps:
            sync.add_frame(frame(camera, stamp / 1000))
    for stamp in range(0, 301, 10):
        sync.add_joints(joints(stamp / 1000))
    result = sync.newest("lift")
    agreeing = [(a, b) for a in first for b in second if abs(a - b) <= 20]
    if not agreeing:
        assert isinstance(result, NotReady)
        return
    assert isinstance(result, Observation)
    chosen = [result.image_stamps_ns[camera] // 1_000_000 for camera in CAMERAS]
    assert max(chosen) == max(max(pair) for pair in agreeing)
    assert max(chosen) - min(chosen) <= 20
    assert result.stamp_ns == max(result.image_stamps_ns.values())


@given(
    start=st.floats(-2, 2), end=st.floats(-2, 2), share=st.floats(0.01, 0.99), span_s=st.floats(0.005, 1.0)
)
def test_joints_are_interpolated_to_the_capture_time(start, end, share, span_s):
    """Linear between the samples that surround it."""
    sync = synchroniser()
    sync.add_joints(joints(1.0, start))
    sync.add_joints(joints(1.0 + span_s, end))
    for camera in CAMERAS:
        sync.add_frame(frame(camera, 1.0 + share * span_s))
    result = sync.newest("")
    assert isinstance(result, Observation)
    np.testing.assert_allclose(result.joints, start + share * (end - start), atol=1e-5)
    assert result.joint_stamp_ns == result.stamp_ns


def test_a_stopped_camera_is_named():
    """The message says which one and what to check."""
    sync = synchroniser()
    sync.add_joints(joints(1.0))
    sync.add_frame(frame("cam_high", 1.0))
    result = sync.newest("")
    assert isinstance(result, NotReady)
    assert "cam_left_wrist" in result.reason
    sync.add_frame(frame("cam_left_wrist", 0.5))
    result = sync.newest("")
    assert isinstance(result, NotReady)
    assert "'cam_left_wrist' is 0.50 s behind" in result.reason


def test_old_joints_give_no_observation():
    """Stale input is never used in place of a fresh one."""
    sync = synchroniser()
    for camera in CAMERAS:
        sync.add_frame(frame(camera, 1.0))
    assert isinstance(sync.newest(""), NotReady)
    sync.add_joints(joints(0.8))
    stale = sync.newest("")
    assert isinstance(stale, NotReady)
    assert "0.20 s away" in stale.reason
    sync.add_joints(joints(0.95, 0.4))
    fresh = sync.newest("")
    assert isinstance(fresh, Observation)
    assert fresh.joint_stamp_ns == seconds_to_ns(0.95)


def test_nothing_from_before_an_epoch_is_used():
    """What was captured before a reset does not count."""
    sync = synchroniser()
    sync.add_joints(joints(1.0))
    for camera in CAMERAS:
        sync.add_frame(frame(camera, 1.0))
    assert isinstance(sync.newest("", not_before_ns=seconds_to_ns(1.0)), Observation)
    assert isinstance(sync.newest("", not_before_ns=seconds_to_ns(1.0) + 1), NotReady)


def test_a_clock_that_jumps_back_starts_anew():
    """Simulated time may restart: old stamps from the future must not block new ones."""
    sync = synchroniser()
    for stamp in (100.0, 1.0):
        sync.add_joints(joints(stamp))
        for camera in CAMERAS:
            sync.add_frame(frame(camera, stamp))
    result = sync.newest("")
    assert isinstance(result, Observation)
    assert result.stamp_ns == seconds_to_ns(1.0)
    assert result.joint_stamp_ns == seconds_to_ns(1.0)


def test_an_unknown_camera_is_refused():
    """The message lists the known ones."""
    with pytest.raises(InputError, match="unknown camera 'cam_low'; known: cam_high, cam_left_wrist"):
        synchroniser().add_frame(frame("cam_low", 1.0))
