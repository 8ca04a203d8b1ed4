"""Bags as a LeRobot dataset of format v3.0 (docs/datasets.md)."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import DatasetError, unknown_choice
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.whole_files import whole_folder, write_json, write_whole
from video2act_ros.recording.datasets.dataset_episodes import (
    ExportOptions,
    ExportReport,
    source_episodes,
    whole_parts,
)
from video2act_ros.recording.datasets.lerobot_card import dataset_card
from video2act_ros.recording.datasets.lerobot_statistics import ImageHistogram, Statistics, of_numbers
from video2act_ros.recording.datasets.lerobot_video import CODECS, CameraVideo, Codec
from video2act_ros.recording.datasets.observations import Sample

VERSION = "v3.0"
FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
FIRST_FILE = FILE.format(chunk_index=0, file_index=0)

STATE, ACTION = "observation.state", "action"
INTERVENTION, SUCCESS, DONE = "intervention", "next.success", "next.done"
_FLAGS = (INTERVENTION, SUCCESS, DONE)
_COUNTERS = ("frame_index", "episode_index", "index", "task_index")

_TASK_COLUMN = "__index_level_0__"
_PANDAS = {  # so that pandas takes the tasks' texts for the index, as LeRobot expects
    "index_columns": [_TASK_COLUMN],
    "column_indexes": [],
    "columns": [
        {
            "name": name,
            "field_name": field,
            "pandas_type": kind,
            "numpy_type": "object" if kind == "unicode" else kind,
            "metadata": None,
        }
        for name, field, kind in (("task_index", "task_index", "int64"), (None, _TASK_COLUMN, "unicode"))
    ],
    "creator": {"library": "pyarrow", "version": ""},
    "pandas_version": "2.0.0",
}


def image_key(camera: str) -> str:
    """Return a camera's name in the dataset."""
    return f"observation.images.{camera}"


def export_lerobot(
    options: ExportOptions, folder: Path, codec: str = "h264", *, plain: bool = False
) -> ExportReport:
    """Write a dataset at `folder`, which appears only once it is whole.

    Args:
        options: what to export.
        folder: of the new dataset.
        codec: one of `CODECS`.
        plain: leave out who drove and what succeeded, as LeRobot's own recordings do: only equal features merge.

    Raises:
        DatasetError: `folder` exists, pyarrow is missing, or the bags do not give whole, labelled episodes.
        BagError: a bag cannot be read.
    """
    if find_spec("pyarrow") is None:
        raise DatasetError(
            "LeRobot datasets need pyarrow; install it: pip install -r requirements/analysis.txt"
        )
    if options.rate_hz != int(options.rate_hz):
        raise DatasetError(
            f"LeRobot takes whole rates only, got {options.rate_hz:g} Hz; choose another --rate"
        )
    if codec not in CODECS:
        raise DatasetError(unknown_choice("codec", codec, CODECS))
    if folder.exists():
        raise DatasetError(f"{folder} exists; delete it or choose another --output")
    with whole_folder(folder) as partial:
        return _write(options, partial, CODECS[codec], () if plain else _FLAGS)


def _write(options: ExportOptions, folder: Path, codec: Codec, flags: tuple[str, ...]) -> ExportReport:
    report = ExportReport()
    with DatasetWriter(folder, options.profile, int(options.rate_hz), codec, flags) as writer:
        for episode in source_episodes(options, report):
            for sample, begins in whole_parts(episode, episode.samples(options.rate_hz), options, report):
                if begins:
                    writer.end_episode(None)
                writer.add(sample, episode.task)
            writer.end_episode(episode.span.success)
        if not writer.lengths:
            raise DatasetError(f"no episode was exported: {'; '.join(report.problems)}")
        writer.finish([str(path) for path in options.bags])
    report.episodes, report.frames = len(writer.lengths), sum(writer.lengths)
    report.seconds = report.frames / options.rate_hz
    report.external_frames = int(sum(writer.columns[INTERVENTION]))
    return report


