"""Cameras are watched where their images arrive: age, frozen content, no content."""

import numpy as np
import pytest

from video2act_ros.core.errors import InputError
from video2act_ros.core.input_monitor import (
    BACKDATED_S,
    CONTRAST_LEVELS,
    INTERVALS_AHEAD,
    MOVED_RAD,
    STARTED_RAD,
    CameraMonitor,
    InputMonitor,
)
from video2act_ros.core.input_report import InputCheck
from video2act_ros.core.types import CameraFrame, JointSample, seconds_to_ns

PERIOD_S = 0.05
SIZES = [(240, 320), (480, 640), (32, 32), (97, 131), (5, 3)]
random = np.random.default_rng(0)


def view(size=(96, 128), noise=2.0):
    """Return an image of something, with a sensor's noise (0: none)."""
    height, width = size
    scene = np.linspace(20, 120, width)[None, :, None] + np.linspace(0, 80, height)[:, None, None]
    return noisy(np.broadcast_to(scene, (height, width, 3)), noise)


def noisy(scene, noise):
    return np.clip(np.rint(scene + random.normal(0.0, noise, scene.shape)), 0, 255).astype(np.uint8)


def blank(level, size=(96, 128), noise=2.0):
    return noisy(np.full((*size, 3), float(level)), noise)


class Camera:
    """A camera at 20 Hz on an arm, and the monitor that watches it."""

    def __init__(self):
        self.monitor = InputMonitor(("cam_high",))
        self.time_s = 10.0
        self.joints = np.zeros(3)

    def frame(self, image, moved_rad=0.0, joint=1):
        self.time_s += PERIOD_S
        self.joints = self.joints + np.eye(3)[joint] * moved_rad
        self.monitor.add_joints(JointSample(seconds_to_ns(self.time_s), self.joints))
        self.again(image)

    def again(self, image):
        self.monitor.add_frame(CameraFrame("cam_high", seconds_to_ns(self.time_s), image))

    def value(self, check, after_s=0.0):
        values = self.monitor.values(seconds_to_ns(self.time_s + after_s))
        return {value.check: value.value_s for value in values}[check]


@pytest.fixture
def camera():
    return Camera()


def test_before_the_first_image_nothing_has_arrived(camera):
    """No value is made up, for any check."""
    assert [value.value_s for value in camera.monitor.values(0)] == [None, None, None]


def test_the_age_counts_from_the_newest_capture(camera):
    """Also for a stamp in the future, whose age is negative."""
    camera.frame(view())
    assert camera.value(InputCheck.IMAGE_AGE, 0.3) == pytest.approx(0.3)
    assert camera.value(InputCheck.IMAGE_AGE, -0.2) == pytest.approx(-0.2)


@pytest.mark.parametrize("joint", range(3))
def test_the_same_image_while_a_joint_moves_is_frozen(camera, joint):
    """From the last image that was right: what is shown is as old as that. The joint may be any."""
    image = view()
    camera.frame(image)
    for _ in range(20):
        camera.frame(image, MOVED_RAD * 1.01, joint)
    assert camera.value(InputCheck.IMAGE_FROZEN) == pytest.approx(20 * PERIOD_S)


def test_slow_motion_adds_up(camera):
    """A creeping joint is seen once it has travelled far enough since the content changed."""
    image = view()
    camera.frame(image)
    for _ in range(4):
        camera.frame(image, MOVED_RAD / 4)
        assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0
    for _ in range(6):
        camera.frame(image, MOVED_RAD / 4)
    assert camera.value(InputCheck.IMAGE_FROZEN) == pytest.approx(5 * PERIOD_S + BACKDATED_S)


def test_frozen_counts_from_when_the_joint_began_to_move(camera):
    """The travel that proves it took one image longer; the one before was wrong already."""
    image = view()
    camera.frame(image)
    for _ in range(10):
        camera.frame(image, MOVED_RAD * 0.75)
    assert camera.value(InputCheck.IMAGE_FROZEN) == pytest.approx(10 * PERIOD_S)


