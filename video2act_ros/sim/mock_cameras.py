"""Synthetic camera images whose content follows the joints, for a robot without cameras."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.types import ImageArray

_BAR_LEVEL = 90.0  # by which a joint's bar is brighter than the background
_POOL = 4  # noise is cut from a field so many times larger than an image, at random


class MockCamera:
    """Draws a shaded background and one bar per joint, as high as the joint stands in its range. One thread.

    Every camera shades and orders its bars in another way, so that views can be told apart.
    """

    def __init__(self, index: int, joints: int, width: int, height: int, noise_std: float) -> None:
        """Prepare camera number `index` of a robot with `joints` joints; `noise_std` in grey levels."""
        self._random = np.random.default_rng(index)
        self._size = height, width
        self._noise = self._random.standard_normal(height * width * 3 * _POOL, dtype=np.float32) * noise_std
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        shade = 60.0 + 60.0 * rows / height + 30.0 * np.sin((index + 2) * np.pi * columns / width)
        tint = np.roll(np.array([1.0, 0.85, 0.7], dtype=np.float32), index)
        self._background = (shade[..., None] * tint).astype(np.float32)  # (H, W, 3)
        self._bar_of = np.roll(np.arange(joints), index)[(columns[0] * joints / width).astype(int)]  # (W,)
        self._from_bottom = ((height - rows) / height).astype(np.float32)  # (H, W)

    def render(self, fractions: NDArray[np.float64]) -> ImageArray:
        """Return (H, W, 3) uint8 RGB; `fractions` (J,) says where in its range each joint is, 0 to 1."""
        heights = 0.1 + 0.8 * np.clip(fractions, 0.0, 1.0)[self._bar_of]  # (W,)
        # One row of pixels is a coarse scale: the edge fades over it, so that small motions change the image.
        edge = np.clip((heights - self._from_bottom) * self._size[0], 0.0, 1.0)  # (H, W)
        image = self._background + (_BAR_LEVEL * edge)[..., None].astype(np.float32)
        start = int(self._random.integers(0, self._noise.size - image.size + 1))
        image += self._noise[start : start + image.size].reshape(image.shape)
        return np.clip(image, 0, 255).astype(np.uint8)
