"""Takes every message of many topics as bytes, past the executor: what the recorder does."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from video2act_ros.core.errors import describe_error
from video2act_ros.recording.writing.bag_records import OfferedQos, RecordedMessage, RecordedTopic
from video2act_ros.recording.writing.jpeg_images import COMPRESSED_IMAGE, IMAGE
from video2act_ros.ros.sequences import Sequences

PERIOD_S = 0.01
"""Between two looks at all topics: messages wait in the middleware meanwhile, with the time they came."""

IMAGE_DEPTH = 100
"""Of images: three seconds of a camera, up to a hundred megabytes each."""

IMAGES = (IMAGE, COMPRESSED_IMAGE)

_STOP_S = 2.0


@dataclass(slots=True)
class _Entry:
    topic: RecordedTopic
    message_type: type[Any]
    profile: QoSProfile
    subscription: Any
    publishers: int
    sequences: Sequences = field(default_factory=Sequences)


class RawTopics:
    """Subscribes to topics as they appear, with what their publishers offer, and hands on their messages.

    One thread asks the middleware for messages on a fixed beat, many at a time: a wake-up for each message
    would cost several times as much, and cost it the other processes. No executor knows the subscriptions.
    """

    def __init__(
        self,
        owner: Node,
        depth: int,
        wanted: Callable[[str, str, frozenset[str]], bool],
        receive: Callable[[RecordedMessage], None],
        on_problem: Callable[[str, Exception], None],
    ) -> None:
        """Prepare; `start` begins.

        Args:
            owner: node whose context and namespace are used.
            depth: messages of one topic that may wait.
            wanted: whether to take a topic, given its name, its type and the names of all topics.
            receive: called with each message, in the thread.
            on_problem: called with a topic and what went wrong with it, in any thread; the others go on.
        """
        self._node = Node(
            f"_{owner.get_name()}_topics",
            context=owner.context,
            namespace=owner.get_namespace(),
            start_parameter_services=False,
            enable_rosout=False,
            use_global_arguments=False,
        )
        self._depth = depth
        self._wanted = wanted
        self._receive = receive
        self._on_problem = on_problem
        self._lock = threading.Lock()  # of the subscriptions: taken by the thread and by `scan`
        self._entries: dict[str, _Entry] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="raw_topics", daemon=True)
        self.lost: dict[str, int] = {}
        self.failed: dict[str, int] = {}  # messages that could not be taken or kept
        self.unavailable: dict[str, str] = {}

    def start(self) -> None:
        """Begin to take messages."""
        self.scan()
        self._thread.start()

    def stop(self) -> None:
        """Take what has come, end the thread and the subscriptions."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)
        with self._lock:
            self._entries.clear()
        self._node.destroy_node()

    @property
    def stands(self) -> bool:
        """Whether the thread is gone although nobody stopped it: no message is taken any more."""
        return self._thread.ident is not None and not (self._thread.is_alive() or self._stopping.is_set())

    @property
    def topics(self) -> frozenset[str]:
        """Names of the topics that are taken."""
        return frozenset(self._entries)

    def scan(self) -> None:
        """Subscribe to new topics, and anew where publishers offer something else than before."""
        present = self._node.get_topic_names_and_types()
        names = frozenset(name for name, _ in present)
        for name, types in present:
            if any(part.startswith("_") for part in name.split("/")) or not self._wanted(
                name, types[0], names
            ):
                continue
            count = self._node.count_publishers(name)
            known = self._entries.get(name)
            if count and (known is None or known.publishers != count) and name not in self.unavailable:
                try:
                    self._subscribe(name, types[0], count)
                except Exception as error:  # noqa: BLE001
                    self.unavailable[name] = f"{name} is not recorded: {describe_error(error)}"

    def _subscribe(self, name: str, type_name: str, count: int) -> None:
        endpoints = [info.qos_profile for info in self._node.get_publishers_info_by_topic(name)]
        depth = min(self._depth, IMAGE_DEPTH) if type_name in IMAGES else self._depth
        profile = matching_profile(endpoints, depth)
        topic = RecordedTopic(name, type_name, tuple(offered_qos(item) for item in endpoints))
        known = self._entries.get(name)
        if known is not None and known.profile == profile:
            known.publishers = count
            return
        message_type = self._import(name, type_name)
        if message_type is None:
            return
        with self._lock:
            subscription = self._node.create_subscription(message_type, name, _unused, profile, raw=True)
            sequences = known.sequences if known else Sequences()
            self._entries[name] = _Entry(topic, message_type, profile, subscription, count, sequences)
            if known is not None:
                self._node.destroy_subscription(known.subscription)

    def _import(self, name: str, type_name: str) -> type[Any] | None:
        package, *_, short = type_name.split("/")
        try:
            found: type[Any] = getattr(importlib.import_module(f"{package}.msg"), short)
            return found
        except (ImportError, AttributeError):
            self.unavailable[name] = f"{name} is not recorded: {type_name} is not installed here"
            return None

    # -- in the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_S):
            self._take_all()
        self._take_all()

    def _take_all(self) -> None:
        with self._lock:
            for entry in self._entries.values():
                try:
                    self._take(entry)
                except Exception as error:  # noqa: BLE001
                    self._failed(entry, error)

    def _take(self, entry: _Entry) -> None:
        for _ in range(self._depth):  # bounded: other topics want their turn
            taken = entry.subscription.handle.take_message(entry.message_type, True)
            if taken is None:
                return
            try:
                self._handle(entry, *taken)
            except Exception as error:  # noqa: BLE001
                self._failed(entry, error)  # it costs this message

    def _failed(self, entry: _Entry, error: Exception) -> None:
        name = entry.topic.name
        self.failed[name] = self.failed.get(name, 0) + 1
        self._on_problem(name, error)

    def _handle(self, entry: _Entry, data: bytes, info: dict[str, Any]) -> None:
        publisher = bytes((info.get("publisher_gid") or {}).get("data", b""))
        sequence = int(info.get("publication_sequence_number") or 0)
        received_ns = int(info.get("received_timestamp") or 0)
        if received_ns <= 0:  # the middleware does not tell it
            received_ns = time.time_ns()
        sent_ns = (
            max(int(info.get("source_timestamp") or 0), 0) or received_ns
        )  # some tell -1 where there is none
        arrival = entry.sequences.arrive(publisher, sequence, sent_ns, entry.publishers)
        if arrival.repeated:
            return  # from a new subscription
        if arrival.missing:
            self.lost[entry.topic.name] = self.lost.get(entry.topic.name, 0) + arrival.missing
        state_of = arrival.publisher or b"?" if entry.topic.latched else b""
        self._receive(RecordedMessage(entry.topic, received_ns, sent_ns, data, sequence, state_of))


def matching_profile(offered: list[QoSProfile], depth: int) -> QoSProfile:
    """Return the strictest profile that matches every publisher, keeping `depth` messages."""
    reliable = all(item.reliability == ReliabilityPolicy.RELIABLE for item in offered)
    latched = all(item.durability == DurabilityPolicy.TRANSIENT_LOCAL for item in offered)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def offered_qos(profile: QoSProfile) -> OfferedQos:
    """Return a publisher's profile in the words of bags."""
    return replace(
        OfferedQos(),
        reliability=profile.reliability.name.lower(),
        durability=profile.durability.name.lower(),
        history=profile.history.name.lower(),
        depth=profile.depth,
        deadline_ns=profile.deadline.nanoseconds,
        lifespan_ns=profile.lifespan.nanoseconds,
        liveliness=profile.liveliness.name.lower(),
        liveliness_lease_ns=profile.liveliness_lease_duration.nanoseconds,
    )


def _unused(message: bytes) -> None:
    """Subscriptions want a callback; no executor calls it."""
