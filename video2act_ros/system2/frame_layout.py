"""How a video model's camera frames are prepared and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from video2act_ros.core.images import CameraPathConfig, resize_image, through_camera_path
from video2act_ros.core.types import ImageArray, LatentStream
from video2act_ros.system2.config import VideoEncoderConfig
from video2act_ros.system2.frame_history import FrameHistory

PreparedFrame = Mapping[LatentStream, ImageArray]
"""One camera image as each stream takes it: (height, width, 3) uint8 RGB."""


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """All that a kept frame depends on: models of equal layouts may share a history, others never.

    Frames of `camera`, every `period_s` [s], `length` to a window; each goes through `camera_path` and is resized to
    the streams' `sizes` (width, height) [px].
    """

    camera: str
    period_s: float
    length: int
    camera_path: CameraPathConfig | None
    sizes: tuple[tuple[LatentStream, int, int], ...]

    @classmethod
    def of(cls, config: VideoEncoderConfig) -> FrameLayout:
        """Return the layout that a video encoder needs."""
        parts = ((stream, config.stream(stream)) for stream in LatentStream)
        sizes = tuple((stream, part.width, part.height) for stream, part in parts)
        return cls(config.camera, config.frame_period_s, config.window_frames, config.camera_path, sizes)

    def prepare(self, image: ImageArray) -> dict[LatentStream, ImageArray]:
        """Return one (H, W, 3) uint8 RGB image as each stream takes it."""
        image = through_camera_path(image, self.camera_path)
        return {stream: resize_image(image, width, height) for stream, width, height in self.sizes}

    def history(self) -> FrameHistory[PreparedFrame]:
        """Return an empty history of such frames, which each is prepared once, when it arrives."""
        return FrameHistory(self.period_s, self.length, prepare=self.prepare)
