"""Watches camera images as they arrive: how old the newest is, whether it is frozen, whether it shows anything."""

from __future__ import annotations

from collections import deque

import numpy as np

from video2act_ros.core.errors import InputError, unknown_choice
from video2act_ros.core.input_report import InputCheck, InputValue
from video2act_ros.core.types import (
    NS_PER_S,
    CameraFrame,
    FloatArray,
    ImageArray,
    JointSample,
    seconds_to_ns,
)

CONTENT_PERIOD_S = 0.045  # content of cameras that nothing else looks at: about twenty times per second
CHANGED_LEVELS = (
    0.01  # mean difference [grey levels] from which content has changed; noise alone gives about 1
)
MOVED_RAD = 0.02  # joint travel that must show in an image; for grippers a share of their range
STARTED_RAD = 0.002  # joint travel from which a joint has begun to move; more than an encoder's noise
BACKDATED_S = 0.1  # so much of the way to MOVED_RAD counts as frozen at most: two images of a usual camera
INTERVALS_AHEAD = 2  # so many images late the next one may be before the present one stops to count
CONTRAST_LEVELS = 3.0  # standard deviation of block means [grey levels] below which an image shows nothing
OVERTAKEN_S = (
    0.3  # images overtake each other by less; a clock that steps back by so little begins an episode
)
FORMAT_CALM_S = 0.4  # so long must all images be as before

_SAMPLE_ROWS, _SAMPLE_COLUMNS = 48, 64  # about so many pixels are looked at
_BLOCKS = 8  # per side; means over blocks show content, not sensor noise
_JOINTS_KEPT = 512


class CameraMonitor:
    """One camera's age, frozen time and dark time, from capture stamps. One thread.

    *Frozen*: the content is the same although a joint has moved by more than `MOVED_RAD` since it last
    changed. Once that is so, the time counts from when the joint began to move (the last image with no more than
    `STARTED_RAD` of travel: what is shown is as old as that), though at most from `BACKDATED_S` earlier, until
    the content changes, also when the joints stop: the image was wrong then and still is. While no joint moves
    it stays zero, as a noise-free camera's images are rightly equal. A noise-free camera in whose view nothing
    moves while *another* arm does looks frozen: give `image_frozen_s` a higher threshold for such cameras.

    *Dark*: no content, be it black, white or any other uniform colour. Such an image never counts as frozen.

    *Format*: since when images have had another size or encoding than the first. It ends where all have been as before
    for `FORMAT_CALM_S`, so that two publishers that take turns are seen.

    Frozen and dark run on between images, for as long as another image may be on its way (`INTERVALS_AHEAD` of the
    camera's intervals after the newest one looked at): what happens after a camera has stopped is the age's to
    tell. An image with the newest one's stamp is a repeated message and ignored, and the content of one a little
    earlier, which was overtaken, too. A stamp more than `OVERTAKEN_S` earlier means that a clock was set back, and
    everything before is forgotten.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self.forget()

    def forget(self) -> None:
        """Begin anew, as with a new episode."""
        self._format: tuple[object, ...] | None = None
        self._format_ns: int | None = None  # first image of another format
        self._other_format_ns = 0  # newest image of another format
        self._forget_content()

    def _forget_content(self) -> None:
        self._newest_ns: int | None = None
        self._looked_ns: int | None = None  # newest image whose content was looked at
        self._interval_ns = 0  # between that one and the one looked at before
        self._reference: ImageArray | None = None  # sample of the image in which the content last changed
        self._reference_joints: FloatArray | None = None
        self._still_ns = 0  # last image of the reference's content in which no joint had begun to move yet
        self._frozen_ns: int | None = None  # from when on the image should have changed and did not
        self._dark_ns: int | None = None  # first of the present run of images without content

    def content_due(self, stamp_ns: int) -> bool:
        """Say whether the image of this stamp should be given to `add`; if not, its stamp alone is noted.

        Asked before an image is decoded that nothing but this monitor looks at.
        """
        since_ns = None if self._looked_ns is None else stamp_ns - self._looked_ns
        if since_ns is None or not 0 <= since_ns < seconds_to_ns(CONTENT_PERIOD_S):
            return True
        self._newest_ns = stamp_ns
        return False

    def add(self, stamp_ns: int, image: ImageArray, joints: FloatArray | None, encoding: str = "") -> None:
        """Take an image.

        Args:
            stamp_ns: capture time.
            image: (H, W, 3) uint8.
            joints: (J,) measured positions at that time in policy units; None while unknown.
            encoding: how it was sent.
        """
        if self._looked_ns is not None and stamp_ns < self._looked_ns:
            if self._format_ns is not None:
                self._format_ns += stamp_ns - self._looked_ns
            if self._looked_ns - stamp_ns <= seconds_to_ns(OVERTAKEN_S):
                self._watch_format(stamp_ns, (*image.shape, encoding))
                return
            self._forget_content()
        if stamp_ns == self._looked_ns:
            return
        self._interval_ns = 0 if self._looked_ns is None else stamp_ns - self._looked_ns
        self._newest_ns = self._looked_ns = stamp_ns
        self._watch_format(stamp_ns, (*image.shape, encoding))
        sample = _sample(image)
        if _contrast(sample) < CONTRAST_LEVELS:
            self._still_ns, self._frozen_ns = stamp_ns, None
            self._dark_ns = stamp_ns if self._dark_ns is None else self._dark_ns
            return
        self._dark_ns = None
        self._compare(stamp_ns, sample, joints)

    def values(self, now_ns: int) -> tuple[InputValue, ...]:
        """Return age, frozen time and dark time, None before the first image; after it the format's time, too.

        A future stamp's age is negative.
        """
        age_s = None if self._newest_ns is None else (now_ns - self._newest_ns) / NS_PER_S
        values = (
            InputValue(InputCheck.IMAGE_AGE, self._camera, age_s),
            InputValue(InputCheck.IMAGE_FROZEN, self._camera, self._since(self._frozen_ns, now_ns)),
            InputValue(InputCheck.IMAGE_DARK, self._camera, self._since(self._dark_ns, now_ns)),
        )
        if self._format is None:
            return values
        return (
            *values,
            InputValue(InputCheck.IMAGE_FORMAT, self._camera, self._since(self._format_ns, now_ns)),
        )

    def _watch_format(self, stamp_ns: int, image_format: tuple[object, ...]) -> None:
        self._format = image_format if self._format is None else self._format
        if image_format != self._format:
            self._format_ns = stamp_ns if self._format_ns is None else self._format_ns
            self._other_format_ns = stamp_ns
        elif stamp_ns - self._other_format_ns > seconds_to_ns(FORMAT_CALM_S):
            self._format_ns = None

    def _compare(self, stamp_ns: int, sample: ImageArray, joints: FloatArray | None) -> None:
        if self._reference is None or _changed(self._reference, sample):
            self._reference, self._reference_joints = sample, joints
            self._still_ns, self._frozen_ns = stamp_ns, None
        elif self._reference_joints is None:
            self._still_ns, self._reference_joints = stamp_ns, joints
        elif self._frozen_ns is None:
            self._watch_travel(stamp_ns, _travel(self._reference_joints, joints))

    def _watch_travel(self, stamp_ns: int, travel_rad: float) -> None:
        """Take how far the joints have moved while the image stayed the same."""
        if travel_rad <= STARTED_RAD:
            self._still_ns = stamp_ns
        elif travel_rad > MOVED_RAD:
            self._frozen_ns = max(self._still_ns, stamp_ns - seconds_to_ns(BACKDATED_S))

    def _since(self, start_ns: int | None, now_ns: int) -> float | None:
        if self._looked_ns is None:
            return None
        if start_ns is None:
            return 0.0
        until_ns = min(now_ns, self._looked_ns + INTERVALS_AHEAD * self._interval_ns)
        return (max(until_ns, self._looked_ns) - start_ns) / NS_PER_S


class InputMonitor:
    """Watches several cameras, with the joints that were measured when their images were captured. One thread."""

    def __init__(self, cameras: tuple[str, ...]) -> None:
        self._cameras = {camera: CameraMonitor(camera) for camera in cameras}
        self._joints: deque[JointSample] = deque(maxlen=_JOINTS_KEPT)

    def forget(self) -> None:
        """Begin anew, as with a new episode."""
        self._joints.clear()
        for monitor in self._cameras.values():
            monitor.forget()

    def add_joints(self, sample: JointSample) -> None:
        """Take a joint sample; an earlier stamp than the newest means that a clock was set back."""
        if self._joints and sample.stamp_ns < self._joints[-1].stamp_ns:
            self._joints.clear()
        self._joints.append(sample)

    def add_frame(self, frame: CameraFrame) -> None:
        """Take a frame of a known camera."""
        joints = self._joints_at(frame.stamp_ns)
        self.camera(frame.camera).add(frame.stamp_ns, frame.image, joints, frame.encoding)

    def camera(self, name: str) -> CameraMonitor:
        """Return one camera's monitor; an unknown name is an InputError."""
        if name not in self._cameras:
            raise InputError(unknown_choice("camera", name, self._cameras))
        return self._cameras[name]

    def values(self, now_ns: int) -> tuple[InputValue, ...]:
        """Return every check of every camera."""
        return tuple(value for monitor in self._cameras.values() for value in monitor.values(now_ns))

    def _joints_at(self, stamp_ns: int) -> FloatArray | None:
        """Return the newest positions measured by then, or the oldest kept."""
        if not self._joints:
            return None
        known = (sample for sample in reversed(self._joints) if sample.stamp_ns <= stamp_ns)
        return next(known, self._joints[0]).positions


