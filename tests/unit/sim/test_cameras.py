from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from video2act_ros.core.errors import InputError, SimulationError
from video2act_ros.sim import graphics
from video2act_ros.sim.aloha import AlohaSim
from video2act_ros.sim.cameras import CAMERA_NAMES, SceneRenderer

needs_gl = pytest.mark.skipif(graphics.gl_problem() is not None, reason=str(graphics.gl_problem()))


@pytest.fixture(scope="module")
def sim() -> AlohaSim:
    return AlohaSim()


@pytest.fixture
def renderer(sim: AlohaSim) -> Iterator[SceneRenderer]:
    renderer = SceneRenderer(sim.model, 160, 120, noise_std=2.0, seed=3)
    yield renderer
    renderer.close()


def red_pixels(image: np.ndarray) -> np.ndarray:
    return (image[..., 0] > 150) & (image[..., 1] < 100) & (image[..., 2] < 100)


@needs_gl
def test_three_cameras_of_the_asked_size(sim: AlohaSim, renderer: SceneRenderer) -> None:
    """The three cameras of the paper's robot, as (H, W, 3) uint8."""
    images = renderer.render(sim.snapshot(), 0)
    assert tuple(images) == CAMERA_NAMES == ("cam_high", "cam_right_wrist", "cam_left_wrist")
    assert all(image.shape == (120, 160, 3) and image.dtype == np.uint8 for image in images.values())


@needs_gl
def test_images_are_rgb_and_the_high_camera_sees_the_cube_everywhere(
    sim: AlohaSim, renderer: SceneRenderer
) -> None:
    """The red cube is red (not blue) and visible in cam_high at every corner of its region."""
    for x in (0.0, 0.2):
        for y in (0.4, 0.6):
            sim.reset(np.array([x, y, 0.02, 1.0, 0.0, 0.0, 0.0]))
            image = renderer.render(sim.snapshot(), 0, ["cam_high"])["cam_high"]
            assert red_pixels(image).sum() >= 9


@needs_gl
def test_a_subset_renders_the_same_pixels(sim: AlohaSim, renderer: SceneRenderer) -> None:
    """Leaving cameras out changes neither the others' content nor their noise."""
    every = renderer.render(sim.snapshot(), 5)
    one = renderer.render(sim.snapshot(), 5, ["cam_left_wrist"])
    assert list(one) == ["cam_left_wrist"]
    np.testing.assert_array_equal(one["cam_left_wrist"], every["cam_left_wrist"])


@needs_gl
def test_noise_is_fixed_by_seed_and_frame(sim: AlohaSim, renderer: SceneRenderer) -> None:
    """The same seed and frame index give the same pixels; another of either gives others, a little off."""
    first = renderer.render(sim.snapshot(), 1)["cam_high"]
    again = renderer.render(sim.snapshot(), 1)["cam_high"]
    later = renderer.render(sim.snapshot(), 2)["cam_high"]
    renderer.seed += 1
    other = renderer.render(sim.snapshot(), 1)["cam_high"]
    np.testing.assert_array_equal(first, again)
    for changed in (later, other):
        difference = changed.astype(int) - first
        assert 1.0 < difference.std() < 2.0 * np.sqrt(2.0) + 0.5


@needs_gl
def test_an_unknown_camera_is_refused_with_the_choices(sim: AlohaSim, renderer: SceneRenderer) -> None:
    """Unknown names are answered with the valid ones."""
    with pytest.raises(InputError, match="cam_high, cam_right_wrist, cam_left_wrist"):
        renderer.render(sim.snapshot(), 0, ["cam_low"])


def test_a_machine_without_gl_is_told_what_to_install(sim: AlohaSim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an OpenGL library there is one clear line, and physics still works."""
    monkeypatch.setenv("MUJOCO_GL", "disable")
    with pytest.raises(SimulationError, match="apt-get install libosmesa6"):
        SceneRenderer(sim.model)


def test_the_users_choice_of_gl_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """MUJOCO_GL set by the user is not overwritten; unset, a library that loads is chosen."""
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    graphics.select_gl_library()
    assert graphics.os.environ["MUJOCO_GL"] == "osmesa"
    monkeypatch.delenv("MUJOCO_GL")
    graphics.select_gl_library()
    assert graphics.os.environ["MUJOCO_GL"] == (graphics.available_gl_library() or "disable")
