"""Statistics of a LeRobot dataset: of numbers from all of them, of images from histograms of their grey levels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.types import ImageArray

QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
_PIXEL_STRIDE = 4  # of the pixels that are counted, in both directions
_LEVELS = np.arange(256) / 255.0

Statistics = dict[str, NDArray[Any]]
"""By name (mean, std, min, max, count, q01, …); of images shaped (3, 1, 1), in [0, 1]."""


def quantile_name(share: float) -> str:
    """Return the name of a quantile."""
    return f"q{round(100 * share):02d}"


def of_numbers(values: NDArray[np.generic]) -> Statistics:
    """Return the statistics of (N, D) values over N."""
    numbers = np.asarray(values, dtype=np.float64)
    result = {
        "min": numbers.min(axis=0),
        "max": numbers.max(axis=0),
        "mean": numbers.mean(axis=0),
        "std": numbers.std(axis=0),
        "count": np.array([len(numbers)], dtype=np.int64),
    }
    for share in QUANTILES:
        result[quantile_name(share)] = np.quantile(numbers, share, axis=0)
    return result


class ImageHistogram:
    """Counts the grey levels of one camera's images by channel."""

    def __init__(self) -> None:
        self.counts = np.zeros((3, 256), dtype=np.int64)
        self.images = 0

    def add(self, image: ImageArray) -> None:
        """Count an image (H, W, 3) uint8."""
        for channel in range(3):
            levels = image[::_PIXEL_STRIDE, ::_PIXEL_STRIDE, channel].ravel()
            self.counts[channel] += np.bincount(levels, minlength=256)
        self.images += 1

    def add_all(self, other: ImageHistogram) -> None:
        """Add what another one has counted."""
        self.counts += other.counts
        self.images += other.images

    def statistics(self) -> Statistics:
        """Return the statistics of what was counted."""
        shares = self.counts / self.counts.sum(axis=1, keepdims=True)  # (3, 256)
        mean = shares @ _LEVELS
        present = self.counts > 0
        result = {
            "min": _LEVELS[present.argmax(axis=1)],
            "max": _LEVELS[255 - present[:, ::-1].argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt(np.maximum(shares @ _LEVELS**2 - mean**2, 0.0)),
        }
        rising = shares.cumsum(axis=1)
        for share in QUANTILES:
            result[quantile_name(share)] = _LEVELS[(rising >= share - 1e-12).argmax(axis=1)]
        shaped = {name: value.reshape(3, 1, 1) for name, value in result.items()}
        return shaped | {"count": np.array([self.images], dtype=np.int64)}
