"""What the policy is trained on: observations, chunks of clean targets, and the frozen video features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor

from video2act_ros.core.errors import DatasetError
from video2act_ros.core.types import LatentStream
from video2act_ros.core.whole_files import whole_file
from video2act_ros.system2.encoder import VideoEncoder
from video2act_ros.training.dataset import Demonstrations

_FEATURE_BATCH = 16  # larger ones fall out of the cache
_STREAM_IMAGES = {LatentStream.SPATIAL: "cam_high", LatentStream.MOTION: "cam_high_64"}


@dataclass(frozen=True, slots=True)
class PolicyData:
    """N observations on the demonstrations' image grid, episode after episode.

    `images` (N, cameras, h, w, 3) uint8; `joints` (N, J) and `chunks` (N, H, J) float32 in policy units,
    `chunks[n, k]` being the clean target of control step k after the observation; `cube` (N, 3) [m];
    `spatial`, `motion` (N, tokens, C) float16; `phrasing` (N,) index of the instruction's wording, which
    the features were computed under; `first` (N,) index of the episode's first observation.
    """

    images: NDArray[np.uint8]
    joints: NDArray[np.float32]
    chunks: NDArray[np.float32]
    cube: NDArray[np.float32]
    spatial: Tensor
    motion: Tensor
    phrasing: NDArray[np.int64]
    first: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.joints)

    def latent_index(self, index: NDArray[np.int64], lag: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which observation's features are the newest ones `lag` grid steps before `index`."""
        return np.maximum(index - lag, self.first[index])


@dataclass(frozen=True, slots=True)
class PolicyDataLayout:
    """What the policy looks at and how far ahead it acts."""

    cameras: tuple[str, ...]
    horizon: int


def prepare_policy_data(
    demos: Demonstrations,
    encoder: VideoEncoder,
    texts: list[NDArray[np.float32]],
    layout: PolicyDataLayout,
    cache: Path,
) -> PolicyData:
    """Compute everything the policy's training reads.

    Args:
        texts: System 2's (L, D) embedding of each phrasing; episode e is given number e modulo their count.
        cache: where the features are kept between runs; delete it when the encoder or the data changed.
    """
    every = np.arange(len(demos.image_row))
    phrasing = demos.image_episode % len(texts)
    if cache.is_file():
        features = {LatentStream(name): value for name, value in load_file(cache).items()}
    else:
        features = video_features(encoder, demos, phrasing, texts)
        with whole_file(cache) as partial:
            save_file({stream.value: value for stream, value in features.items()}, partial)
    if len(features[LatentStream.SPATIAL]) != len(every):
        raise DatasetError(f"{cache} belongs to other demonstrations; delete it and train again")
    return PolicyData(
        images=np.stack([demos.images[name] for name in layout.cameras], axis=1),
        joints=demos.joints[demos.image_row],
        chunks=demos.chunks(every, layout.horizon),
        cube=demos.cube,
        spatial=features[LatentStream.SPATIAL],
        motion=features[LatentStream.MOTION],
        phrasing=phrasing,
        first=demos.image_start[demos.image_episode],
    )


def video_features(
    encoder: VideoEncoder,
    demos: Demonstrations,
    phrasing: NDArray[np.int64],
    texts: list[NDArray[np.float32]],
) -> dict[LatentStream, Tensor]:
    """Return both streams' features of every observation, (N, tokens, C) float16, as serving computes them."""
    total = len(demos.image_row)
    result = {
        stream: torch.empty(
            total, encoder.config.token_count(stream), encoder.config.feature_dim, dtype=torch.float16
        )
        for stream in LatentStream
    }
    for number, text in enumerate(texts):
        wanted = np.flatnonzero(phrasing == number)
        batches = np.array_split(wanted, max(1, len(wanted) // _FEATURE_BATCH))
        for batch in track(batches, description=f"video features, phrasing {number + 1} of {len(texts)}"):
            windows = {
                stream: demos.images[name][demos.window(batch, encoder.config.stream(stream).frames)]
                for stream, name in _STREAM_IMAGES.items()
            }
            for stream, tokens in encoder.update_batch(windows, text).items():
                result[stream][torch.from_numpy(batch)] = torch.from_numpy(tokens).half()
    return result


def action_scale(
    chunks: NDArray[np.float32], joints: NDArray[np.float32], grippers: list[int]
) -> tuple[float, ...]:
    """Return the root mean square of each joint's relative target; grippers count from one half."""
    relative = chunks - joints[:, None]
    relative[..., grippers] = chunks[..., grippers] - 0.5
    scale = np.sqrt((relative.astype(np.float64) ** 2).mean(axis=(0, 1)))
    floor = 0.02  # rad: a joint that hardly moves must not turn its tracking noise into a unit signal
    return tuple(float(round(value, 4)) for value in np.maximum(scale, floor))
