"""Messages of a bag that cannot be used: how many, where and why."""

from __future__ import annotations

from video2act_ros.core.types import NS_PER_S


class SkippedMessages:
    """Counts each message once, however often the bag is read."""

    def __init__(self) -> None:
        self._reasons: dict[str, dict[int, str]] = {}  # by topic and time of receipt [ns]

    def __len__(self) -> int:
        return sum(len(found) for found in self._reasons.values())

    def add(self, topic: str, time_ns: int, reason: str) -> None:
        """Note one message."""
        self._reasons.setdefault(topic, {}).setdefault(time_ns, reason)

    def told(self, start_ns: int) -> list[str]:
        """Return one line for each topic; times count from `start_ns`, the bag's begin."""
        lines = []
        for topic, found in sorted(self._reasons.items()):
            first_ns = min(found)
            count = f"{len(found)} message{'s' if len(found) > 1 else ''}"
            lines.append(
                f"{count} on {topic} cannot be used, the first after {(first_ns - start_ns) / NS_PER_S:.2f} s: "
                f"{found[first_ns]}"
            )
        return lines
