"""A bag seen through a robot profile: camera frames, joints, latents, chunks and the rest as the project's types.

Messages go through the same functions as in the live nodes, so that a bag gives what the stack saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from video2act_ros.core.errors import BagError, InputError
from video2act_ros.core.motion import Vector
from video2act_ros.core.robot_profile import Camera, CommandOutput, RobotProfile
from video2act_ros.core.run_context import RunContext
from video2act_ros.core.types import ActionChunk, CameraFrame, JointSample, LatentStream, LatentTokens
from video2act_ros.recording.reading.bag import Bag
from video2act_ros.recording.reading.decode import (
    JointStateMerger,
    Message,
    chunk_from_message,
    latents_from_message,
    run_context_from_message,
    stamp_to_ns,
)
from video2act_ros.recording.reading.decode_images import frame_from_compressed, frame_from_image

T = TypeVar("T")

_COMPRESSED = "sensor_msgs/msg/CompressedImage"
_NAMESPACE_MARKS = ("action_chunk", "run_state", "latents/spatial")


@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """A value and when the recorder received its message [ns]."""

    time_ns: int
    value: T


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run state: what the control loop was doing, and the context that the systems saw."""

    stamp_ns: int
    state: str
    reason: str
    source: str  # policy or external
    context: RunContext


@dataclass(frozen=True, slots=True)
class CameraSource:
    """Where a camera's images lie in a bag; `as_seen` is false where the recorder compressed them with loss."""

    topic: str
    compressed: bool
    as_seen: bool


