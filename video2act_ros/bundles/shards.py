"""Weights in pieces: written tensor by tensor, loaded back without a second copy in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from video2act_ros.bundles.checkpoint_files import StoredTensor
from video2act_ros.core.errors import BundleError

_building = threading.Lock()

Progress = Callable[[str, int], None]
"""Called with what is being done and how many bytes of weights were written since the last call."""


def size_in_bytes(tensors: Mapping[str, StoredTensor]) -> int:
    """Return the bytes that the tensors take in a file."""
    return sum(_bytes(tensor) for tensor in tensors.values())


def _bytes(tensor: StoredTensor) -> int:
    return torch.Size(tensor.shape).numel() * tensor.dtype.itemsize


def write_shards(
    folder: Path,
    stem: str,
    tensors: Mapping[str, StoredTensor],
    shard_bytes: int,
    progress: Progress,
) -> tuple[str, ...]:
    """Write the tensors into `stem-00001-of-0000N.safetensors`, …; return the files' names.

    At most one shard is held in memory, and only as far as its tensors had to be computed: those that are
    taken as they are stay mapped from their file.

    Raises:
        BundleError: a tensor has NaN or infinite elements; names it.
    """
    shards: list[list[str]] = [[]]
    used = 0
    for key, tensor in tensors.items():
        if shards[-1] and used + _bytes(tensor) > shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(key)
        used += _bytes(tensor)
    names = []
    for number, keys in enumerate(shards, start=1):
        name = (
            f"{stem}-{number:05d}-of-{len(shards):05d}.safetensors"
            if len(shards) > 1
            else f"{stem}.safetensors"
        )
        save_file({key: _finite(key, tensors[key].read()) for key in keys}, folder / name)
        progress(f"writing {name}", sum(_bytes(tensors[key]) for key in keys))
        names.append(name)
    return tuple(names)


def _finite(key: str, tensor: Tensor) -> Tensor:
    if tensor.is_floating_point() and tensor.numel():
        extremes = torch.stack(
            torch.aminmax(tensor)
        )  # NaN wherever it stands, without a mask of all elements
        if not extremes.isfinite().all():
            raise BundleError(
                f"NaN or infinite weights in {key}; this checkpoint diverged, use an earlier one"
            )
    return tensor.contiguous()


def read_shards(folder: Path, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Return all tensors of the files, mapped into memory."""
    tensors: dict[str, Tensor] = {}
    for name in names:
        tensors |= load_file(folder / name)
    return tensors


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Build modules inside without memory for their parameters; buffers are real.

    Give them weights by `load_state_dict(…, assign=True)`, or memory by `give_memory`. Other threads build
    modules as ever; one thread at a time may be inside.
    """
    with _building:
        register, builder = nn.Module.register_parameter, threading.get_ident()

        def register_on_meta(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
            register(module, name, param)
            if param is not None and param.device.type != "meta" and threading.get_ident() == builder:
                module._parameters[name] = nn.Parameter(param.detach().to("meta"), param.requires_grad)

        nn.Module.register_parameter = register_on_meta  # type: ignore[method-assign]
        try:
            yield
        finally:
            nn.Module.register_parameter = register  # type: ignore[method-assign]


def give_memory(module: nn.Module, device: torch.device) -> None:
    """Give every parameter on the meta device memory of unspecified content on `device`: load weights next."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None and parameter.is_meta:
                memory = torch.empty_like(parameter, device=device)
                part._parameters[name] = nn.Parameter(memory, parameter.requires_grad)


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in the module's state dict."""
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}
