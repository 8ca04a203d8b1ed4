"""Resumable training state in one safetensors file: weights, moving average, optimiser, step, random state."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from video2act_ros.core.errors import DatasetError
from video2act_ros.core.whole_files import whole_file


class MovingAverage:
    """Exponential moving average of a module's parameters; young averages follow faster."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def update(self, module: nn.Module, step: int) -> None:
        """Blend in the module's weights after optimiser step number `step` (from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in module.state_dict().items():
                if value.is_floating_point():
                    self.values[name].lerp_(value, 1 - decay)


def save_checkpoint(
    path: Path, module: nn.Module, average: MovingAverage, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Write the training state; the file is replaced only once the new one is whole."""
    tensors: dict[str, Tensor] = {f"module.{k}": v for k, v in module.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.values.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    tensors["random"] = torch.get_rng_state()
    stored = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with whole_file(path) as partial:
        save_file(stored, partial, {"step": str(step)})


def load_checkpoint(
    path: Path, module: nn.Module, average: MovingAverage, optimizer: torch.optim.Optimizer
) -> int:
    """Restore the training state in place and return the step it was saved at.

    Raises:
        DatasetError: the file is damaged or belongs to another architecture.
    """
    try:
        with safe_open(path, "pt") as file:
            step = int(file.metadata()["step"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no dict
        module.load_state_dict({k[7:]: v for k, v in tensors.items() if k.startswith("module.")})
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise DatasetError(f"cannot resume from {path}: {error}; delete it to start again") from error
    for name in average.values:
        average.values[name].copy_(tensors[f"average.{name}"])
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["random"])
    return step


def load_average(path: Path, prefix: str = "") -> dict[str, Tensor]:
    """Return the averaged weights whose names start with `prefix`, without it.

    Raises:
        DatasetError: the checkpoint is missing or damaged.
    """
    start = f"average.{prefix}"
    try:
        with safe_open(path, "pt") as file:
            return {key[len(start) :]: file.get_tensor(key) for key in file.keys() if key.startswith(start)}  # noqa: SIM118 - no dict
    except (OSError, SafetensorError) as error:
        raise DatasetError(f"cannot read checkpoint {path}: {error}; train again") from error