def _sample(image: ImageArray) -> ImageArray:
    """Return every n-th pixel, about (48, 64, 3), as a copy."""
    height, width = image.shape[:2]
    step_y, step_x = max(1, height // _SAMPLE_ROWS), max(1, width // _SAMPLE_COLUMNS)
    return np.array(image[::step_y, ::step_x])


def _travel(before: FloatArray, joints: FloatArray | None) -> float:
    return 0.0 if joints is None else float(np.max(np.abs(joints - before)))


def _changed(reference: ImageArray, sample: ImageArray) -> bool:
    if reference.shape != sample.shape:
        return True
    difference = np.maximum(reference, sample) - np.minimum(reference, sample)  # uint8 without overflow
    return float(difference.mean()) > CHANGED_LEVELS


def _contrast(sample: ImageArray) -> float:
    """Return the largest channel's standard deviation of block means [grey levels]."""
    height, width = sample.shape[0] // _BLOCKS, sample.shape[1] // _BLOCKS
    if not height or not width:
        return float(sample.std(axis=(0, 1)).max())
    pixels = sample[: height * _BLOCKS, : width * _BLOCKS].reshape(_BLOCKS, height, -1)
    rows = np.add.reduce(pixels, axis=1, dtype=np.float32)  # (8, W * 3)
    blocks = np.add.reduce(rows.reshape(_BLOCKS * _BLOCKS, width, 3), axis=1) / (height * width)  # (64, 3)
    deviations = blocks - np.add.reduce(blocks) / len(blocks)
    return float(np.sqrt(np.add.reduce(deviations * deviations).max() / len(blocks)))
