"""Who publishes the inputs that the command node rests on: a topic with two sources is told, and both are named."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rclpy.node import Node

from video2act_ros.control.plausibility import SecondPublisher
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import LatentStream
from video2act_ros.ros import input_health
from video2act_ros.ros.bundle_switch import SYSTEMS

RESTARTED_S = 25.0
"""For so long two processes whose node has one name may be one that was started anew.

DDS goes on showing a killed process until its lease ends: 10 s by our profiles, 20 s by Fast DDS's default.
"""

_NAMELESS = ("_NODE_NAME_UNKNOWN_", "_CREATED_BY_BARE_DDS_APP_")
_PARTICIPANT = 12  # leading bytes of an endpoint's identity that are its process's


@dataclass(frozen=True, slots=True)
class _Topic:
    name: str
    publisher: str  # who should publish there, in words
    most: int = 1  # nodes that may
    of_arm: bool = False  # it matters whoever drives
    shared: Callable[[int], bool] = lambda count: False  # whether so many nodes may share the topic


class JointStreams:
    """Which joints the messages of a joint-state topic carry: several drivers may share it, each with its own."""

    def __init__(self) -> None:
        self._streams: dict[frozenset[str], float] = {}

    def note(self, names: Iterable[str]) -> None:
        """Take a message's joint names."""
        self._streams[frozenset(names)] = time.monotonic()

    def apart(self, count: int) -> bool:
        """Return whether `count` publishers carry no joint twice, as far as the messages of the last second show."""
        limit_s = time.monotonic() - 1.0
        self._streams = {names: seen_s for names, seen_s in self._streams.items() if seen_s >= limit_s}
        carried = sum(len(names) for names in self._streams)
        return len(self._streams) >= count and carried == len(frozenset().union(*self._streams))


class WatchedPublishers:
    """Looks in the ROS graph for topics of inputs on which more nodes publish than should.

    Nodes count by their full names. Two processes of one name count as two nodes only after `RESTARTED_S`, since a
    process that was started anew is seen beside its dead predecessor for a while, and a killed System 1 must come back.
    Endpoints that have no name yet count likewise. Not for the control thread; one thread.
    """

    def __init__(self, node: Node, profile: RobotProfile) -> None:
        self._node = node
        self.streams = tuple(JointStreams() for _ in profile.joint_states)
        self._topics = tuple(self._watched(profile))
        self._seen_s: dict[
            str, dict[bytes, float]
        ] = {}  # topics by the processes that publish there: since when

    def _watched(self, profile: RobotProfile) -> Iterator[_Topic]:
        for source, streams in zip(profile.joint_states, self.streams, strict=True):
            yield _Topic(source.topic, "the arm's driver", of_arm=True, shared=streams.apart)
        for camera in profile.cameras:
            yield _Topic(camera.topic, f"the camera driver of {camera.name}")
        yield _Topic("action_chunk", "System 1")
        yield _Topic(input_health.TOPIC, "System 1 and System 2", most=len(SYSTEMS))
        for stream in LatentStream:
            yield _Topic(f"latents/{stream.value}", "System 2")
        yield _Topic("run_state", "this command node")
        yield _Topic("external_command", "one source", of_arm=True)
        if self._node.get_parameter("use_sim_time").value:
            yield _Topic("/clock", "one clock", of_arm=True)

    def look(self) -> tuple[SecondPublisher, ...]:
        """Return the topics with too many publishers: who they are, and the remedy."""
        return tuple(second for topic in self._topics if (second := self._second(topic)) is not None)

    def _second(self, watched: _Topic) -> SecondPublisher | None:
        topic = self._node.resolve_topic_name(watched.name)
        if self._node.count_publishers(topic) <= watched.most:
            return None
        nodes = self._publishers(topic)
        count = sum(nodes.values())
        if count <= watched.most or watched.shared(count):
            return None
        names = ", ".join(
            f"{name} ({number} processes)" if number > 1 else name for name, number in nodes.items()
        )
        text = f"{count} nodes publish on {topic}: {names}; leave only {watched.publisher} there and stop the others"
        return SecondPublisher(topic, text, watched.of_arm)

    def _publishers(self, topic: str) -> dict[str, int]:
        """Return the nodes that publish on a topic, by full name: how many processes have it, for certain."""
        processes: dict[str, set[bytes]] = defaultdict(set)
        for info in self._node.get_publishers_info_by_topic(topic):
            process = bytes(info.endpoint_gid[:_PARTICIPANT])
            processes[f"{info.node_namespace.rstrip('/')}/{info.node_name}"].add(process)
        now_s, before = time.monotonic(), self._seen_s.get(topic, {})
        seen = {process: before.get(process, now_s) for found in processes.values() for process in found}
        self._seen_s[topic] = seen
        counts: dict[str, int] = {}
        for name, found in sorted(processes.items()):
            old = sum(now_s - seen[process] > RESTARTED_S for process in found)
            nameless = name.rpartition("/")[2] in _NAMELESS
            if number := old if nameless else max(old, 1):
                counts["a program without a node name" if nameless else name] = number
        return counts
