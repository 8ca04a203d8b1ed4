"""A film of one episode: the camera views with the spatial and motion maps drawn over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import InputError
from video2act_ros.core.types import ImageArray

WIDTH, HEIGHT = 960, 540  # even numbers, which H.264 needs
_MAIN = (640, 480)
_SIDE = (320, 240)
_SPATIAL_COLOUR = np.array([70, 220, 255], dtype=np.float32)  # RGB
_MOTION_COLOUR = np.array([255, 120, 40], dtype=np.float32)
_OPACITY = 0.65
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class FilmFrame:
    """One moment: images by camera, (h, w) maps in [0, 1] over the head camera, and two lines of text."""

    images: dict[str, ImageArray]
    spatial_map: NDArray[np.float32] | None
    motion_map: NDArray[np.float32] | None
    title: str
    status: str


def overlay(image: ImageArray, mask: NDArray[np.float32], colour: NDArray[np.float32]) -> ImageArray:
    """Blend `colour` over `image` (H, W, 3) where `mask` (h, w) in [0, 1] is high."""
    height, width = image.shape[:2]
    smooth = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    alpha = np.clip(smooth, 0.0, 1.0)[..., None] * _OPACITY  # (H, W, 1)
    return (image * (1 - alpha) + colour * alpha).astype(np.uint8)


def _label(
    canvas: ImageArray, text: str, x: int, y: int, colour: tuple[int, int, int], size: float = 0.5
) -> None:
    cv2.putText(canvas, text, (x + 1, y + 1), _FONT, size, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.putText(canvas, text, (x, y), _FONT, size, colour, 1, cv2.LINE_AA)


def compose(frame: FilmFrame, main: str, sides: Sequence[str]) -> ImageArray:
    """Return one (HEIGHT, WIDTH, 3) uint8 RGB picture: the main camera with both maps, the others beside it."""
    canvas = np.full((HEIGHT, WIDTH, 3), 18, dtype=np.uint8)
    picture = cv2.resize(frame.images[main], _MAIN, interpolation=cv2.INTER_CUBIC)
    if frame.spatial_map is not None:
        picture = overlay(picture, frame.spatial_map, _SPATIAL_COLOUR)
    if frame.motion_map is not None:
        picture = overlay(picture, frame.motion_map, _MOTION_COLOUR)
    canvas[: _MAIN[1], : _MAIN[0]] = picture
    for row, name in enumerate(sides[:2]):
        top = row * _SIDE[1]
        if name in frame.images:
            canvas[top : top + _SIDE[1], _MAIN[0] :] = cv2.resize(frame.images[name], _SIDE)
        _label(canvas, name, _MAIN[0] + 8, top + 20, (255, 255, 255))
    _label(canvas, main, 8, 20, (255, 255, 255))
    _label(canvas, "spatial", 8, 42, (70, 220, 255))
    _label(canvas, "motion", 80, 42, (255, 120, 40))
    _label(canvas, frame.title, 8, _MAIN[1] + 24, (255, 255, 255), 0.55)
    _label(canvas, frame.status, 8, _MAIN[1] + 48, (190, 190, 190), 0.5)
    return canvas


def write_film(path: Path, frames: Sequence[FilmFrame], fps: int, main: str, sides: Sequence[str]) -> None:
    """Encode `frames` as an H.264 MP4 at `path`; the file appears only once it is whole.

    Raises:
        InputError: there is no frame to write.
    """
    if not frames:
        raise InputError(f"no camera frame was seen, so {path} was not written; check the camera topics")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.stem + ".partial" + path.suffix)
    with av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(compose(frame, main, sides), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    temporary.replace(path)