def test_only_the_time_of_motion_counts_as_frozen(camera):
    """An arm that stood before it moved: its equal images until then were right."""
    image = view(noise=0.0)
    camera.frame(image)
    for _ in range(40):
        camera.frame(image, STARTED_RAD * 0.9 / 40)
    camera.frame(image, 0.1)
    assert camera.value(InputCheck.IMAGE_FROZEN) == pytest.approx(PERIOD_S)


def test_frozen_counts_on_until_the_next_image_is_overdue(camera):
    """Between two images it goes on; a camera that has stopped is told by the age."""
    image = view()
    camera.frame(image)
    for _ in range(10):
        camera.frame(image, 0.1)
    known_s = 10 * PERIOD_S
    assert camera.value(InputCheck.IMAGE_FROZEN, 0.03) == pytest.approx(known_s + 0.03)
    late_s = INTERVALS_AHEAD * PERIOD_S
    assert camera.value(InputCheck.IMAGE_FROZEN, 9.0) == pytest.approx(known_s + late_s)
    assert camera.value(InputCheck.IMAGE_FROZEN, -9.0) == pytest.approx(known_s)


def test_dark_counts_on_until_the_next_image_is_overdue(camera):
    """As with a frozen camera."""
    camera.frame(view())
    for _ in range(4):
        camera.frame(blank(0))
    assert camera.value(InputCheck.IMAGE_DARK, 0.03) == pytest.approx(3 * PERIOD_S + 0.03)
    late_s = INTERVALS_AHEAD * PERIOD_S
    assert camera.value(InputCheck.IMAGE_DARK, 9.0) == pytest.approx(3 * PERIOD_S + late_s)


def test_the_images_of_a_standing_arm_may_be_equal(camera):
    """A camera without noise is right to repeat itself; encoders that tremble are no motion."""
    image = view(noise=0.0)
    for step in range(100):
        camera.frame(image, MOVED_RAD * 0.4 * (-1) ** step)
        assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0


def test_frozen_stays_so_when_the_joints_stop(camera):
    """The arm that holds because of it must not go on because it holds."""
    image = view()
    camera.frame(image)
    camera.frame(image, 0.1)
    for _ in range(19):
        camera.frame(image)
    assert camera.value(InputCheck.IMAGE_FROZEN) == pytest.approx(20 * PERIOD_S)


def test_a_changed_image_ends_it(camera):
    """And the joints' travel counts anew from there."""
    image = view()
    camera.frame(image)
    for _ in range(10):
        camera.frame(image, 0.1)
    camera.frame(view(), 0.1)
    assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0
    camera.frame(view())
    assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_a_sensors_noise_alone_is_a_change(camera, size, noise):
    """Whatever the image's size: a live camera looks frozen at no time, though nothing in view moves."""
    for _ in range(10):
        camera.frame(view(size, noise), 0.1)
        assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0


def test_what_moves_in_a_small_part_of_the_view_is_a_change(camera):
    """A camera without noise that sees a gripper pass in a hundredth of its image."""
    for step in range(15):
        image = view((480, 640), noise=0.0)
        image[200:248, 30 * step : 30 * step + 64] = 255
        camera.frame(image, 0.1)
        assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0


def test_a_repeated_message_is_no_evidence(camera):
    """The same stamp again is one image, neither frozen nor newer."""
    image = view()
    camera.frame(image)
    for _ in range(20):
        camera.joints = camera.joints + 0.1
        camera.monitor.add_joints(JointSample(seconds_to_ns(camera.time_s), camera.joints))
        camera.again(image)
    assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0
    assert camera.value(InputCheck.IMAGE_AGE, 0.4) == pytest.approx(0.4)
    camera.frame(image)
    assert camera.value(InputCheck.IMAGE_FROZEN) == pytest.approx(PERIOD_S)


def test_a_stopped_camera_is_old_and_neither_frozen_nor_dark(camera):
    """Each cause is told by one value."""
    camera.frame(view())
    camera.monitor.add_joints(JointSample(seconds_to_ns(camera.time_s + 1.0), camera.joints + 1.0))
    assert camera.value(InputCheck.IMAGE_AGE, 1.0) == pytest.approx(1.0)
    assert camera.value(InputCheck.IMAGE_FROZEN, 1.0) == 0.0
    assert camera.value(InputCheck.IMAGE_DARK, 1.0) == 0.0


