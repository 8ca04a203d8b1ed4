"""A broken camera, driver or clock: what leaves the simulated robot then."""

import numpy as np
import pytest

from video2act_ros.core.config import SIM_FAULTS
from video2act_ros.sim.cameras import CAMERA_NAMES
from video2act_ros.sim.faults import CLOCK_STEP_S, FaultFilter

PERIOD_NS = 50_000_000
CAMERA = "cam_right_wrist"


def expose(faults, count, first=0):
    """Pass `count` exposures of all cameras whose pixels hold their number; return what leaves."""
    passed = []
    for index in range(first, first + count):
        image = np.full((4, 6, 3), index, dtype=np.uint8)
        passed += faults.images(index * PERIOD_NS, dict.fromkeys(CAMERA_NAMES, image))
    return passed


def of(camera, passed):
    return [(stamp_ns // PERIOD_NS, image) for name, stamp_ns, image in passed if name == camera]


def numbers(items):
    return [(index, int(image[0, 0, 0])) for index, image in items]


def test_every_camera_of_the_scene_has_every_camera_fault():
    """The parameter's choices name the scene's cameras."""
    cameras = {name.partition("_")[2] for name in SIM_FAULTS if name.startswith(("freeze", "black"))}
    assert cameras == set(CAMERA_NAMES)


@pytest.mark.parametrize("kind", ["freeze", "drop", "delay", "black"])
def test_a_camera_fault_leaves_the_other_cameras_alone(kind):
    """Only the named camera is spoilt."""
    faults = FaultFilter(2.0)
    faults.set(f"{kind}_{CAMERA}")
    passed = expose(faults, 5)
    for camera in set(CAMERA_NAMES) - {CAMERA}:
        assert numbers(of(camera, passed)) == [(index, index) for index in range(5)]


def test_a_frozen_camera_repeats_its_last_pixels_with_new_stamps():
    """freeze: the stamps go on, the image does not; afterwards it does."""
    faults = FaultFilter(2.0)
    expose(faults, 3)
    faults.set(f"freeze_{CAMERA}")
    assert numbers(of(CAMERA, expose(faults, 3, first=3))) == [(3, 2), (4, 2), (5, 2)]
    faults.set("none")
    assert numbers(of(CAMERA, expose(faults, 1, first=6))) == [(6, 6)]


def test_a_dropped_camera_sends_nothing():
    """drop: no image at all."""
    faults = FaultFilter(2.0)
    faults.set(f"drop_{CAMERA}")
    assert of(CAMERA, expose(faults, 4)) == []


def test_a_delayed_camera_sends_true_stamps_half_a_second_late():
    """delay: with the exposure at 0.5 s comes the image of 0 s, stamped 0 s."""
    faults = FaultFilter(2.0)
    faults.set(f"delay_{CAMERA}")
    assert of(CAMERA, expose(faults, 10)) == []
    assert numbers(of(CAMERA, expose(faults, 2, first=10))) == [(0, 0), (1, 1)]


def test_a_black_camera_sends_sensor_noise_only():
    """black: dark, yet no two images are alike, as with a covered lens."""
    faults = FaultFilter(2.0)
    faults.set(f"black_{CAMERA}")
    (_, first), (_, second) = of(CAMERA, expose(faults, 2, first=200))
    assert first.max() < 20
    assert first.any()
    assert not np.array_equal(first, second)


def test_joint_states_stop_or_turn_into_nan():
    """Both faults of the driver, and that they end."""
    faults, measured = FaultFilter(2.0), (np.ones(14), np.zeros(14))
    faults.set("joint_states_stop")
    assert faults.joints(*measured) is None
    faults.set("joint_states_nan")
    assert np.all(np.isnan(faults.joints(*measured)[0]))
    faults.set("none")
    assert np.array_equal(faults.joints(*measured)[0], measured[0])


def test_the_clock_steps_once_and_goes_on_from_there():
    """Ending the fault is no second step; setting it anew is."""
    faults = FaultFilter(2.0)
    faults.set("clock_step_forward")
    faults.set("clock_step_forward")
    faults.set("none")
    assert faults.clock_offset_ns == CLOCK_STEP_S * 1e9
    faults.set("clock_step_back")
    assert faults.clock_offset_ns == 0
