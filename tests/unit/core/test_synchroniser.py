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
    for stamp in (100.0, 1.0, 1.05):
        sync.add_joints(joints(stamp))
        for camera in CAMERAS:
            sync.add_frame(frame(camera, stamp))
    result = sync.newest("")
    assert isinstance(result, Observation)
    assert result.stamp_ns == seconds_to_ns(1.05)
    assert result.joint_stamp_ns == seconds_to_ns(1.05)


def test_a_fast_camera_waits_for_a_late_one():
    """Frames are kept by time: 60 Hz beside a camera whose images come 150 ms late is ready at every look."""
    sync = synchroniser()
    slow = [(time_ms + 150, CAMERAS[1], time_ms) for time_ms in range(0, 1500, 33)]
    fast = [(time_ms, CAMERAS[0], time_ms) for time_ms in range(0, 1500, 16)]
    ready = []
    for at_ms, camera, stamp_ms in sorted(slow + fast):
        sync.add_frame(frame(camera, stamp_ms / 1000))
        sync.add_joints(joints(at_ms / 1000))
        if at_ms >= 200:
            ready.append(sync.newest(""))
    assert ready
    assert all(isinstance(result, Observation) for result in ready)


def test_images_and_joints_that_overtake_each_other_are_sorted_in():
    """One late message clears nothing, however late it is, and the joints are interpolated between neighbours."""
    in_order, mixed = synchroniser(), synchroniser()
    for sync, order in ((in_order, [10.9, 11.0, 11.1, 11.2]), (mixed, [10.9, 11.1, 1.0, 11.0, 11.2])):
        for stamp in order:
            sync.add_joints(joints(stamp, stamp))
            for camera in CAMERAS:
                sync.add_frame(frame(camera, stamp))
    for latest_s in (11.2, 11.15, 11.05):
        results = [sync.newest("", 0, seconds_to_ns(latest_s)) for sync in (in_order, mixed)]
        assert [type(result) for result in results] == [Observation, Observation]
        assert results[0].image_stamps_ns == results[1].image_stamps_ns
        np.testing.assert_array_equal(results[0].joints, results[1].joints)


def test_joints_of_before_an_epoch_are_no_part_of_an_interpolation():
    """A reset moves joints at one stroke: no pose half way between two scenes is ever seen."""
    sync = synchroniser()
    sync.add_joints(joints(0.99, 5.0))
    sync.add_joints(joints(1.03, 1.0))
    for camera in CAMERAS:
        sync.add_frame(frame(camera, 1.01))
    begin_ns = seconds_to_ns(1.0)
    result = sync.newest("", begin_ns, joints_not_before_ns=begin_ns)
    assert isinstance(result, Observation)
    np.testing.assert_array_equal(result.joints, 1.0)
    assert result.joint_stamp_ns == seconds_to_ns(1.03)


def test_stamps_of_another_clock_are_told_as_such():
    """Neither the topics nor the cameras are blamed for a driver that counts from 1970, or is ahead."""
    sync = synchroniser()
    sync.add_joints(joints(1.0))
    for camera, stamp_s in zip(CAMERAS, (1.8e9, 1.0), strict=True):
        sync.add_frame(frame(camera, stamp_s))
    for result in (
        sync.newest(""),
        sync.newest("", seconds_to_ns(1.7e9)),
        sync.newest("", not_after_ns=seconds_to_ns(2.0)),
    ):
        assert isinstance(result, NotReady)
        assert "years" in result.reason
        assert "stamped by two clocks" in result.reason


def test_an_unknown_camera_is_refused():
    """The message lists the known ones."""
    with pytest.raises(InputError, match="unknown camera 'cam_low'; known: cam_high, cam_left_wrist"):
        synchroniser().add_frame(frame("cam_low", 1.0))
