"""The card of a LeRobot dataset: the README.md that dataset hubs read and show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

_HEAD = {
    "task_categories": ["robotics"],
    "tags": ["LeRobot"],
    "configs": [{"config_name": "default", "data_files": "data/*/*.parquet"}],
}


def dataset_card(info: dict[str, Any], tasks: Sequence[str], bags: Sequence[str]) -> str:
    """Return the card as Markdown with its head in YAML.

    Args:
        info: the content of `meta/info.json`.
        tasks: instructions of the episodes.
        bags: names of the recordings that the episodes were taken from.
    """
    seconds = info["total_frames"] / info["fps"]
    return "\n".join(
        [
            "---",
            yaml.safe_dump(_HEAD, sort_keys=False).rstrip(),
            "---",
            "",
            f"# Episodes of {info['robot_type']}",
            "",
            f"{info['total_episodes']} episodes, {info['total_frames']} samples at {info['fps']} Hz ({seconds:.1f} s), "
            "in the LeRobot format " + info["codebase_version"] + ", exported from bags by video2act_ros.",
            "",
            "Joints are in rad, grippers in [0, 1]; an action is the command that was sent from its sample on.",
            "`intervention` is true while somebody else drove; `next.success` only where that was told.",
            "The quantiles in `meta/stats.json` are those of all samples, not averages of the episodes' quantiles.",
            "",
            "## Tasks",
            "",
            *(f"- {task}" for task in tasks),
            "",
            "## Recordings",
            "",
            *(f"- {Path(bag).name}" for bag in bags),
            "",
            "## Structure",
            "",
            "[meta/info.json](meta/info.json):",
            "",
            "```json",
            json.dumps(info, indent=4, ensure_ascii=False),
            "```",
            "",
        ]
    )
