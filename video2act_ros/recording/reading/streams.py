"""A bag seen through a robot profile: camera frames, joints, latents, chunks and the rest as the project's types.

Messages go through the same functions as in the live nodes, so that a bag gives what the stack saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import cv2
import numpy as np

from video2act_ros.core.errors import BagError, InputError
from video2act_ros.core.motion import Vector
from video2act_ros.core.robot_profile import Camera, CommandOutput, RobotProfile
from video2act_ros.core.run_context import RunContext
from video2act_ros.core.types import ActionChunk, CameraFrame, JointSample, LatentStream, LatentTokens
from video2act_ros.recording.reading.bag import Bag, RawMessage
from video2act_ros.recording.reading.decode import (
    JointStateMerger,
    Message,
    check_joint_state,
    chunk_from_message,
    latents_from_message,
    run_context_from_message,
    stamp_to_ns,
)
from video2act_ros.recording.reading.decode_images import ENCODINGS, frame_from_compressed, frame_from_image

T = TypeVar("T")

_COMPRESSED = "sensor_msgs/msg/CompressedImage"
_IMAGES = ("sensor_msgs/msg/Image", _COMPRESSED)
_JOINT_STATE = "sensor_msgs/msg/JointState"
_COMMANDS = {
    "joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "joint_state": _JOINT_STATE,
    "forward_position": "std_msgs/msg/Float64MultiArray",
}
_OWN = {
    "action_chunk": "video2act_msgs/msg/ActionChunk",
    "run_state": "video2act_msgs/msg/RunState",
    "latents/spatial": "video2act_msgs/msg/Latents",
    "latents/motion": "video2act_msgs/msg/Latents",
    "task_success": "std_msgs/msg/Bool",
    "/parameter_events": "rcl_interfaces/msg/ParameterEvent",
}
_NAMESPACE_MARKS = ("action_chunk", "run_state", "latents/spatial")

_UNUSABLE = (
    InputError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    cv2.error,
)
"""What conversions raise on one message that cannot be used: it is left out and counted."""


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
        self._types = self._expected_types()
        self._others: dict[str, str] = {}  # by joint-state topic: joints of others there

    def _expected_types(self) -> dict[str, tuple[str, ...]]:
        """Return which message types count on each topic; others there are somebody else's."""
        types: dict[str, tuple[str, ...]] = {self.topic(name): (kind,) for name, kind in _OWN.items()}
        for camera in self.profile.cameras:
            types[self.topic(camera.topic)] = _IMAGES
            types[self.topic(f"{camera.topic}/compressed")] = (_COMPRESSED,)
        for source in self.profile.joint_states:
            types[self.topic(source.topic)] = (_JOINT_STATE,)
        for output in self.profile.commands:
            topic = self.topic(output.topic)
            types[topic] = (*types.get(topic, ()), _COMMANDS[output.type])
        return types

    def _wanted(self, topics: Iterable[str]) -> dict[str, tuple[str, ...]]:
        return {topic: self._types[topic] for topic in topics}

    def topic(self, name: str) -> str:
        """Return a name, relative to the stack's namespace, as the bag's topic."""
        return name if name.startswith("/") else f"{self.namespace}/{name}"

    def holds(self, name: str) -> bool:
        """Tell whether the bag holds messages of a topic."""
        topic = self.topic(name)
        found = self.bag.topics.get(topic)
        return found is not None and found.count_of(self._types.get(topic, found.counts)) > 0

    def require(self, *names: str) -> None:
        """Raise BagError where the bag lacks messages of a topic, or has them in another version or type."""
        for name in names:
            topic = self.topic(name)
            self.bag.require(topic)
            if not self.holds(name):
                raise BagError(
                    f"bag {self.bag.path} holds {self.bag.topics[topic].type} on {topic}, wanted is "
                    f"{' or '.join(self._types[topic])}; choose the robot profile of the recorded robot"
                )

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
        found = self.bag.topics[topic]
        compressed = found.count_of((_COMPRESSED,)) > found.count_of(_IMAGES[:1])
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
        yield from self._converted(decoders, start_ns, end_ns)

    def _frame_decoders(
        self, cameras: Iterable[str], wanted: Callable[[str, int], bool] | None
    ) -> dict[str, Callable[[Message], CameraFrame | None]]:
        """Return what decodes each camera topic's messages; None for frames that are not wanted."""

        def decoder(name: str, compressed: bool) -> Callable[[Message], CameraFrame | None]:
            convert = frame_from_compressed if compressed else self._raw_frame

            def decode(message: Message) -> CameraFrame | None:
                if wanted is not None and not wanted(name, stamp_to_ns(message.header.stamp)):
                    return None
                return convert(message, name)

            return decode

        sources = {name: self.camera_source(name) for name in cameras}
        return {source.topic: decoder(name, source.compressed) for name, source in sources.items()}

    def _raw_frame(self, message: Message, camera: str) -> CameraFrame:
        other = self.bag.reading.other_images
        if other is not None and message.encoding not in ENCODINGS:
            return other(message, camera)
        return frame_from_image(message, camera)

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
        values: Iterator[Timed[CameraFrame | LatentTokens | ActionChunk]] = self._converted(decoders)
        yield from values

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
            sample = merger.update(item.value[0], item.value[1], item.time_ns)
            if sample is not None:
                yield Timed(item.time_ns, sample)

    def joint_messages(
        self, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[Timed[tuple[int, Message]]]:
        """Give the usable joint states as they were recorded, each with the index of its source in the profile.

        Messages that carry none of the profile's joints, as a base's wheels on the same topic, are passed over.

        Raises:
            BagError: a topic is missing, or a joint was in no message, which is found out in the end.
        """
        self.require(*(source.topic for source in self.profile.joint_states))
        converters: dict[str, Callable[[Message], list[tuple[int, Message]]]] = {}
        for source in self.profile.joint_states:
            topic = self.topic(source.topic)
            converters[topic] = partial(self._joint_sources, topic)
        carried: set[str] = set()
        for item in self._converted(converters, start_ns, end_ns):
            for index, message in item.value:
                carried.update(self.profile.order(list(message.name), self.profile.joint_states[index]))
                yield Timed(item.time_ns, (index, message))
        if missing := [name for name in self.profile.joint_names if name not in carried]:
            reasons = [f"{topic} carries {names}" for topic, names in self._others.items()]
            reasons += self.bag.skipped.told(self.bag.start_ns)
            why = f" ({'; '.join(reasons)})" if reasons else ""
            raise BagError(
                f"bag {self.bag.path} carries no positions of {', '.join(missing)}{why}; "
                "choose the robot profile of the recorded robot"
            )

    def _joint_sources(self, topic: str, message: Message) -> list[tuple[int, Message]]:
        """Return a joint state with each source of the profile that it serves; none where it is another's."""
        names = frozenset(message.name)
        found = []
        for index, source in enumerate(self.profile.joint_states):
            carried = self.profile.carried_joints[index]
            ours = {source.names.get(joint, joint) for joint in carried} & names
            if self.topic(source.topic) == topic and ours:
                check_joint_state(message, ours, source.topic)
                found.append((index, message))
        if not found:
            self._others.setdefault(topic, ", ".join(message.name))
        return found

    def commands(self) -> Iterator[Timed[JointSample]]:
        """Give what was sent to the arm in policy units; in shadow nothing was.

        The stamp is when the command was due; where a message has none, when it was received.
        """
        outputs = {self.topic(item.topic): item for item in self.profile.commands if self.holds(item.topic)}
        positions = np.full(len(self.profile.joints), np.nan)  # robot units
        converters = {topic: partial(_command, output) for topic, output in outputs.items()}
        for item in self._converted(converters) if outputs else ():
            output, stamp_ns, commanded = item.value
            positions[[self.profile.joint_names.index(name) for name in output.joints]] = commanded
            if np.all(np.isfinite(positions)):
                yield Timed(
                    item.time_ns, JointSample(stamp_ns or item.time_ns, self.profile.to_policy(positions))
                )

    # -- the systems and the run --------------------------------------------------------------------

    def latents(self) -> Iterator[Timed[LatentTokens]]:
        """Give both streams' messages of System 2's updates."""
        yield from self._typed([f"latents/{stream.value}" for stream in LatentStream], latents_from_message)

    def chunks(self, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Timed[ActionChunk]]:
        """Give System 1's chunks received from `start_ns` to before `end_ns`.

        Raises:
            BagError: a chunk moves other joints than the profile's.
        """
        yield from self._typed(["action_chunk"], self._chunk, start_ns, end_ns)

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
        yield from _changes(self._typed(["task_success"], lambda message: bool(message.data)))

    def raw_messages(
        self, topics: Iterable[str], start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[RawMessage]:
        """Give the recorded bytes of some of the stack's and the profile's topics, by their names in the bag."""
        yield from self.bag.raw_messages(self._wanted(topics), start_ns, end_ns)

    def messages(self, name: str) -> Iterator[Timed[Message]]:
        """Give the messages of one of the stack's topics as they were recorded."""
        for item in self.bag.messages(self._wanted([self.topic(name)])):
            yield Timed(item.time_ns, item.message)

    def _converted(
        self,
        converters: Mapping[str, Callable[[Message], T | None]],
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> Iterator[Timed[T]]:
        """Give what the converters make of their topics' messages, without None; what cannot be used is counted."""
        for item in self.bag.messages(self._wanted(converters), start_ns, end_ns):
            try:
                value = converters[item.topic](item.message)
            except _UNUSABLE as error:
                self.bag.skip(item.topic, item.time_ns, error)
                continue
            if value is not None:
                yield Timed(item.time_ns, value)

    def _typed(
        self,
        names: list[str],
        convert: Callable[[Message], T],
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> Iterator[Timed[T]]:
        topics = [self.topic(name) for name in names]
        self._check_versions(topics)
        yield from self._converted(dict.fromkeys(topics, convert), start_ns, end_ns)

    def _check_versions(self, topics: Iterable[str]) -> None:
        for topic in topics:
            for kind in self._types[topic]:
                if topic in self.bag.topics and self.bag.topics[topic].count_of((kind,)):
                    self.bag.check_version(kind)


def find_namespace(bag: Bag) -> str:
    """Return the namespace of the recorded stack without a slash at its end; empty for the root.

    Raises:
        BagError: the bag holds several stacks.
    """
    for mark in _NAMESPACE_MARKS:
        found = sorted(
            name[: -len(mark) - 1]
            for name, topic in bag.topics.items()
            if name.endswith(f"/{mark}") and _OWN[mark] in topic.counts
        )
        if len(found) > 1:
            names = ", ".join(name or "/" for name in found)
            raise BagError(f"bag {bag.path} holds several stacks: {names}; choose one with --namespace")
        if found:
            return found[0]
    return ""


def _command(output: CommandOutput, message: Message) -> tuple[CommandOutput, int, Vector] | None:
    """Return a command's output, stamp [ns] (0: it has none) and set-point; None where it commands others' joints.

    Raises:
        InputError: it holds no set-point, or one that is not finite.
    """
    names = set(getattr(message, "joint_names", getattr(message, "name", ())))
    if names and names.isdisjoint(output.names.get(joint, joint) for joint in output.joints):
        return None
    positions = _commanded(output, message)
    if not np.all(np.isfinite(positions)):
        raise InputError(f"'{output.topic}' commands NaN or infinite positions")
    header = getattr(message, "header", None)
    return output, stamp_to_ns(header.stamp) if header else 0, positions


def _commanded(output: CommandOutput, message: Message) -> Vector:
    """Return one command message's set-point in the output's joint order, robot units.

    Of a trajectory that is the first point which is due later than its stamp.
    """
    if output.type == "forward_position":
        if len(message.data) != len(output.joints):
            raise InputError(
                f"'{output.topic}' carries {len(message.data)} values for {len(output.joints)} joints"
            )
        return np.asarray(message.data, dtype=np.float64)
    trajectory = output.type == "joint_trajectory"
    names = list(message.joint_names if trajectory else message.name)
    if trajectory and not len(message.points):
        raise InputError(f"'{output.topic}' carries a trajectory without points")
    values = _next_point(message.points).positions if trajectory else message.position
    if len(values) != len(names) or not {output.names.get(joint, joint) for joint in output.joints} <= set(
        names
    ):
        raise InputError(
            f"'{output.topic}' carries {len(values)} positions of {', '.join(names) or 'no joints'}"
        )
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
