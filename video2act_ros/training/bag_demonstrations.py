"""Bags as demonstrations in the training format: see `Demonstrations` in `dataset.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from video2act_ros.core.errors import DatasetError
from video2act_ros.core.images import resize_image
from video2act_ros.core.types import NS_PER_S
from video2act_ros.core.whole_files import whole_folder, write_json
from video2act_ros.recording.datasets.dataset_episodes import (
    ExportOptions,
    ExportReport,
    SourceEpisode,
    source_episodes,
    whole_parts,
)
from video2act_ros.recording.datasets.observations import Sample
from video2act_ros.training.dataset import FORMAT, MANIFEST_NAME
from video2act_ros.training.expert_episode import IMAGE_EVERY, TAIL_STEPS, image_kinds

CONTROL_HZ = 50
IMAGE_HZ = CONTROL_HZ / IMAGE_EVERY
_STEP_NS = NS_PER_S // CONTROL_HZ


def export_training(options: ExportOptions, folder: Path) -> ExportReport:
    """Write the successful episodes at `folder`, which appears only once it is whole.

    Images come every fifth control step whatever the options' rate is. The cube's position, a label that only the
    simulation knows, is zero throughout.

    Raises:
        DatasetError: `folder` exists, a camera that is trained on is missing, episodes have several instructions,
            or none was successful.
        BagError: a bag cannot be read.
    """
    cameras = tuple(dict.fromkeys(kind.camera for kind in image_kinds(left_wrist=False).values()))
    if missing := [name for name in cameras if name not in options.profile.camera_names]:
        raise DatasetError(
            f"training looks at {', '.join(cameras)}; robot profile '{options.profile.name}' lacks {', '.join(missing)}"
        )
    if folder.exists():
        raise DatasetError(f"{folder} exists; delete it or choose another --output")
    with whole_folder(folder) as partial:
        return _write(options, partial, cameras)


def _write(options: ExportOptions, folder: Path, cameras: tuple[str, ...]) -> ExportReport:
    report, tasks, shards = ExportReport(), set[str](), list[str]()
    for episode in source_episodes(options, report):
        if episode.span.success is False:
            report.problems.append(f"{episode.name} was no success and is left out")
            continue
        for part in _parts(episode, options, report, cameras):
            arrays = _arrays(episode, part, report.episodes)
            shards.append(f"episode_{report.episodes:06d}.safetensors")
            save_file(arrays, folder / shards[-1], metadata={"episodes": "1", "format": str(FORMAT)})
            report.episodes += 1
            report.frames += len(part)
            report.external_frames += sum(sample.external for sample in part)
            tasks.add(episode.task)
    if not shards:
        raise DatasetError(f"no episode can be trained on: {'; '.join(report.problems)}")
    if len(tasks) > 1:
        raise DatasetError(
            f"the bags have several instructions ({'; '.join(sorted(tasks))}); choose one with --task"
        )
    report.seconds = report.frames / IMAGE_HZ
    write_json(folder / MANIFEST_NAME, _manifest(options, tasks.pop(), shards))
    return report


def _parts(
    episode: SourceEpisode, options: ExportOptions, report: ExportReport, cameras: tuple[str, ...]
) -> Iterator[list[Sample]]:
    """Give the episode's parts without holes, images reduced to the sizes that are stored."""
    part: list[Sample] = []
    for sample, begins in whole_parts(episode, episode.samples(IMAGE_HZ, cameras), options, report):
        if begins and part:
            yield part
            part = []
        part.append(sample)
    if part:
        yield part


def _arrays(episode: SourceEpisode, part: list[Sample], number: int) -> dict[str, NDArray[Any]]:
    """Return what a shard holds of one part; the last target is held, so that a chunk fits after the last image."""
    steps = (len(part) - 1) * IMAGE_EVERY + 1
    times_ns = part[0].time_ns + _STEP_NS * np.arange(steps)
    targets = np.empty((steps, len(part[0].action)))
    for row, time_ns in enumerate(times_ns):
        target = episode.commands.at(int(time_ns))
        targets[row] = targets[row - 1] if target is None else target
    joints = _joints(episode, times_ns)
    images = {
        name: np.stack(
            [resize_image(sample.observation.images[kind.camera], kind.size, kind.size) for sample in part]
        )
        for name, kind in image_kinds(left_wrist=False).items()
    }
    return {
        **images,
        "image_step": np.arange(len(part), dtype=np.int32) * IMAGE_EVERY,
        "cube": np.zeros((len(part), 3), dtype=np.float32),
        "joints": _held(joints),
        "targets": _held(targets),
        "seed": np.array([number], dtype=np.int64),
        "noise_std": np.zeros(1, dtype=np.float32),
        "steps": np.array([steps + TAIL_STEPS], dtype=np.int32),
        "images": np.array([len(part)], dtype=np.int32),
    }


def _joints(episode: SourceEpisode, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the measured joints (S, J) at the times, interpolated."""
    span = episode.span
    around = (span.received_from_ns - NS_PER_S, span.received_to_ns + NS_PER_S)
    samples = [item.value for item in episode.robot.joint_samples(*around)]
    stamps_ns, first = np.unique([sample.stamp_ns for sample in samples], return_index=True)
    positions = np.stack([samples[index].positions for index in first])
    since = (times_ns - stamps_ns[0]).astype(np.float64)
    return np.stack([np.interp(since, stamps_ns - stamps_ns[0], column) for column in positions.T], axis=1)


def _held(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.concatenate([values, np.repeat(values[-1:], TAIL_STEPS, axis=0)]).astype(np.float32)


def _manifest(options: ExportOptions, task: str, shards: list[str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "recipe": {"task": task, "bags": [str(path) for path in options.bags]},
        "robot": options.profile.name,
        "joint_names": options.profile.joint_names,
        "instruction": task,
        "paraphrases": [],
        "episodes": len(shards),
        "shards": shards,
        "control_hz": CONTROL_HZ,
        "image_every": IMAGE_EVERY,
        "image_sizes": {name: kind.size for name, kind in image_kinds(left_wrist=False).items()},
    }
