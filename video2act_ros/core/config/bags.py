"""Parameters of the nodes that write and play bags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from video2act_ros.core.config.parameter import NodeConfig, parameter


@dataclass(frozen=True, slots=True)
class RecorderConfig(NodeConfig):
    """Parameters of `/recorder`."""

    NODE_NAME: ClassVar[str] = "recorder"

    bag: str = parameter(
        "",
        "bag that begins at the start: a new folder, or true: one named after the time in `folder`; "
        "empty or standby: none",
    )
    folder: str = parameter("out/bags", "folder of the bags that are named after the time")
    topics: str = parameter(".*", "regular expression of the topics that are recorded, the whole name")
    exclude: str = parameter(
        ".*/true_joint_states", "regular expression of topics that are not recorded, the whole name"
    )
    images: str = parameter(
        "raw", "images as they come, or as JPEG on <topic>/compressed", choices=("raw", "jpeg")
    )
    jpeg_quality: int = parameter(90, "quality of JPEG images", minimum=1, maximum=100)
    compression: str = parameter("none", "of the bag's chunks, without loss", choices=("none", "lz4", "zstd"))
    queue_mb: int = parameter(
        512,
        "messages that may wait for the disk; beyond it they are dropped and counted",
        unit="MB",
        minimum=1,
        maximum=65536,
    )
    depth: int = parameter(
        1000,
        "messages of each topic that may wait in the middleware; of images at most 100",
        minimum=1,
        maximum=10000,
    )
    min_free_mb: int = parameter(
        500, "the bag ends while there is still so much free space on its disk", unit="MB", minimum=0
    )
    ring_s: float = parameter(
        0.0,
        "time kept in memory and saved on a fault or by save_recording; 0 keeps nothing",
        unit="s",
        minimum=0.0,
        maximum=3600.0,
    )
    ring_mb: int = parameter(
        1024, "largest size of what is kept in memory", unit="MB", minimum=1, maximum=65536
    )


@dataclass(frozen=True, slots=True)
class ReplayConfig(NodeConfig):
    """Parameters of `/replay`."""

    NODE_NAME: ClassVar[str] = "replay"

    bag: str = parameter("", "bag to replay: its folder, or a bare .mcap file")
    rate: float = parameter(
        1.0, "speed relative to the recording; 0 publishes as fast as possible", minimum=0.0, maximum=100.0
    )
    start_s: float = parameter(0.0, "begin so long after the bag's begin", unit="s", minimum=0.0, maximum=1e9)
    duration_s: float = parameter(
        0.0, "replay so much of the bag; 0 replays to its end", unit="s", minimum=0.0, maximum=1e9
    )
    recorded_namespace: str = parameter("", "namespace of the recorded stack; empty finds the only one")
    loop: bool = parameter(False, "begin again at the end, in a new episode, until stopped")
    recorded: bool = parameter(
        False, "also publish the recorded chunks, latents and run states, on recorded/… topics"
    )
    wait_s: float = parameter(
        60.0,
        "largest time to wait for both systems to listen; 0 begins at once",
        unit="s",
        minimum=0.0,
        maximum=3600.0,
    )
    report: str = parameter("", "JSON file for the figures at the end; empty writes none")