class RobotBag:
    """Typed streams of a bag, each in the order in which its messages were received."""

    def __init__(self, bag: Bag, profile: RobotProfile, namespace: str | None = None) -> None:
        """Look at `bag` as `profile` describes the robot.

        Args:
            bag: an open bag.
            profile: the robot's.
            namespace: of the recorded stack; None finds it.
        """
        self.bag = bag
        self.profile = profile
        self.namespace = find_namespace(bag) if namespace is None else namespace.rstrip("/")

    def topic(self, name: str) -> str:
        """Return a name, relative to the stack's namespace, as the bag's topic."""
        return name if name.startswith("/") else f"{self.namespace}/{name}"

    def holds(self, name: str) -> bool:
        """Tell whether the bag holds messages of a topic."""
        found = self.bag.topics.get(self.topic(name))
        return found is not None and found.count > 0

    def require(self, *names: str) -> None:
        """Raise BagError where the bag lacks messages of a topic, or holds them in another version."""
        self.bag.require(*(self.topic(name) for name in names))

    # -- cameras ------------------------------------------------------------------------------------

    def has_camera(self, name: str) -> bool:
        """Tell whether the bag holds images of the profile's camera of that name."""
        topics = [camera.topic for camera in self.profile.cameras if camera.name == name]
        return any(self.holds(topic) or self.holds(f"{topic}/compressed") for topic in topics)

    def camera_source(self, name: str) -> CameraSource:
        """Return where the profile's camera of that name lies: on its topic, or compressed by the recorder.

        Raises:
            BagError: the bag holds no images of it, or the profile has no such camera.
        """
        camera = next((item for item in self.profile.cameras if item.name == name), None)
        if camera is None:
            known = ", ".join(self.profile.camera_names)
            raise BagError(
                f"robot profile '{self.profile.name}' has no camera '{name}', only {known}; choose another profile"
            )
        for topic in (camera.topic, f"{camera.topic}/compressed"):
            if self.holds(topic):
                return self._source(camera, self.topic(topic))
        self.require(camera.topic)
        raise AssertionError("require names the missing topic")

    def _source(self, camera: Camera, topic: str) -> CameraSource:
        compressed = self.bag.topics[topic].type == _COMPRESSED
        return CameraSource(topic, compressed, compressed == (camera.transport == "compressed"))

    def frames(
        self,
        cameras: Iterable[str] | None = None,
        wanted: Callable[[str, int], bool] | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> Iterator[Timed[CameraFrame]]:
        """Give the frames of the cameras (None: all of the profile) as RGB, as the live nodes decode them.

        Args:
            cameras: by the profile's names.
            wanted: which to decode, by camera and capture stamp [ns]; None: all.
            start_ns: when the first may have been received; None: from the beginning.
            end_ns: before which time they were received; None: to the end.
        """
        names = self.profile.camera_names if cameras is None else tuple(cameras)
        decoders = self._frame_decoders(names, wanted)
        for item in self.bag.messages(decoders, start_ns, end_ns):
            if (frame := decoders[item.topic](item.message)) is not None:
                yield Timed(item.time_ns, frame)

    def _frame_decoders(
        self, cameras: Iterable[str], wanted: Callable[[str, int], bool] | None
    ) -> dict[str, Callable[[Message], CameraFrame | None]]:
        """Return what decodes each camera topic's messages; None for frames that are not wanted."""

        def decoder(name: str, compressed: bool) -> Callable[[Message], CameraFrame | None]:
            convert = frame_from_compressed if compressed else frame_from_image

            def decode(message: Message) -> CameraFrame | None:
                if wanted is not None and not wanted(name, stamp_to_ns(message.header.stamp)):
                    return None
                return convert(message, name)

            return decode

        sources = {name: self.camera_source(name) for name in cameras}
        return {source.topic: decoder(name, source.compressed) for name, source in sources.items()}

    def computed(
        self, cameras: Iterable[str] = (), wanted: Callable[[str, int], bool] | None = None
    ) -> Iterator[Timed[CameraFrame | LatentTokens | ActionChunk]]:
        """Give latents and chunks, and among them the frames of the cameras; arguments as of `frames`."""
        decoders: dict[str, Callable[[Message], CameraFrame | LatentTokens | ActionChunk | None]] = {}
        decoders.update(self._frame_decoders(cameras, wanted))
        for stream in LatentStream:
            decoders[self.topic(f"latents/{stream.value}")] = latents_from_message
        decoders[self.topic("action_chunk")] = self._chunk
        self._check_versions(decoders)
        for item in self.bag.messages(decoders):
            if (value := decoders[item.topic](item.message)) is not None:
                yield Timed(item.time_ns, value)

    # -- joints and commands ------------------------------------------------------------------------

    def joint_samples(
        self, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[Timed[JointSample]]:
        """Give measured joints in the profile's order and policy units.

        Raises:
            BagError: a topic is missing, or carries another robot's joints.
        """
        merger = JointStateMerger(self.profile)
        for item in self.joint_messages(start_ns, end_ns):
            try:
                sample = merger.update(item.value[0], item.value[1], item.time_ns)
            except InputError as error:
                raise BagError(f"bag {self.bag.path}: {error}") from error
            if sample is not None:
                yield Timed(item.time_ns, sample)
        if merger.missing:
            raise BagError(
                f"bag {self.bag.path} carries no positions of {', '.join(merger.missing)}; "
                "choose the robot profile of the recorded robot"
            )

    def joint_messages(
        self, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[Timed[tuple[int, Message]]]:
        """Give the joint states as they were recorded, each with the index of its source in the profile.

        Raises:
            BagError: a topic is missing.
        """
        topics = [self.topic(source.topic) for source in self.profile.joint_states]
        self.bag.require(*topics)
        for item in self.bag.messages(set(topics), start_ns, end_ns):
            yield Timed(item.time_ns, (topics.index(item.topic), item.message))

    def commands(self) -> Iterator[Timed[JointSample]]:
        """Give what was sent to the arm in policy units; in shadow nothing was.

        The stamp is when the command was due; where a message has none, when it was received.
        """
        outputs = {self.topic(item.topic): item for item in self.profile.commands if self.holds(item.topic)}
        positions = np.full(len(self.profile.joints), np.nan)  # robot units
        for item in self.bag.messages(outputs) if outputs else ():
            output = outputs[item.topic]
            indices = [self.profile.joint_names.index(name) for name in output.joints]
            positions[indices] = _commanded(output, item.message)
            if np.all(np.isfinite(positions)):
                header = getattr(item.message, "header", None)
                stamp_ns = (stamp_to_ns(header.stamp) if header else 0) or item.time_ns
                yield Timed(item.time_ns, JointSample(stamp_ns, self.profile.to_policy(positions)))

    # -- the systems and the run --------------------------------------------------------------------

    def latents(self) -> Iterator[Timed[LatentTokens]]:
        """Give both streams' messages of System 2's updates."""
        yield from self._typed([f"latents/{stream.value}" for stream in LatentStream], latents_from_message)

    def chunks(self) -> Iterator[Timed[ActionChunk]]:
        """Give System 1's chunks.

        Raises:
            BagError: a chunk moves other joints than the profile's.
        """
        yield from self._typed(["action_chunk"], self._chunk)

    def _chunk(self, message: Message) -> ActionChunk:
        chunk = chunk_from_message(message)
        if chunk.joint_names != self.profile.joint_names:
            raise BagError(
                f"bag {self.bag.path} moves the joints {', '.join(chunk.joint_names)}, robot profile "
                f"'{self.profile.name}' has {', '.join(self.profile.joint_names)}; give the recorded robot's"
            )
        return chunk

    def run_states(self) -> Iterator[Timed[RunRecord]]:
        """Give the run states."""
        yield from self._typed(["run_state"], _run_record)

    def instructions(self) -> Iterator[Timed[str]]:
        """Give each change of the instruction in force, as the run states name it."""
        yield from _changes(Timed(item.time_ns, item.value.context.instruction) for item in self.run_states())

    def task_success(self) -> Iterator[Timed[bool]]:
        """Give each change of the simulated task's success."""
        yield from _changes(
            Timed(item.time_ns, bool(item.value.data)) for item in self._messages("task_success")
        )

    def _messages(self, name: str) -> Iterator[Timed[Message]]:
        for item in self.bag.messages([self.topic(name)]):
            yield Timed(item.time_ns, item.message)

    def _typed(self, names: list[str], convert: Callable[[Message], T]) -> Iterator[Timed[T]]:
        topics = [self.topic(name) for name in names]
        self._check_versions(topics)
        for item in self.bag.messages(topics):
            yield Timed(item.time_ns, convert(item.message))

    def _check_versions(self, topics: Iterable[str]) -> None:
        for topic in topics:
            if topic in self.bag.topics:
                self.bag.check_version(self.bag.topics[topic].type)


def find_namespace(bag: Bag) -> str:
    """Return the namespace of the recorded stack without a slash at its end; empty for the root.

    Raises:
        BagError: the bag holds several stacks.
    """
    for mark in _NAMESPACE_MARKS:
        found = sorted(topic[: -len(mark) - 1] for topic in bag.topics if topic.endswith(f"/{mark}"))
        if len(found) > 1:
            names = ", ".join(name or "/" for name in found)
            raise BagError(f"bag {bag.path} holds several stacks: {names}; choose one with --namespace")
        if found:
            return found[0]
    return ""


def _commanded(output: CommandOutput, message: Message) -> Vector:
    """Return one command message's set-point in the output's joint order, robot units.

    Of a trajectory that is the first point which is due later than its stamp.
    """
    if output.type == "forward_position":
        return np.asarray(message.data, dtype=np.float64)
    trajectory = output.type == "joint_trajectory"
    names = list(message.joint_names if trajectory else message.name)
    values = _next_point(message.points).positions if trajectory else message.position
    given = dict(zip(names, values, strict=True))
    return np.array([given[output.names.get(joint, joint)] for joint in output.joints], dtype=np.float64)


def _next_point(points: Sequence[Any]) -> Any:
    later = (point for point in points if point.time_from_start.sec or point.time_from_start.nanosec)
    return next(later, points[0])


def _run_record(message: Message) -> RunRecord:
    return RunRecord(
        stamp_to_ns(message.header.stamp),
        message.state,
        message.reason,
        message.source,
        run_context_from_message(message),
    )


def _changes(items: Iterable[Timed[T]]) -> Iterator[Timed[T]]:
    """Leave out values that are equal to their predecessor."""
    previous: Timed[T] | None = None
    for item in items:
        if previous is None or item.value != previous.value:
            yield item
        previous = item
