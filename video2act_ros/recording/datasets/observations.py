"""What the systems would have observed at times of one's own choice: a bag through the live nodes' synchroniser."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from video2act_ros.core.errors import BagError
from video2act_ros.core.synchroniser import NotReady, Synchroniser
from video2act_ros.core.types import (
    NS_PER_S,
    CameraFrame,
    FloatArray,
    JointSample,
    Observation,
    seconds_to_ns,
)
from video2act_ros.recording.datasets.drive_spans import DriveSpan
from video2act_ros.recording.reading.streams import RobotBag, Timed

_LATE_NS = NS_PER_S // 5  # a stream so far behind another has nothing about that time; less than is kept
_AROUND_NS = NS_PER_S  # read before and after a span, for joints and images at its ends
ACTION_WAIT_NS = NS_PER_S // 10  # from a time to the next command that counts as its action


@dataclass(frozen=True, slots=True)
class Sample:
    """What was observed at `time_ns`, what was commanded from then on (J,), and who drove."""

    time_ns: int
    observation: Observation
    action: FloatArray
    external: bool


@dataclass(frozen=True, slots=True)
class Hole:
    """Why there is no sample at `time_ns`."""

    time_ns: int
    reason: str


class Commands:
    """What was sent to the arm, to be asked by time."""

    def __init__(self, samples: Sequence[JointSample]) -> None:
        self._stamps_ns = np.array([sample.stamp_ns for sample in samples], dtype=np.int64)
        self._order = np.argsort(self._stamps_ns, kind="stable")
        self._stamps_ns = self._stamps_ns[self._order]
        self._positions = [samples[index].positions for index in self._order]

    def __len__(self) -> int:
        return len(self._positions)

    def at(self, time_ns: int) -> FloatArray | None:
        """Return the first command (J,) stamped at or after a time, in policy units; None where none follows soon."""
        index = int(np.searchsorted(self._stamps_ns, time_ns))
        if index == len(self._stamps_ns) or self._stamps_ns[index] - time_ns > ACTION_WAIT_NS:
            return None
        return self._positions[index]


def read_commands(robot: RobotBag) -> Commands:
    """Return every command of a bag.

    Raises:
        BagError: it holds none.
    """
    commands = Commands([item.value for item in robot.commands()])
    if not commands:
        topics = ", ".join(output.topic for output in robot.profile.commands)
        raise BagError(f"bag {robot.bag.path} holds no commands on {topics}; record while the arm is driven")
    return commands


def ticks(span: DriveSpan, rate_hz: float) -> list[int]:
    """Return the times [ns] of a span, `rate_hz` of them a second, from its begin on."""
    count = int((span.end_ns - span.start_ns) * rate_hz / NS_PER_S) + 1
    return [span.start_ns + round(index * NS_PER_S / rate_hz) for index in range(count)]


class Sampler:
    """Observations of one bag: images at most `camera_skew_s` apart and never later than the time asked for."""

    def __init__(self, robot: RobotBag, commands: Commands, cameras: tuple[str, ...] | None = None) -> None:
        self._robot = robot
        self._commands = commands
        self._cameras = cameras or robot.profile.camera_names

    def samples(self, span: DriveSpan, times_ns: Sequence[int]) -> Iterator[Sample | Hole]:
        """Give a sample or a hole for each of the rising times of a span."""
        thresholds = self._robot.profile.thresholds
        synchroniser = Synchroniser(
            self._cameras, thresholds.camera_skew_s, thresholds.joint_state_age_s.stop
        )
        oldest_ns = seconds_to_ns(min(thresholds.image_age_s.stop, 3600.0))
        waiting = iter(times_ns)
        time_ns = next(waiting, None)
        newest_joints_ns = 0
        for item in self._inputs(span):
            if isinstance(item.value, CameraFrame):
                synchroniser.add_frame(item.value)
            else:
                synchroniser.add_joints(item.value)
                newest_joints_ns = item.value.stamp_ns
            late_ns = item.value.stamp_ns - _LATE_NS
            while time_ns is not None and (
                late_ns > time_ns or _complete(synchroniser, newest_joints_ns, time_ns)
            ):
                yield self._sample(synchroniser, span, time_ns, oldest_ns)
                time_ns = next(waiting, None)
            if time_ns is None:
                return
        while time_ns is not None:
            yield self._sample(synchroniser, span, time_ns, oldest_ns)
            time_ns = next(waiting, None)

    def _inputs(self, span: DriveSpan) -> Iterator[Timed[CameraFrame] | Timed[JointSample]]:
        """Give frames and joints in the order of receipt, as the live callbacks get them."""
        around = (span.received_from_ns - _AROUND_NS, span.received_to_ns + _AROUND_NS)
        frames = self._robot.frames(self._cameras, None, *around)
        return heapq.merge(frames, self._robot.joint_samples(*around), key=lambda item: item.time_ns)

    def _sample(
        self, synchroniser: Synchroniser, span: DriveSpan, time_ns: int, oldest_ns: int
    ) -> Sample | Hole:
        observation = synchroniser.newest(span.instruction, time_ns - oldest_ns, time_ns)
        if isinstance(observation, NotReady):
            return Hole(time_ns, observation.reason)
        action = self._commands.at(time_ns)
        if action is None:
            return Hole(time_ns, "no command was sent")
        return Sample(time_ns, observation, action, span.is_external(time_ns))


def _complete(synchroniser: Synchroniser, newest_joints_ns: int, time_ns: int) -> bool:
    """Return whether every stream has passed a time, so that nothing about it can come any more."""
    stamps = synchroniser.newest_stamps_ns.values()
    return newest_joints_ns >= time_ns and all(stamp is not None and stamp >= time_ns for stamp in stamps)
