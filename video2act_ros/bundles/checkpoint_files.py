"""Opens checkpoints that others wrote, without ever running code from them and without reading the weights yet."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from video2act_ros.core.errors import BundleError
from video2act_ros.core.lfs_pointer import is_lfs_pointer, lfs_words

MAX_LISTED = 8
_POLICY_FILES = (
    "model.safetensors",
    "pytorch_model.bin",
    "mp_rank_00_model_states.pt",
    "pytorch_model/mp_rank_00_model_states.pt",
)
_CONTAINERS = ("module", "state_dict", "model_state")  # under which checkpoints keep their weights
_SAFETENSORS_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file, described; `read` maps it into memory or computes it, at each call anew."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]


StoredTensors = dict[str, StoredTensor]


def find_policy_file(path: Path, ema: bool = False) -> Path:
    """Return the file of a policy checkpoint: `path` itself, or what its folder holds.

    Args:
        path: a file, or a folder as training leaves it.
        ema: take the moving average in the folder's `ema/`.

    Raises:
        BundleError: there is none; lists the names looked for.
    """
    if path.is_file():
        return path
    folder = path / "ema" if ema else path
    found = next((folder / name for name in _POLICY_FILES if (folder / name).is_file()), None)
    if found is None:
        raise BundleError(
            f"no policy checkpoint at {folder}; give a file, or a folder with one of {', '.join(_POLICY_FILES)}"
        )
    return found


def find_weight_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files of a checkpoint in parts: each path a file, or a folder of one format.

    Raises:
        BundleError: a path does not exist or holds no weights.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found: list[Path] = []
            for pattern in ("*.safetensors", "*.pt", "*.pth", "*.bin"):
                found = found or sorted(path.glob(pattern))
            if not found:
                raise BundleError(
                    f"no *.safetensors, *.pt, *.pth or *.bin in {path}; give the weights' folder"
                )
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise BundleError(f"no weights at {path}: the path does not exist")
    return files


def open_checkpoint(files: Sequence[Path]) -> StoredTensors:
    """Return every tensor of the files by key.

    Raises:
        BundleError: a file is damaged, holds code, or two files hold the same key.
    """
    tensors: StoredTensors = {}
    for path in files:
        part = _open_safetensors(path) if path.suffix == ".safetensors" else _open_pickle(path)
        if repeated := sorted(tensors.keys() & part.keys()):
            raise BundleError(f"{path} repeats {listing(repeated)} of an earlier file; give each part once")
        tensors |= part
    return tensors


def read_pickle(path: Path, mmap: bool = False) -> Any:  # whatever the file holds
    """Return a torch file's content, built from plain data only.

    Raises:
        BundleError: the file is missing, damaged, or wants to run code.
    """
    if not path.is_file():
        raise BundleError(f"no file at {path}: the path does not exist")
    if is_lfs_pointer(path):
        raise BundleError(lfs_words(path))
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")
        detail = next(
            (line.strip() for line in reason if "GLOBAL" in line or "nsupported" in line), reason[0]
        )
        raise BundleError(
            f"{path} is refused: it is no plain data and would run code when opened ({detail}); get it as "
            "safetensors, or as a state dict saved alone"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise BundleError(
            f"{path} cannot be read, it is truncated or no torch checkpoint of format 1.6 or later: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}; copy it again"
        ) from error


def strip_prefix(tensors: StoredTensors, anchor: str, what: str) -> StoredTensors:
    """Return the tensors without what stands before `anchor`, a key that every such checkpoint has.

    Keys without the prefix stay as they are, so that they are refused later by their name.

    Raises:
        BundleError: `anchor` is not there.
    """
    prefix = next((key.removesuffix(anchor) for key in tensors if key.endswith(anchor)), None)
    if prefix is None:
        shown = listing(sorted(tensors)) or "nothing"
        raise BundleError(f"this is no checkpoint of {what}: '{anchor}' is missing; it holds {shown}")
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}


def check_keys(tensors: StoredTensors, expected: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Compare names and shapes strictly.

    Raises:
        BundleError: lists missing and unexpected keys and wrong shapes.
    """
    missing = sorted(expected.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - expected.keys())
    wrong = [
        f"{key} is {tensors[key].shape}, expected {shape}"
        for key, shape in expected.items()
        if key in tensors and tensors[key].shape != shape
    ]
    problems = [f"{len(missing)} missing keys: {listing(missing)}"] if missing else []
    problems += [f"{len(unexpected)} unexpected keys: {listing(unexpected)}"] if unexpected else []
    problems += [f"{len(wrong)} wrong shapes: {listing(wrong)}"] if wrong else []
    if problems:
        raise BundleError(
            f"{what} does not fit: {'; '.join(problems)}; give a complete, unmodified checkpoint"
        )


def listing(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


def cast(tensor: StoredTensor, dtype: torch.dtype) -> StoredTensor:
    """Return the tensor in another type; integers stay what they are."""
    if not tensor.dtype.is_floating_point or tensor.dtype == dtype:
        return tensor
    return replace(tensor, dtype=dtype, read=lambda: tensor.read().to(dtype))


def _open_safetensors(path: Path) -> StoredTensors:
    if is_lfs_pointer(path):
        raise BundleError(lfs_words(path))
    try:
        file = safe_open(path, framework="pt")
        tensors = {}
        for key in file.keys():  # noqa: SIM118  # not a mapping
            part = file.get_slice(key)
            tensors[key] = StoredTensor(
                tuple(part.get_shape()),
                _SAFETENSORS_TYPES[part.get_dtype()],
                partial(file.get_tensor, key),
            )
    except (OSError, SafetensorError) as error:
        raise BundleError(
            f"{path} cannot be read, it is truncated or damaged: {error}; copy it again"
        ) from error
    except KeyError as error:
        raise BundleError(
            f"{path} holds numbers of type {error}, which no checkpoint of this model has"
        ) from error
    return tensors


def _open_pickle(path: Path) -> StoredTensors:
    content = read_pickle(path, mmap=True)
    for name in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    if not isinstance(content, Mapping) or not content:
        raise BundleError(
            f"{path} holds no state dict, but {type(content).__name__}; give a checkpoint of weights"
        )
    foreign = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if foreign:
        raise BundleError(f"{path}: {listing(foreign)} are no tensors; give a checkpoint of weights")
    return {
        str(key): StoredTensor(tuple(value.shape), value.dtype, value.detach)
        for key, value in content.items()
    }