def test_an_image_belongs_to_the_joints_of_its_capture(camera):
    """A late image of an arm that started only after its capture was right; the next one is not."""
    image = view(noise=0.0)
    camera.frame(image)
    camera.frame(image)
    camera.monitor.add_joints(JointSample(seconds_to_ns(camera.time_s + 0.04), camera.joints + 0.5))
    for after_s, frozen_s in ((0.03, 0.0), (0.06, 0.03)):
        camera.monitor.add_frame(CameraFrame("cam_high", seconds_to_ns(camera.time_s + after_s), image))
        assert camera.value(InputCheck.IMAGE_FROZEN) == pytest.approx(frozen_s)


def test_without_joint_states_nothing_is_frozen(camera):
    """Whether the joints moved is unknown; joints that come later count from when they come."""
    image = view()
    for _ in range(5):
        camera.time_s += PERIOD_S
        camera.again(image)
    assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0
    camera.frame(image, 1.0)
    assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0
    camera.frame(image, 0.1)
    assert camera.value(InputCheck.IMAGE_FROZEN) == pytest.approx(PERIOD_S)


@pytest.mark.parametrize("level", [0, 3, 128, 255])
@pytest.mark.parametrize("noise", [0.0, 2.0, 5.0])
def test_an_image_without_content_is_dark(camera, level, noise):
    """Black, grey or white, with a sensor's noise or without; what cannot be seen is not called frozen too."""
    camera.frame(view())
    image = blank(level, noise=noise)
    for _ in range(11):
        camera.frame(image, 0.1)
    assert camera.value(InputCheck.IMAGE_DARK) == pytest.approx(10 * PERIOD_S)
    assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0
    camera.frame(view())
    assert camera.value(InputCheck.IMAGE_DARK) == 0.0


@pytest.mark.parametrize("size", SIZES[:4])
def test_faint_content_is_content(camera, size):
    """A dim scene of little contrast, whatever the image's size."""
    height, width = size
    dim = np.tile(np.linspace(0.0, 8.0 * CONTRAST_LEVELS, width)[None, :, None], (height, 1, 3))
    for _ in range(10):
        camera.frame(noisy(dim, 2.0), 0.1)
        assert camera.value(InputCheck.IMAGE_DARK) == 0.0


def test_a_blackout_does_not_hide_a_frozen_camera(camera):
    """The same image before and after is evidence, once there is content again."""
    image = view()
    camera.frame(image)
    for _ in range(5):
        camera.frame(blank(0), 0.1)
        assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0
    for _ in range(5):
        camera.frame(image)
    assert camera.value(InputCheck.IMAGE_FROZEN) == pytest.approx(5 * PERIOD_S)


def test_a_new_episode_forgets(camera):
    """Age, frozen and dark begin anew."""
    image = view()
    for _ in range(10):
        camera.frame(image, 0.1)
    camera.monitor.forget()
    assert camera.value(InputCheck.IMAGE_AGE) is None
    assert camera.value(InputCheck.IMAGE_FROZEN) is None
    camera.frame(image, 0.1)
    assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0


@pytest.mark.parametrize("image", [view(), blank(0)])
def test_a_clock_that_is_set_back_forgets(camera, image):
    """The first image of the new time is the newest; times before do not count."""
    for _ in range(10):
        camera.frame(image, 0.1)
    camera.time_s -= 10.0
    camera.frame(image, 0.1)
    assert camera.value(InputCheck.IMAGE_AGE, 0.1) == pytest.approx(0.1)
    assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0
    assert camera.value(InputCheck.IMAGE_DARK) == 0.0
    for _ in range(10):
        camera.frame(view(), 0.1)
    assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0


