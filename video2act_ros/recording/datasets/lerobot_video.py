"""One camera's images of a LeRobot dataset as MP4 files, several episodes in each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from video2act_ros.core.errors import DatasetError
from video2act_ros.core.priority import class_kept
from video2act_ros.core.types import ImageArray

FILE_BYTES = 200 << 20  # a longer file ends with its episode
PIXELS = "yuv420p"
KEY_FRAME_EVERY = 2
"""Every second image: random access is what training does."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How images are encoded: by FFmpeg's encoder, with what quality and speed; `name` is the stream's."""

    name: str
    encoder: str
    crf: int
    preset: int | str
    options: tuple[tuple[str, str], ...] = ()

    def encoder_options(self) -> dict[str, str]:
        """Return FFmpeg's options."""
        given = {"crf": str(self.crf), "preset": str(self.preset), "g": str(KEY_FRAME_EVERY)}
        return given | dict(self.options)

    def info(self) -> dict[str, Any]:
        """Return what LeRobot keeps of an encoder, by its names."""
        return {
            "video.codec": self.name,
            "video.pix_fmt": PIXELS,
            "video.g": KEY_FRAME_EVERY,
            "video.crf": self.crf,
            "video.preset": self.preset,
            "video.fast_decode": 0,
            "video.video_backend": "pyav",
            "video.extra_options": {},
        }


CODECS = {
    "h264": Codec("h264", "libx264", 18, "veryfast", (("bf", "0"),)),  # no frames out of order
    "av1": Codec("av1", "libsvtav1", 30, 12, (("svtav1-params", "fast-decode=0"),)),
}
"""By name; av1 is what LeRobot records by default, with its settings, h264 decodes everywhere."""


@dataclass(frozen=True, slots=True)
class VideoPart:
    """Where an episode lies: the number of its file, and its times there [s]."""

    file: int
    from_s: float
    to_s: float


class CameraVideo:
    """Encodes one camera's images; a context manager, so that no file stays open after an error."""

    def __init__(self, folder: Path, fps: int, codec: Codec = CODECS["h264"]) -> None:
        self._folder = folder
        self.codec = codec
        self._fps = fps
        self._file = -1
        self._frames = self._first = 0  # of the present file, and where the episode begins in it
        self._container: Any = None
        self._stream: Any = None
        self._size: tuple[int, int] | None = None

    def path(self, number: int) -> Path:
        """Return the file of a number."""
        return self._folder / "chunk-000" / f"file-{number:03d}.mp4"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height [px]."""
        if self._size is None:
            raise DatasetError("no image was written; check that the bag holds images of every camera")
        return self._size

    def add(self, image: ImageArray) -> None:
        """Append an image (H, W, 3) uint8 RGB.

        Raises:
            DatasetError: its size is odd, or another one than before.
        """
        height, width = image.shape[:2]
        if self._size is None:
            if height % 2 or width % 2:
                raise DatasetError(
                    f"images of {width}x{height} cannot be encoded, the codecs need even sizes; crop them"
                )
            self._size = (width, height)
        if (width, height) != self._size:
            raise DatasetError(
                f"images of {width}x{height} follow images of {self._size[0]}x{self._size[1]} in {self._folder.name}; "
                "export bags of one size at a time"
            )
        if self._container is None:
            self._open(width, height)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = self._frames
        self._container.mux(self._stream.encode(frame))
        self._frames += 1

    def end_episode(self) -> VideoPart:
        """Return where the images since the last end lie."""
        part = VideoPart(self._file, self._first / self._fps, self._frames / self._fps)
        self._first = self._frames
        if self.path(self._file).stat().st_size > FILE_BYTES:
            self.close()
        return part

    def close(self) -> None:
        """Finish the present file."""
        container, self._container = self._container, None
        if container is not None:
            try:
                container.mux(self._stream.encode())
            finally:
                container.close()

    def _open(self, width: int, height: int) -> None:
        self._file += 1
        self._frames = self._first = 0
        path = self.path(self._file)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream(
            self.codec.encoder, rate=self._fps, options=self.codec.encoder_options()
        )
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, PIXELS
        self._stream.codec_context.thread_count = 1
        with class_kept():  # as root SVT-AV1 would run before everything else on the machine
            self._stream.codec_context.open()
