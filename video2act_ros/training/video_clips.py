"""Camera clips on the frame history's grid: what the video model is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from video2act_ros.core.errors import DatasetError
from video2act_ros.core.images import resize_image
from video2act_ros.core.types import ImageArray
from video2act_ros.system2.config import StreamConfig, VideoEncoderConfig
from video2act_ros.training.dataset import load_demonstrations


@dataclass(frozen=True, slots=True)
class VideoClip:
    """One episode of one camera, uint8 RGB.

    `motion` is (T, h, w, 3) on the grid of the frame history in the motion stream's size; `spatial` is
    (M, h, w, 3), any frames of the episode in the spatial stream's size; `phrasings` are the wordings of
    its instruction, of which each sample draws one.
    """

    motion: ImageArray
    spatial: ImageArray
    phrasings: tuple[str, ...] = ("",)


def load_clips(dataset: Path, config: VideoEncoderConfig) -> list[VideoClip]:
    """Return one clip per recorded episode of `dataset`, resized for `config`'s streams."""
    demonstrations = load_demonstrations(dataset)
    images = demonstrations.images
    frames, small = images[config.camera], images[f"{config.camera}_{config.motion.width}"]
    return [
        VideoClip(
            motion=_resized(small[start:end], config.motion),
            spatial=_resized(frames[start:end], config.spatial),
            phrasings=(demonstrations.instruction, *demonstrations.paraphrases),
        )
        for start, end in pairwise(demonstrations.image_start)
    ]


def _resized(frames: ImageArray, stream: StreamConfig) -> ImageArray:
    """Bring (T, H, W, 3) to the stream's size; frames that have it already are not copied."""
    if frames.shape[1:3] == (stream.height, stream.width):
        return frames
    return np.stack([resize_image(frame, stream.width, stream.height) for frame in frames])


def window_indices(end: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return the frame indices (B, length) of windows that end at `end` (B,), oldest first.

    Times before the episode's first frame repeat that frame, exactly as `FrameHistory` does.
    """
    return np.maximum(end[:, None] + np.arange(1 - length, 1), 0)


class ClipSampler:
    """Draws random windows and single frames from clips, as pixels in [-1, 1] on one device."""

    def __init__(
        self, clips: Sequence[VideoClip], length: int, rgb: bool, seed: int, device: torch.device
    ) -> None:
        if not clips:
            raise DatasetError("no episodes to train the video model on; record demonstrations first")
        self._clips, self._length, self._rgb, self._device = clips, length, rgb, device
        self._random = np.random.default_rng(seed)
        lengths = np.array([len(clip.motion) for clip in clips], dtype=np.float64)
        self._share = lengths / lengths.sum()

    def reseed(self, seed: int) -> None:
        """Start another random sequence, so that a resumed training does not repeat its first batches."""
        self._random = np.random.default_rng(seed)

    def _pixels(self, frames: ImageArray) -> Tensor:
        """Convert (B, T, h, w, 3) uint8 RGB to (B, 3, T, h, w) in [-1, 1]."""
        tensor = torch.from_numpy(frames if self._rgb else np.ascontiguousarray(frames[..., ::-1]))
        return tensor.to(self._device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1

    def _draw(self, count: int) -> NDArray[np.int64]:
        return self._random.choice(len(self._clips), size=count, p=self._share)

    def _instructions(self, drawn: NDArray[np.int64]) -> list[str]:
        choices = [self._clips[index].phrasings for index in drawn]
        return [phrasings[self._random.integers(len(phrasings))] for phrasings in choices]

    def videos(self, count: int, full: bool = False) -> tuple[Tensor, list[str]]:
        """Return windows (count, 3, length, h, w) and their instructions; `full` avoids repeated frames."""
        drawn, windows = self._draw(count), []
        for index in drawn:
            motion = self._clips[index].motion
            low = min(self._length, len(motion)) - 1 if full else 0
            end = self._random.integers(low, len(motion), size=1)
            windows.append(motion[window_indices(end, self._length)[0]])
        return self._pixels(np.stack(windows)), self._instructions(drawn)

    def images(self, count: int) -> tuple[Tensor, list[str]]:
        """Return single frames (count, 3, 1, h, w) and their instructions."""
        drawn = self._draw(count)
        frames = [self._clips[i].spatial[self._random.integers(len(self._clips[i].spatial))] for i in drawn]
        return self._pixels(np.stack(frames)[:, None]), self._instructions(drawn)
