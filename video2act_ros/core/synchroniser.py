"""Joins camera frames and joint samples to observations by their capture stamps."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from video2act_ros.core.errors import ConfigurationError, InputError
from video2act_ros.core.other_clock import apart_words
from video2act_ros.core.stamped_history import StampedHistory, newest_until
from video2act_ros.core.types import (
    NS_PER_S,
    CameraFrame,
    FloatArray,
    JointSample,
    Observation,
    seconds_to_ns,
)

KEPT_S = 1.0
"""For how long inputs are kept unless told otherwise: what is later, every profile's thresholds call too old."""


@dataclass(frozen=True, slots=True)
class NotReady:
    """Why there is no observation, in words."""

    reason: str


class Synchroniser:
    """Keeps short histories and gives the newest images that belong together, with the joints at their time.

    Images belong together when their stamps agree within `camera_skew_s`. Everything is kept for a time, whatever a
    camera's rate and however late one comes behind another, and sorted by its stamps. Callbacks add, a worker asks:
    thread-safe.
    """

    def __init__(
        self,
        cameras: tuple[str, ...],
        camera_skew_s: float,
        joint_state_age_s: float,
        keep_s: float = KEPT_S,
    ) -> None:
        """Make an empty one.

        Args:
            cameras: those an observation needs.
            camera_skew_s: largest spread of the images' stamps.
            joint_state_age_s: largest distance of a joint sample that stands in where none surround the images.
            keep_s: how much older than the newest one of its source an image or joint sample may be [s].
        """
        if not cameras:
            raise ConfigurationError("a synchroniser needs at least one camera")
        self._skew_ns = seconds_to_ns(camera_skew_s)
        self._joint_age_ns = seconds_to_ns(joint_state_age_s)
        keep_ns = seconds_to_ns(keep_s)
        self._frames: dict[str, StampedHistory[CameraFrame]] = {
            name: StampedHistory(keep_ns) for name in cameras
        }
        self._joints: StampedHistory[JointSample] = StampedHistory(keep_ns)
        self._lock = threading.Lock()

    def add_frame(self, frame: CameraFrame) -> None:
        """Take a frame; those of cameras that were not asked for are an InputError."""
        if frame.camera not in self._frames:
            raise InputError(f"unknown camera '{frame.camera}'; known: {', '.join(self._frames)}")
        with self._lock:
            self._frames[frame.camera].add(frame)

    def add_joints(self, sample: JointSample) -> None:
        """Take a joint sample."""
        with self._lock:
            self._joints.add(sample)

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
            newest = {camera: frames.newest for camera, frames in self._frames.items()}
        return {camera: frame.stamp_ns if frame else None for camera, frame in newest.items()}

    def newest(
        self,
        instruction: str,
        not_before_ns: int = 0,
        not_after_ns: int | None = None,
        *,
        joints_not_before_ns: int = 0,
    ) -> Observation | NotReady:
        """Return the newest observation that lies between stamps, or why there is none.

        Args:
            instruction: the one in force; goes into the observation.
            not_before_ns: earliest capture time of an image.
            not_after_ns: latest capture time of an image; None: no limit.
            joints_not_before_ns: earliest stamp of a joint sample that may count, also in an interpolation.
        """
        with self._lock:
            chosen = self._newest_set(not_before_ns, not_after_ns)
            if isinstance(chosen, NotReady):
                return chosen
            stamp_ns = max(frame.stamp_ns for frame in chosen)
            joints = self._joints_at(stamp_ns, joints_not_before_ns)
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
            camera: frames.between(not_before_ns, not_after_ns) for camera, frames in self._frames.items()
        }
        if any(not frames for frames in recent.values()):
            return self._missing(recent, not_before_ns, not_after_ns)
        ends_ns = {frame.stamp_ns for frames in recent.values() for frame in frames}
        for end_ns in sorted(ends_ns, reverse=True):
            chosen = [newest_until(frames, end_ns) for frames in recent.values()]
            frames = tuple(frame for frame in chosen if frame is not None)
            if len(frames) == len(chosen) and end_ns - min(f.stamp_ns for f in frames) <= self._skew_ns:
                return frames
        return self._apart({camera: frames[-1].stamp_ns for camera, frames in recent.items()})

    def _missing(
        self, recent: Mapping[str, Sequence[CameraFrame]], not_before_ns: int, not_after_ns: int | None
    ) -> NotReady:
        """Return which cameras sent nothing between the stamps, or how far beside them their images lie."""
        unseen = [camera for camera in recent if self._frames[camera].newest is None]
        if unseen:
            return NotReady(f"no image yet of {', '.join(unseen)}; check the topics in the robot profile")
        camera = next(camera for camera, frames in recent.items() if not frames)
        newest = self._frames[camera].newest
        assert newest is not None
        early = newest.stamp_ns < not_before_ns
        limit_ns = not_before_ns if early or not_after_ns is None else not_after_ns
        far, remedy = apart_words(abs(newest.stamp_ns - limit_ns) / NS_PER_S, "waiting for the next one")
        side = "before the earliest" if early else "after the latest"
        return NotReady(f"the newest image of {camera} is stamped {far} {side} that may be used; {remedy}")

    def _apart(self, newest_ns: dict[str, int]) -> NotReady:
        """Return that no set agrees, naming the camera whose newest image is the oldest."""
        late = min(newest_ns, key=lambda camera: newest_ns[camera])
        behind_s = (max(newest_ns.values()) - newest_ns[late]) / NS_PER_S
        where, remedy = apart_words(behind_s, "check that it runs and that the clocks agree")
        return NotReady(
            f"camera '{late}' is {where} behind the others, more than thresholds.camera_skew_s = "
            f"{self._skew_ns / NS_PER_S:g} s; {remedy}"
        )

    def _joints_at(self, stamp_ns: int, not_before_ns: int) -> JointSample | NotReady:
        """Return the joints at a time: interpolated, or the nearest sample where none surround it."""
        joints: Sequence[JointSample] = self._joints.between(not_before_ns)
        if not joints:
            return NotReady("no joint state yet; check joint_states in the robot profile")
        after = bisect_left(joints, stamp_ns, key=lambda sample: sample.stamp_ns)
        if 0 < after < len(joints):
            return _interpolate(joints[after - 1], joints[after], stamp_ns)
        nearest = joints[-1] if after else joints[0]
        distance_ns = abs(nearest.stamp_ns - stamp_ns)
        if distance_ns > self._joint_age_ns:
            away, remedy = apart_words(distance_ns / NS_PER_S, "check the arm's driver")
            return NotReady(
                f"the joint state nearest to the images is {away} away, more than "
                f"thresholds.joint_state_age_s = {self._joint_age_ns / NS_PER_S:g} s; {remedy}"
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
