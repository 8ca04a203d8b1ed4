"""Reading recorded demonstrations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from video2act_ros.core.confined import is_inside, is_plain_name
from video2act_ros.core.errors import DatasetError
from video2act_ros.core.types import ImageArray

FORMAT = 1
MANIFEST_NAME = "manifest.json"

_COUNTS = ("steps", "images")
_PER_STEP = ("joints", "targets")


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """All episodes of a dataset, concatenated; M images, S control steps, E episodes.

    Positions are in policy units (rad; grippers in [0, 1]). Image m of episode e was taken just before
    control step `image_row[m]`, so the actions that follow it are `targets[image_row[m] :]` and its joints
    `joints[image_row[m]]`. Every image has at least 64 steps of its own episode after it.
    """

    task: str
    instruction: str
    paraphrases: tuple[str, ...]
    joint_names: tuple[str, ...]
    control_hz: float
    image_hz: float
    images: dict[str, ImageArray]  # {"cam_high": (M, 96, 96, 3) u8 RGB, "cam_right_wrist", "cam_high_64", …}
    image_row: NDArray[np.int64]  # (M,) row of `joints` and `targets`
    image_episode: NDArray[np.int64]  # (M,)
    cube: NDArray[np.float32]  # (M, 3) m, privileged: a label for training, never an input
    joints: NDArray[np.float32]  # (S, J) measured
    targets: NDArray[np.float32]  # (S, J) the expert's targets, without execution noise
    step_start: NDArray[np.int64]  # (E + 1,) first row of each episode
    image_start: NDArray[np.int64]  # (E + 1,) first image of each episode
    seeds: NDArray[np.int64]  # (E,)
    noise_std: NDArray[np.float32]  # (E,) execution noise

    @property
    def episodes(self) -> int:
        """How many episodes there are."""
        return len(self.seeds)

    def chunks(self, images: NDArray[np.int64], horizon: int) -> NDArray[np.float32]:
        """Return the targets (B, horizon, J) that follow the images numbered `images` (B,)."""
        rows = self.image_row[images][:, None] + np.arange(horizon)  # (B, horizon)
        last = self.step_start[self.image_episode[images] + 1] - 1  # (B,)
        return self.targets[np.minimum(rows, last[:, None])]

    def window(self, images: NDArray[np.int64], length: int, stride: int = 1) -> NDArray[np.int64]:
        """Return image numbers (B, length), oldest first, ending at `images` (B,), `stride` images apart.

        Before an episode's first image that image is repeated, as at serving time.
        """
        back = np.arange(length - 1, -1, -1) * stride
        first = self.image_start[self.image_episode[images]]  # (B,)
        return np.maximum(images[:, None] - back, first[:, None])


def shard_episodes(path: Path) -> int:
    """Return how many episodes a shard holds.

    Raises:
        DatasetError: the file is damaged or of another format.
    """
    try:
        with safe_open(path, framework="numpy") as shard:
            metadata = shard.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise DatasetError(f"{path} is damaged ({error}); delete it and collect again") from error
    if metadata.get("format") != str(FORMAT):
        raise DatasetError(f"{path} has another format than {FORMAT}; delete it and collect again")
    return int(metadata["episodes"])


def load_demonstrations(folder: Path, episodes: int | None = None) -> Demonstrations:
    """Read a dataset into memory (about 2.6 MB an episode).

    Args:
        folder: what `collect` wrote; it may still be growing.
        episodes: read the first so many episodes, in seed order; all by default.

    Raises:
        DatasetError: no dataset there, a damaged shard, or fewer episodes than asked for.
    """
    manifest = _read_manifest(folder)
    paths, found = [], 0
    for name in manifest["shards"]:
        if episodes is not None and found >= episodes:
            break
        if not is_plain_name(name) or not is_inside(folder / name, [folder]):
            raise DatasetError(
                f"the manifest in {folder} names '{name}', which leads out of that folder; copy the dataset again"
            )
        paths.append(folder / name)
        found += shard_episodes(paths[-1])
    wanted = found if episodes is None else episodes
    if wanted > found or found == 0:
        raise DatasetError(f"{folder} holds {found} episodes, {wanted} are needed; collect more")
    arrays = _concatenate(paths, wanted)
    steps, images = arrays.pop("steps"), arrays.pop("images")
    step_start, image_start = _starts(steps), _starts(images)
    image_episode = np.repeat(np.arange(wanted), images)
    row = arrays.pop("image_step").astype(np.int64) + step_start[image_episode]
    return Demonstrations(
        task=manifest["recipe"]["task"],
        instruction=manifest["instruction"],
        paraphrases=tuple(manifest["paraphrases"]),
        joint_names=tuple(manifest["joint_names"]),
        control_hz=float(manifest["control_hz"]),
        image_hz=manifest["control_hz"] / manifest["image_every"],
        images={name: arrays[name] for name in manifest["image_sizes"]},
        image_row=row,
        image_episode=image_episode,
        cube=arrays["cube"],
        joints=arrays["joints"],
        targets=arrays["targets"],
        step_start=step_start,
        image_start=image_start,
        seeds=arrays["seed"],
        noise_std=arrays["noise_std"],
    )


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise DatasetError(f"no demonstrations at {folder}; record some with `video2act demonstrate`")
    manifest = json.loads(path.read_text())
    if manifest.get("format") != FORMAT:
        raise DatasetError(f"{path} has format {manifest.get('format')}, not {FORMAT}; collect again")
    return manifest


def _starts(counts: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _concatenate(paths: list[Path], episodes: int) -> dict[str, NDArray[Any]]:
    """Return every array of the shards, cut to `episodes`, filled in place to keep one copy in memory."""
    counts = [_read(path, _COUNTS) for path in paths]
    per_episode = {name: np.concatenate([item[name] for item in counts])[:episodes] for name in _COUNTS}
    totals = {name: int(value.sum()) for name, value in per_episode.items()}
    result: dict[str, NDArray[Any]] = dict(per_episode)
    filled: dict[str, int] = {}
    for path in paths:
        for name, part in _read(path).items():
            if name in _COUNTS:
                continue
            total = totals["steps"] if name in _PER_STEP else totals["images"]
            if name in ("seed", "noise_std"):
                total = episodes
            whole = result.setdefault(name, np.empty((total, *part.shape[1:]), part.dtype))
            start = filled.get(name, 0)
            part = part[: total - start]
            whole[start : start + len(part)] = part
            filled[name] = start + len(part)
    return result


def _read(path: Path, names: tuple[str, ...] | None = None) -> dict[str, NDArray[Any]]:
    try:
        with safe_open(path, framework="numpy") as shard:
            return {name: shard.get_tensor(name) for name in (names or shard.keys())}
    except (SafetensorError, OSError) as error:
        raise DatasetError(f"{path} is damaged ({error}); delete it and collect again") from error
