"""Rendering the robot's three cameras from a configuration snapshot."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import InputError, SimulationError, unknown_choice
from video2act_ros.core.types import ImageArray
from video2act_ros.sim.graphics import INSTALL_HINT, gl_problem

# Our camera names and the scene's, in the model's order.
CAMERAS = {"cam_high": "top", "cam_right_wrist": "right_wrist", "cam_left_wrist": "left_wrist"}
CAMERA_NAMES = tuple(CAMERAS)

DEFAULT_WIDTH, DEFAULT_HEIGHT = 320, 240
DEFAULT_NOISE_STD = 2.0  # grey levels of sensor noise


class SceneRenderer:
    """Renders camera images; create, use and close it in one thread, which owns its GL context.

    Args:
        model: the scene, shared read-only with the physics.
        width, height: image size [px].
        noise_std: standard deviation of the sensor noise [grey levels]; 0 turns it off.
        seed: with the frame index and the camera it fixes every pixel's noise.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        width: int = DEFAULT_WIDTH,
        height: int = DEFAULT_HEIGHT,
        noise_std: float = DEFAULT_NOISE_STD,
        seed: int = 0,
    ) -> None:
        problem = gl_problem()
        if problem:
            raise SimulationError(problem)
        model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
        model.vis.global_.offheight = max(height, model.vis.global_.offheight)
        self._model = model
        self._data = mujoco.MjData(model)
        self.seed = seed
        self._noise = _noise_tile(width, height, noise_std)
        try:
            self._renderer: mujoco.Renderer | None = mujoco.Renderer(model, height, width)
        except (RuntimeError, ImportError, AttributeError, mujoco.FatalError) as error:
            raise SimulationError(f"the cameras cannot be rendered ({error}); run {INSTALL_HINT}") from error

    def render(
        self, qpos: NDArray[np.float64], frame_index: int, cameras: Iterable[str] = CAMERA_NAMES
    ) -> dict[str, ImageArray]:
        """Return {camera: (H, W, 3) uint8 RGB} for the configuration `qpos` (nq,).

        Args:
            qpos: `AlohaSim.snapshot()`.
            frame_index: number of the frame, which picks its sensor noise.
            cameras: the cameras to render, all by default.
        """
        if self._renderer is None:
            raise SimulationError("the renderer is closed; create a new SceneRenderer")
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        images = {}
        for camera in cameras:
            if camera not in CAMERAS:
                raise InputError(unknown_choice("camera", camera, CAMERA_NAMES))
            self._renderer.update_scene(self._data, CAMERAS[camera])
            self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
            self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
            images[camera] = self._add_noise(self._renderer.render(), frame_index, CAMERA_NAMES.index(camera))
        return images

    def _add_noise(self, image: ImageArray, frame_index: int, camera_index: int) -> ImageArray:
        if self._noise is None:
            return image
        height, width = image.shape[:2]
        random = np.random.default_rng((self.seed, frame_index, camera_index))
        top, left = random.integers(0, (height, width))
        noise = self._noise[top : top + height, left : left + width]  # (H, W, 3)
        return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), dtype=np.uint8)

    def close(self) -> None:
        """Free the GL context; call it in the thread that created the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def _noise_tile(width: int, height: int, noise_std: float) -> NDArray[np.int16] | None:
    """Return (2H, 2W, 3) int16 noise; frames take windows of it, which costs far less than new noise."""
    if noise_std <= 0:
        return None
    random = np.random.default_rng(0)
    return np.rint(random.normal(0.0, noise_std, (2 * height, 2 * width, 3))).astype(np.int16)