def test_a_clock_that_is_set_forward_freezes_no_live_camera(camera):
    """The leap counts for the age alone, until the next image."""
    for _ in range(10):
        camera.frame(view(), 0.1)
    assert camera.value(InputCheck.IMAGE_AGE, 10.0) == pytest.approx(10.0)
    camera.time_s += 10.0
    camera.frame(view(), 0.1)
    assert camera.value(InputCheck.IMAGE_FROZEN) == 0.0
    assert camera.value(InputCheck.IMAGE_AGE) == 0.0


def test_cameras_that_nothing_else_looks_at_are_seldom_decoded():
    """Twenty times per second are enough for the content, while every image counts for the age."""
    monitor = CameraMonitor("cam_high")
    looked = 0
    for step in range(61):
        stamp_ns = seconds_to_ns(step / 60)
        if monitor.content_due(stamp_ns):
            monitor.add(stamp_ns, view(), None)
            looked += 1
        assert monitor.values(stamp_ns)[0].value_s == 0.0
    assert looked == 21


def test_an_image_that_cannot_be_decoded_does_not_count():
    """A due image is counted when it is given, not when it is announced."""
    monitor = CameraMonitor("cam_high")
    monitor.add(0, view(), None)
    assert monitor.content_due(seconds_to_ns(0.2))
    assert monitor.values(seconds_to_ns(0.3))[0].value_s == pytest.approx(0.3)


def test_an_overtaken_image_ends_no_frozen_or_dark_time(camera):
    """One late message hides no camera that has stopped to look."""
    for image, check in ((view(), InputCheck.IMAGE_FROZEN), (blank(0), InputCheck.IMAGE_DARK)):
        camera.monitor.forget()
        for _ in range(10):
            camera.frame(image, 0.1)
        before = camera.value(check)
        assert before > 0.3
        late = CameraFrame("cam_high", seconds_to_ns(camera.time_s - 0.03), view()[::-1].copy())
        camera.monitor.add_frame(late)
        assert camera.value(check) == before


def test_seldom_decoded_cameras_forget_when_the_clock_is_set_back():
    """An earlier stamp is always looked at."""
    monitor = CameraMonitor("cam_high")
    monitor.add(seconds_to_ns(10.0), view(), None)
    assert not monitor.content_due(seconds_to_ns(10.03))
    assert monitor.content_due(seconds_to_ns(9.0))
    monitor.add(seconds_to_ns(9.0), view(), None)
    assert monitor.values(seconds_to_ns(9.1))[0].value_s == pytest.approx(0.1)


def test_an_unknown_camera_is_refused():
    """The message lists those that are watched."""
    with pytest.raises(InputError, match="unknown camera 'cam_low'; choose one of: cam_high"):
        InputMonitor(("cam_high",)).camera("cam_low")


def test_a_format_that_changes_in_mid_stream_counts_until_it_is_as_before(camera):
    """Another size, or another encoding of the same; an episode accepts what comes then."""
    for _ in range(10):
        camera.frame(view())
    assert camera.value(InputCheck.IMAGE_FORMAT) == 0.0
    for _ in range(5):
        camera.frame(view()[:48])
    assert camera.value(InputCheck.IMAGE_FORMAT) == pytest.approx(4 * PERIOD_S)
    for _ in range(10):
        camera.frame(view())
    assert camera.value(InputCheck.IMAGE_FORMAT) == 0.0
    camera.time_s += PERIOD_S
    image = CameraFrame("cam_high", seconds_to_ns(camera.time_s), view(), "bgr8")
    camera.monitor.add_frame(image)
    camera.frame(view()[:48])
    assert camera.value(InputCheck.IMAGE_FORMAT) == pytest.approx(PERIOD_S)
    camera.monitor.forget()
    camera.frame(view()[:48])
    assert camera.value(InputCheck.IMAGE_FORMAT) == 0.0


def test_two_publishers_that_take_turns_are_a_changing_format(camera):
    """The images as before between the others do not end it; nor do stamps that run back."""
    for step in range(20):
        camera.frame(view()[: 96 - 48 * (step % 2)])
        if step == 16:
            camera.time_s -= 0.06
    assert camera.value(InputCheck.IMAGE_FORMAT) == pytest.approx(17 * PERIOD_S)
