"""The `metadata.yaml` of a bag: rosbag2's own index of what a bag's folder holds, layout version 9."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

METADATA_FILE = "metadata.yaml"
LAYOUT_VERSION = 9
_UNFOLDED = 1 << 30  # longer than any value
_WHEELS = {"7": "jazzy", "9": "kilted"}  # by rclpy's first number

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(slots=True)
class TopicCount:
    """A topic as `metadata.yaml` describes it; `qos` are rosbag2's mappings."""

    name: str
    type: str
    hash: str
    qos: list[dict[str, Any]]
    count: int = 0


@dataclass(slots=True)
class FileCount:
    """One storage file of a bag; times in nanoseconds, 0 as long as there are none."""

    path: str
    first_ns: int = 0
    last_ns: int = 0
    messages: int = 0

    def content(self) -> dict[str, Any]:
        """Return the file as `metadata.yaml` describes it."""
        return {
            "path": self.path,
            "starting_time": {"nanoseconds_since_epoch": self.first_ns},
            "duration": {"nanoseconds": self.last_ns - self.first_ns},
            "message_count": self.messages,
        }


@dataclass(slots=True)
class BagSummary:
    """What is in a bag so far. Messages are counted for the last file."""

    files: list[FileCount]
    topics: dict[str, TopicCount] = field(default_factory=dict)
    custom: dict[str, str] = field(default_factory=dict)
    distribution: str = ""  # of ROS 2, that recorded; empty: the present one
    compression_format: str = ""  # of single messages
    compression_mode: str = ""

    def count(self, topic: str, log_ns: int) -> None:
        """Note one message."""
        file = self.files[-1]
        file.messages += 1
        file.first_ns = min(file.first_ns or log_ns, log_ns)
        file.last_ns = max(file.last_ns, log_ns)
        self.topics[topic].count += 1

    def note(self, name: str, fields: Mapping[str, str]) -> None:
        """Note a metadata record in the custom data; values of several lines stay in the record only."""
        number = sum(key.startswith(f"{name}.") for key in self.custom)
        text = "; ".join(f"{key}={value}" for key, value in fields.items() if "\n" not in value)
        self.custom[f"{name}.{number}"] = text

    @property
    def messages(self) -> int:
        """Number of messages in all files."""
        return sum(file.messages for file in self.files)

    def content(self) -> dict[str, Any]:
        """Return the content of `metadata.yaml` below its one key."""
        first_ns = min((file.first_ns for file in self.files if file.messages), default=0)
        last_ns = max((file.last_ns for file in self.files), default=0)
        return {
            "version": LAYOUT_VERSION,
            "storage_identifier": "mcap",
            "relative_file_paths": [file.path for file in self.files],
            "duration": {"nanoseconds": last_ns - first_ns},
            "starting_time": {"nanoseconds_since_epoch": first_ns},
            "message_count": self.messages,
            "topics_with_message_count": [_topic(topic) for topic in self.topics.values()],
            "compression_format": self.compression_format,
            "compression_mode": self.compression_mode,
            "files": [file.content() for file in self.files],
            "custom_data": dict(self.custom) or None,
            "ros_distro": self.distribution or _distribution(),
        }

    def write(self, folder: Path) -> None:
        """Write `metadata.yaml`; it is replaced as a whole or stays as it was.

        Raises:
            OSError: the folder takes no file.
        """
        temporary = folder / f"{METADATA_FILE}.partial"
        try:
            temporary.write_text(dump({"rosbag2_bagfile_information": self.content()}))
            temporary.replace(folder / METADATA_FILE)
        finally:
            temporary.unlink(missing_ok=True)


def read_metadata(folder: Path) -> dict[str, Any]:
    """Return what a bag's `metadata.yaml` says; nothing where there is none that can be read."""
    try:
        return metadata_content((folder / METADATA_FILE).read_text())
    except (OSError, ValueError):
        return {}


def metadata_content(text: str) -> dict[str, Any]:
    """Return the content of a `metadata.yaml`, with or without its one key; nothing where it cannot be read."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    if isinstance(content, dict):
        content = content.get("rosbag2_bagfile_information", content)
    return content if isinstance(content, dict) else {}


def natural_order(path: Path) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts `bag_2` before `bag_10`."""
    parts = re.split(r"(\d+)", path.name)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)


def _distribution() -> str:
    """Return the ROS 2 distribution that was sourced, or the one that the wheels are of."""
    if sourced := os.environ.get("ROS_DISTRO"):
        return sourced
    try:
        return _WHEELS.get(metadata.version("rclpy").split(".")[0], "unknown")
    except metadata.PackageNotFoundError:
        return "unknown"


def dump(content: Mapping[str, Any] | list[dict[str, Any]]) -> str:
    """Return YAML with every mapping written out and every value on one line.

    rosbag2's parser knows no references, and simpler ones give up at folded values.
    """
    return str(yaml.dump(content, Dumper=_NoReferences, sort_keys=False, allow_unicode=True, width=_UNFOLDED))


class _NoReferences(_Dumper):  # type: ignore[misc,valid-type]
    def ignore_aliases(self, data: object) -> bool:
        return True


def _on_one_line(dumper: Any, text: str) -> Any:
    style = '"' if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_NoReferences.add_representer(str, _on_one_line)


def _topic(topic: TopicCount) -> dict[str, Any]:
    return {
        "topic_metadata": {
            "name": topic.name,
            "type": topic.type,
            "serialization_format": "cdr",
            "offered_qos_profiles": topic.qos,
            "type_description_hash": topic.hash,
        },
        "message_count": topic.count,
    }