class DatasetWriter:
    """Writes one dataset: samples in, episode by episode, then `finish`. A context manager."""

    def __init__(
        self,
        folder: Path,
        profile: RobotProfile,
        fps: int,
        codec: Codec = CODECS["h264"],
        flags: tuple[str, ...] = _FLAGS,
    ) -> None:
        """Prepare; `flags` are those of the labels that the dataset shows."""
        self._hidden = frozenset(_FLAGS) - frozenset(flags)
        self._folder = folder
        self._profile = profile
        self._fps = fps
        self._videos = {
            name: CameraVideo(folder / "videos" / image_key(name), fps, codec)
            for name in profile.camera_names
        }
        self._open = ExitStack()
        self._histograms = {name: ImageHistogram() for name in profile.camera_names}
        self._episode_histograms = {name: ImageHistogram() for name in profile.camera_names}
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = []
        self.lengths: list[int] = []
        self._count = 0  # samples of the present episode
        self.columns: dict[str, list[Any]] = {
            name: [] for name in (STATE, ACTION, *_FLAGS, "timestamp", *_COUNTERS)
        }

    def __enter__(self) -> DatasetWriter:
        for video in self._videos.values():
            self._open.enter_context(closing(video))
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def add(self, sample: Sample, task: str) -> None:
        """Append a sample to the present episode."""
        for name, image in sample.observation.images.items():
            self._videos[name].add(image)
            self._episode_histograms[name].add(image)
        row = {
            STATE: np.asarray(sample.observation.joints, dtype=np.float32),
            ACTION: np.asarray(sample.action, dtype=np.float32),
            INTERVENTION: sample.external,
            SUCCESS: False,
            DONE: False,
            "timestamp": self._count / self._fps,
            "frame_index": self._count,
            "episode_index": len(self.lengths),
            "index": len(self.columns["index"]),
            "task_index": self._tasks.setdefault(task, len(self._tasks)),
        }
        for name, value in row.items():
            self.columns[name].append(value)
        self._count += 1

    def end_episode(self, success: bool | None) -> None:
        """End the present episode with its label, None where it has none; without samples there is none."""
        if not self._count:
            return
        self.columns[DONE][-1] = True
        self.columns[SUCCESS][-1] = bool(success)
        self._episodes.append(self._described(success))
        for name, histogram in self._episode_histograms.items():
            self._histograms[name].add_all(histogram)
        self._episode_histograms = {name: ImageHistogram() for name in self._videos}
        self.lengths.append(self._count)
        self._count = 0

    def finish(self, bags: list[str]) -> None:
        """Write what describes the dataset, once every episode is there."""
        self._open.close()
        self._write_data()
        self._write_table("meta/episodes/" + FIRST_FILE + ".parquet", self._episodes)
        self._write_tasks()
        write_json(self._folder / "meta" / "stats.json", _as_lists(self._statistics(self._histograms, 0)))
        info = self._info()
        write_json(self._folder / "meta" / "info.json", info)
        write_whole(self._folder / "README.md", dataset_card(info, list(self._tasks), bags))
        origin = {"bags": bags, "robot": self._profile.name, "units": "rad; grippers in [0, 1]"}
        write_json(self._folder / "meta" / "video2act.json", origin)

    # -- what describes an episode ------------------------------------------------------------------

    def _described(self, success: bool | None) -> dict[str, Any]:
        number, first = len(self.lengths), sum(self.lengths)
        names = {index: task for task, index in self._tasks.items()}
        row: dict[str, Any] = {
            "episode_index": number,
            "tasks": [names[index] for index in dict.fromkeys(self.columns["task_index"][first:])],
            "length": self._count,
            "success": success,
            "data/chunk_index": 0,
            "data/file_index": 0,
            "dataset_from_index": first,
            "dataset_to_index": first + self._count,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        for name, video in self._videos.items():
            part, prefix = video.end_episode(), f"videos/{image_key(name)}"
            row |= {
                f"{prefix}/chunk_index": 0,
                f"{prefix}/file_index": part.file,
                f"{prefix}/from_timestamp": part.from_s,
                f"{prefix}/to_timestamp": part.to_s,
            }
        for name, values in self._statistics(self._episode_histograms, first).items():
            row |= {f"stats/{name}/{key}": value.tolist() for key, value in values.items()}
        return row

    def _statistics(self, histograms: dict[str, ImageHistogram], first: int) -> dict[str, Statistics]:
        """Return the statistics of the samples from `first` on, and of the images that were counted."""
        numbers = {name: of_numbers(_rows(column[first:])) for name, column in self._shown.items()}
        images = {image_key(name): histogram.statistics() for name, histogram in histograms.items()}
        return numbers | images

    @property
    def _shown(self) -> dict[str, list[Any]]:
        return {name: column for name, column in self.columns.items() if name not in self._hidden}

    # -- files --------------------------------------------------------------------------------------

    def _write_data(self) -> None:
        import pyarrow as pa

        vector = pa.list_(pa.float32(), len(self._profile.joints))
        kinds = {STATE: vector, ACTION: vector, "timestamp": pa.float32()}
        kinds |= dict.fromkeys(_FLAGS, pa.bool_()) | dict.fromkeys(_COUNTERS, pa.int64())
        arrays = {
            name: pa.array(
                [value.tolist() for value in column] if name in (STATE, ACTION) else column, kinds[name]
            )
            for name, column in self._shown.items()
        }
        self._write_parquet("data/" + FIRST_FILE + ".parquet", pa.table(arrays))

    def _write_tasks(self) -> None:
        import pyarrow as pa

        table = pa.table(
            {"task_index": pa.array(self._tasks.values(), pa.int64()), _TASK_COLUMN: list(self._tasks)}
        )
        self._write_parquet(
            "meta/tasks.parquet", table.replace_schema_metadata({"pandas": json.dumps(_PANDAS)})
        )

    def _write_table(self, name: str, rows: list[dict[str, Any]]) -> None:
        import pyarrow as pa

        self._write_parquet(name, pa.Table.from_pylist(rows))

    def _write_parquet(self, name: str, table: Any) -> None:
        import pyarrow.parquet as pq

        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="snappy")

    def _info(self) -> dict[str, Any]:
        joints = list(self._profile.joint_names)
        features: dict[str, Any] = {
            name: {"dtype": "float32", "shape": [len(joints)], "names": joints} for name in (STATE, ACTION)
        }
        features |= {image_key(name): self._video_feature(video) for name, video in self._videos.items()}
        single = {"shape": [1], "names": None}
        features |= {name: {"dtype": "bool", **single} for name in _FLAGS if name not in self._hidden}
        features |= {"timestamp": {"dtype": "float32", **single}}
        features |= {name: {"dtype": "int64", **single} for name in _COUNTERS}
        return {
            "codebase_version": VERSION,
            "robot_type": self._profile.name,
            "total_episodes": len(self.lengths),
            "total_frames": sum(self.lengths),
            "total_tasks": len(self._tasks),
            "chunks_size": 1000,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": self._fps,
            "splits": {"train": f"0:{len(self.lengths)}"},
            "data_path": f"data/{FILE}.parquet",
            "video_path": f"videos/{{video_key}}/{FILE}.mp4",
            "features": features,
        }

    def _video_feature(self, video: CameraVideo) -> dict[str, Any]:
        width, height = video.size
        described = {
            "video.height": height,
            "video.width": width,
            **video.codec.info(),
            "video.fps": self._fps,
            "video.channels": 3,
            "has_audio": False,
            "is_depth_map": False,
        }
        names = ["height", "width", "channels"]
        return {"dtype": "video", "shape": [height, width, 3], "names": names, "info": described}


def _rows(column: list[Any]) -> NDArray[np.float64]:
    """Return a column as (N, D)."""
    values = np.asarray(column, dtype=np.float64)
    return values.reshape(len(values), -1)


def _as_lists(statistics: dict[str, Statistics]) -> dict[str, dict[str, Any]]:
    return {name: {key: value.tolist() for key, value in item.items()} for name, item in statistics.items()}
