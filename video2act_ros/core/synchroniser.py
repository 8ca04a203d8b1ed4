"""Joins camera frames and joint samples to observations by their capture stamps."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from video2act_ros.core.errors import ConfigurationError, InputError
from video2act_ros.core.types import (
    NS_PER_S,
    CameraFrame,
    FloatArray,
    JointSample,
    Observation,
    seconds_to_ns,
)

_FRAMES_KEPT = 8
_JOINTS_KEPT = 512


@dataclass(frozen=True, slots=True)
class NotReady:
    """Why there is no observation, in words."""

    reason: str


class Synchroniser:
    """Keeps short histories and gives the newest images that belong together, with the joints at their time.

    Images belong together when their stamps agree within `camera_skew_s`. A stamp that goes backwards means
    that a clock was set or a simulation reset, and clears its own history. Callbacks add, a worker asks: thread-safe.
    """

    def __init__(self, cameras: tuple[str, ...], camera_skew_s: float, joint_state_age_s: float) -> None:
        """Make an empty one.

        Args:
            cameras: those an observation needs.
            camera_skew_s: largest spread of the images' stamps.
            joint_state_age_s: largest distance of a joint sample that stands in where none surround the images.
        """
        if not cameras:
            raise ConfigurationError("a synchroniser needs at least one camera")
        self._skew_ns = seconds_to_ns(camera_skew_s)
        self._joint_age_ns = seconds_to_ns(joint_state_age_s)
        self._frames: dict[str, deque[CameraFrame]] = {name: deque(maxlen=_FRAMES_KEPT) for name in cameras}
        self._joints: deque[JointSample] = deque(maxlen=_JOINTS_KEPT)
        self._lock = threading.Lock()

    def add_frame(self, frame: CameraFrame) -> None:
        """Take a frame; those of cameras that were not asked for are an InputError."""
        if frame.camera not in self._frames:
            raise InputError(f"unknown camera '{frame.camera}'; known: {', '.join(self._frames)}")
        with self._lock:
            frames = self._frames[frame.camera]
            if frames and frame.stamp_ns < frames[-1].stamp_ns:
                frames.clear()
            frames.append(frame)

    def add_joints(self, sample: JointSample) -> None:
        """Take a joint sample."""
        with self._lock:
            if self._joints and sample.stamp_ns < self._joints[-1].stamp_ns:
                self._joints.clear()
            self._joints.append(sample)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            for frames in self._frames.values():
                frames.clear()
            self._joints.clear()

    @property
    def newest_stamps_ns(self) -> dict[str, int | None]:
        """Each camera's newest capture stamp; None before its first image."""
        with self._lock:
            return {
                camera: frames[-1].stamp_ns if frames else None for camera, frames in self._frames.items()
            }

    def newest(
        self, instruction: str, not_before_ns: int = 0, not_after_ns: int | None = None
    ) -> Observation | NotReady:
        """Return the newest observation whose images lie between the two stamps, or why there is none."""
        with self._lock:
            chosen = self._newest_set(not_before_ns, not_after_ns)
            if isinstance(chosen, NotReady):
                return chosen
            stamp_ns = max(frame.stamp_ns for frame in chosen)
            joints = self._joints_at(stamp_ns)
        if isinstance(joints, NotReady):
            return joints
        return Observation(
            stamp_ns=stamp_ns,
            images={frame.camera: frame.image for frame in chosen},
            image_stamps_ns={frame.camera: frame.stamp_ns for frame in chosen},
            joints=joints.positions,
            joint_stamp_ns=joints.stamp_ns,
            instruction=instruction,
        )

    def _newest_set(self, not_before_ns: int, not_after_ns: int | None) -> tuple[CameraFrame, ...] | NotReady:
        """Return one frame of each camera: the newest set whose stamps agree."""
        recent = {
            camera: [
                frame
                for frame in frames
                if frame.stamp_ns >= not_before_ns
                and (not_after_ns is None or frame.stamp_ns <= not_after_ns)
            ]
            for camera, frames in self._frames.items()
        }
        if missing := [camera for camera, frames in recent.items() if not frames]:
            return NotReady(f"no image yet of {', '.join(missing)}; check the topics in the robot profile")
        ends_ns = {frame.stamp_ns for frames in recent.values() for frame in frames}
        for end_ns in sorted(ends_ns, reverse=True):
            chosen = [
                next((frame for frame in reversed(frames) if frame.stamp_ns <= end_ns), None)
                for frames in recent.values()
            ]
            frames = tuple(frame for frame in chosen if frame is not None)
            if len(frames) == len(chosen) and end_ns - min(f.stamp_ns for f in frames) <= self._skew_ns:
                return frames
        newest = {camera: frames[-1].stamp_ns for camera, frames in recent.items()}
        late = min(newest, key=lambda camera: newest[camera])
        behind_s = (max(newest.values()) - newest[late]) / NS_PER_S
        return NotReady(
            f"camera '{late}' is {behind_s:.2f} s behind the others, more than thresholds.camera_skew_s = "
            f"{self._skew_ns / NS_PER_S:g} s; check that it runs and that the clocks agree"
        )

    def _joints_at(self, stamp_ns: int) -> JointSample | NotReady:
        """Return the joints at a time: interpolated, or the nearest sample where none surround it."""
        if not self._joints:
            return NotReady("no joint state yet; check joint_states in the robot profile")
        after = next((i for i, sample in enumerate(self._joints) if sample.stamp_ns >= stamp_ns), None)
        if after:
            return _interpolate(self._joints[after - 1], self._joints[after], stamp_ns)
        nearest = self._joints[-1] if after is None else self._joints[0]
        distance_ns = abs(nearest.stamp_ns - stamp_ns)
        if distance_ns > self._joint_age_ns:
            return NotReady(
                f"the joint state nearest to the images is {distance_ns / NS_PER_S:.2f} s away, more than "
                f"thresholds.joint_state_age_s = {self._joint_age_ns / NS_PER_S:g} s; check the arm's driver"
            )
        return nearest


def _interpolate(before: JointSample, after: JointSample, stamp_ns: int) -> JointSample:
    """Return the linear interpolation between two samples that surround `stamp_ns`."""
    share = (stamp_ns - before.stamp_ns) / max(after.stamp_ns - before.stamp_ns, 1)

    def mix(first: FloatArray, second: FloatArray) -> FloatArray:
        return np.asarray(first + share * (second - first))

    velocities = None
    if before.velocities is not None and after.velocities is not None:
        velocities = mix(before.velocities, after.velocities)
    return JointSample(stamp_ns, mix(before.positions, after.positions), velocities)
