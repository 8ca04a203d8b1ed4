"""What goes into a bag: topics with the quality of service they were offered with, and messages as bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from video2act_ros.core.types import NS_PER_S

INFINITE_NS = 2**63 - 1
"""How rosbag2 writes a duration without end."""

CLOSE_S = 8.0
"""How long ending a bag may take: what waits must reach the disk."""


@dataclass(frozen=True, slots=True)
class OfferedQos:
    """What one publisher of a topic offers, in rosbag2's words; durations in nanoseconds."""

    reliability: str = "reliable"
    durability: str = "volatile"
    history: str = "unknown"  # publishers do not tell it over the network
    depth: int = 0
    deadline_ns: int = INFINITE_NS
    lifespan_ns: int = INFINITE_NS
    liveliness: str = "automatic"
    liveliness_lease_ns: int = INFINITE_NS

    def as_rosbag2(self) -> dict[str, Any]:
        """Return the mapping that rosbag2 keeps of a profile."""
        return {
            "history": self.history,
            "depth": self.depth,
            "reliability": self.reliability,
            "durability": self.durability,
            "deadline": _duration(self.deadline_ns),
            "lifespan": _duration(self.lifespan_ns),
            "liveliness": self.liveliness,
            "liveliness_lease_duration": _duration(self.liveliness_lease_ns),
            "avoid_ros_namespace_conventions": False,
        }


@dataclass(frozen=True, slots=True)
class RecordedTopic:
    """A topic, its message type (`package/msg/Name`) and what its publishers offer."""

    name: str
    type: str
    qos: tuple[OfferedQos, ...] = (OfferedQos(),)

    @property
    def latched(self) -> bool:
        """Whether late joiners get the newest message: then a bag that begins late must hold it too."""
        return bool(self.qos) and all(item.durability == "transient_local" for item in self.qos)


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """One message: CDR bytes with their four header bytes, received at `log_ns`, sent at `publish_ns`."""

    topic: RecordedTopic
    log_ns: int
    publish_ns: int
    data: bytes
    sequence: int = 0  # the publisher's own count
    state_of: bytes = b""  # whose state this is, where only the newest counts; empty: an event

    def __post_init__(self) -> None:
        """Replace times that no bag can hold: that of receipt by now, that of sending by the receipt."""
        if not 0 < self.log_ns <= INFINITE_NS:
            object.__setattr__(self, "log_ns", time.time_ns())
        if not 0 <= self.publish_ns <= INFINITE_NS:
            object.__setattr__(self, "publish_ns", self.log_ns)


def _duration(nanoseconds: int) -> dict[str, int]:
    seconds, rest = divmod(nanoseconds, NS_PER_S)
    return {"sec": seconds, "nsec": rest}
