"""The data that travels between the parts, free of ROS and of any model library.

Stamps are ROS-clock nanoseconds of *capture*. Joint positions are in policy units: rad, and grippers
as an opening in [0, 1]. Images are RGB.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import InputError

ImageArray = NDArray[np.uint8]
StampArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]  # NumPy 1's floating has no default for its precision

NS_PER_S = 1_000_000_000


def seconds_to_ns(duration_s: float) -> int:
    """Return `duration_s` in whole nanoseconds."""
    return round(duration_s * NS_PER_S)


class LatentStream(str, Enum):
    """The two products of System 2."""

    SPATIAL = "spatial"  # object boundaries of the newest frame
    MOTION = "motion"  # what moves over the window


@dataclass(frozen=True, slots=True)
class CameraFrame:
    """One image of one camera; `image` is (H, W, 3) uint8 RGB, captured at `stamp_ns`, sent in `encoding`."""

    camera: str
    stamp_ns: int
    image: ImageArray
    encoding: str = ""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise InputError(
                f"camera '{self.camera}' must give (H, W, 3) uint8 RGB images, "
                f"got shape {self.image.shape} of {self.image.dtype}"
            )


@dataclass(frozen=True, slots=True)
class JointSample:
    """Measured joints in the profile's joint order: `positions` and `velocities` are (J,) float64.

    Joined from several topics, `stamp_ns` is the oldest of its parts', and `joint_stamps_ns` (J,) are theirs.
    """

    stamp_ns: int
    positions: FloatArray
    velocities: FloatArray | None = None
    joint_stamps_ns: StampArray | None = None

    def __post_init__(self) -> None:
        if not np.all(np.isfinite(self.positions)):
            raise InputError("joint positions contain NaN or infinite values; check the joint_states source")

    @property
    def stamps_of_joints(self) -> StampArray:
        """When each joint was measured, (J,)."""
        if self.joint_stamps_ns is not None:
            return self.joint_stamps_ns
        return np.full(len(self.positions), self.stamp_ns, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class LatentTokens:
    """One stream of one System 2 update.

    `tokens` is (N, C) float32; `stamp_ns` is the capture time of the newest frame of the window and
    `frame_stamps_ns` lists all of them, oldest first. `checksums` are those of `core/stages`.
    """

    stream: LatentStream
    stamp_ns: int
    sequence: int
    epoch: int
    tokens: FloatArray
    features_id: str
    bundle_id: str
    frame_stamps_ns: tuple[int, ...]
    instruction: str
    compute_time_s: float = 0.0
    checksums: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LatentPair:
    """Both streams of one System 2 update; they share stamp and sequence."""

    spatial: LatentTokens
    motion: LatentTokens

    @property
    def stamp_ns(self) -> int:
        """Capture time of the newest frame used."""
        return self.spatial.stamp_ns

    @property
    def sequence(self) -> int:
        """Number of the update."""
        return self.spatial.sequence

    @property
    def oldest_ns(self) -> int:
        """Capture time of the oldest frame that either stream looks at."""
        return min(self._stamps_ns)

    @property
    def newest_ns(self) -> int:
        """Capture time of the newest frame that either stream looks at."""
        return max(self._stamps_ns)

    @property
    def _stamps_ns(self) -> tuple[int, ...]:
        return tuple(
            stamp for part in (self.spatial, self.motion) for stamp in (part.stamp_ns, *part.frame_stamps_ns)
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """What System 1 looks at: synchronised images by camera name, joints at the images' capture time.

    `images` holds (H, W, 3) uint8 RGB; `joints` is (J,) float64 in policy units.
    """

    stamp_ns: int
    images: dict[str, ImageArray]
    image_stamps_ns: dict[str, int]
    joints: FloatArray
    joint_stamp_ns: int
    instruction: str


@dataclass(frozen=True, slots=True)
class ActionChunk:
    """A function of time from its observation stamp: `positions[i]` is due at `stamp_ns + i * step`.

    `positions` is (H, J) float64 in policy units; `committed` leading actions were frozen by real-time
    chunking to the values in `prefix` (committed, J), with which `guidance` (rows, J) begins: what leading
    actions were drawn to. `joints` (J,) are the measured joints that were seen; `previous_…` tell of the
    earlier observation, where the policy was given one. `checksums` are those of `core/stages`. All of
    that, with the images and latents that the stamps name, makes the chunk again.
    """

    stamp_ns: int
    sequence: int
    epoch: int
    step_s: float
    joint_names: tuple[str, ...]
    positions: FloatArray
    instruction: str = ""
    bundle_id: str = ""
    features_id: str = ""
    seed: int = 0
    image_stamps_ns: tuple[int, ...] = ()
    joint_stamp_ns: int = 0
    latent_sequence: int = 0
    latent_stamp_ns: int = 0
    compute_time_s: float = 0.0
    committed: int = 0
    prefix: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    guidance: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    joints: FloatArray = field(default_factory=lambda: np.zeros(0))
    previous_image_stamps_ns: tuple[int, ...] = ()
    previous_joint_stamp_ns: int = 0
    previous_joints: FloatArray = field(default_factory=lambda: np.zeros(0))
    checksums: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.positions.ndim != 2 or self.positions.shape[1] != len(self.joint_names):
            raise InputError(
                f"a chunk needs positions of shape (horizon, {len(self.joint_names)} joints), "
                f"got {self.positions.shape}"
            )
        if not self.step_s > 0:
            raise InputError(f"a chunk's step must be positive, got {self.step_s} s")

    @property
    def step_ns(self) -> int:
        """Time between actions."""
        return seconds_to_ns(self.step_s)

    @property
    def end_ns(self) -> int:
        """Time of the last action."""
        return self.stamp_ns + (len(self.positions) - 1) * self.step_ns

    @property
    def oldest_seen_ns(self) -> int:
        """The earliest stamp of what was observed: images and joints, of both observations; those that are told."""
        told = (
            *self.image_stamps_ns,
            *self.previous_image_stamps_ns,
            self.joint_stamp_ns,
            self.previous_joint_stamp_ns,
        )
        return min((self.stamp_ns, *(stamp for stamp in told if stamp)))


class RunMode(str, Enum):
    """What the control loop is doing; the names are those of the RunState message."""

    IDLE = "idle"
    SHADOW = "shadow"
    ENGAGED = "engaged"
    HOLDING = "holding"
    FAULT = "fault"
