"""Times System 1's prediction with torch and with onnxruntime, in turns so that both see the same machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from video2act_ros.bundles import self_test
from video2act_ros.bundles.load import LoadedPolicy, load_policy
from video2act_ros.bundles.verify_onnx import random_inputs
from video2act_ros.core.types import LatentPair, Observation
from video2act_ros.system1.onnx_session import OnnxOptions

BACKENDS = ("torch", "onnxruntime")
CASES = ("same latents", "new latents")
_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class PredictTimes:
    """Durations of `predict` of one backend in one case, (repeats,) float64 [s]."""

    backend: str
    case: str
    durations_s: NDArray[np.float64]

    @property
    def median_s(self) -> float:
        """Median duration [s]."""
        return float(np.median(self.durations_s))

    @property
    def p99_s(self) -> float:
        """99th percentile [s]."""
        return float(np.percentile(self.durations_s, 99))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Times of every backend and case, and the largest difference of two chunks in policy units."""

    times: tuple[PredictTimes, ...]
    largest_difference: float


def compare_backends(
    folder: Path,
    repeats: int,
    threads: int = 1,
    providers: str = "CPU",
    device: str = "cpu",
) -> Comparison:
    """Predict with both backends in turns, each turn with a new observation.

    In the case `same latents` keys and values of the latents are remembered, as between two updates of
    System 2; in `new latents` they are computed again.
    """
    torch.set_num_threads(threads)
    loaded = {
        "torch": load_policy(folder, device),
        "onnxruntime": load_policy(folder, device, OnnxOptions.parse(providers, threads)),
    }
    durations: dict[tuple[str, str], list[float]] = {(b, c): [] for b in BACKENDS for c in CASES}
    difference = 0.0
    language = next(iter(loaded["torch"].instructions.values()))
    for turn in range(-_WARM_UP, repeats):
        observation, latents = _inputs(loaded["torch"], turn + _WARM_UP)
        for case in ("new latents", "same latents"):
            chunks = []
            for backend in BACKENDS if turn % 2 else BACKENDS[::-1]:
                start_s = time.perf_counter()
                chunks.append(
                    loaded[backend].policy.predict(observation, latents, language, seed=turn + _WARM_UP)
                )
                if turn >= 0:
                    durations[backend, case].append(time.perf_counter() - start_s)
            difference = max(difference, float(np.abs(chunks[0] - chunks[1]).max()))
    times = tuple(PredictTimes(*key, np.array(values)) for key, values in durations.items())
    return Comparison(times, difference)


def _inputs(loaded: LoadedPolicy, seed: int) -> tuple[Observation, LatentPair]:
    return self_test.stored_observation(random_inputs(loaded.section.policy, seed))
