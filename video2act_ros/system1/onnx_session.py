"""onnxruntime, an optional library: which providers there are, and one graph opened with them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import BundleError, ConfigurationError, InputError, unknown_choice

PROVIDERS = {
    "CPU": "CPUExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "TensorRT": "TensorrtExecutionProvider",
}
_LOG_ERRORS_ONLY = 3


def require(module: str) -> Any:  # a module that may be absent has no type
    """Import an optional library.

    Raises:
        ConfigurationError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{module.partition('.')[0]} cannot be imported ({error}); install it: "
            "pip install -r requirements/onnx.txt"
        ) from error


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """`providers` in order of preference (keys of `PROVIDERS`); `threads` of the CPU, 0 for its own choice."""

    providers: tuple[str, ...] = ("CPU",)
    threads: int = 0

    @classmethod
    def parse(cls, providers: str, threads: int = 0) -> OnnxOptions:
        """Return the options of a comma-separated list of providers that exist here.

        Raises:
            ConfigurationError: a provider is unknown or not available; lists the available ones.
        """
        names = tuple(name for part in providers.split(",") if (name := part.strip()))
        present = require("onnxruntime").get_available_providers()
        available = [name for name, full in PROVIDERS.items() if full in present]
        for name in names:
            if name not in PROVIDERS:
                raise ConfigurationError(unknown_choice("value in onnx_providers", name, available))
            if name not in available:
                raise ConfigurationError(
                    f"onnx_providers: {name} is not in the installed onnxruntime, which has: "
                    f"{', '.join(available)}; for CUDA and TensorRT install onnxruntime-gpu in its place"
                )
        if not names:
            raise ConfigurationError(f"onnx_providers is empty; name some of: {', '.join(available)}")
        return cls(names, threads)


def external_data(path: Path) -> tuple[str, ...]:
    """Return the files, as the graph at `path` names them, from which it reads weights; the weights stay unread.

    Raises:
        BundleError: the file is no ONNX graph.
        ConfigurationError: the library that reads graphs is missing; says how to install it.
    """
    onnx = require("onnx")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (OSError, require("google.protobuf.message").DecodeError) as error:
        raise BundleError(
            f"cannot open {path}, it is no ONNX graph: {error}; export the graphs again: video2act export"
        ) from error
    found = (
        entry.value
        for tensor in _tensors(model, onnx.TensorProto)
        for entry in tensor.external_data
        if entry.key == "location"
    )
    return tuple(dict.fromkeys(found))


def _tensors(message: Any, kind: type[Any]) -> Iterator[Any]:
    """Give every tensor anywhere in a graph: initializers, attributes of nodes, graphs within graphs, functions."""
    if isinstance(message, kind):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in (value,) if hasattr(value, "ListFields") else value:
                yield from _tensors(part, kind)


class OnnxSession:
    """One graph. Outputs stay on the provider's device, as onnxruntime's own values, until read."""

    def __init__(self, path: Path, options: OnnxOptions) -> None:
        self._runtime = require("onnxruntime")
        self._name = path.stem
        self._session = _open(path, options)
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._shapes = {item.name: item.shape for item in self._session.get_inputs()}
        self._device = "cpu" if options.providers[0] == "CPU" else "cuda"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in the order of what `run` returns."""
        return tuple(self._outputs)

    def value(self, array: NDArray[Any]) -> Any:
        """Return an array as onnxruntime's value, to be given to `run` any number of times."""
        return self._runtime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), "cpu", 0)

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Return the outputs of arrays or onnxruntime values, one for each input in the graph's order.

        Raises:
            InputError: an input has another shape than the graph takes.
        """
        binding = self._session.io_binding()
        for (name, shape), given in zip(self._shapes.items(), inputs, strict=True):
            value = self.value(given) if isinstance(given, np.ndarray) else given
            self._check(name, shape, value.shape())
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name, self._device)
        self._session.run_with_iobinding(binding)
        return list(binding.get_outputs())

    def _check(self, name: str, expected: list[int | str], given: list[int]) -> None:
        fits = len(expected) == len(given) and all(
            isinstance(wanted, str) or wanted == length
            for wanted, length in zip(expected, given, strict=True)
        )
        if not fits:
            raise InputError(
                f"input '{name}' of the {self._name} graph has shape {tuple(given)}, it takes "
                f"({', '.join(map(str, expected))}); use a bundle made for these inputs"
            )


def _open(path: Path, options: OnnxOptions) -> Any:  # onnxruntime has no types
    runtime = require("onnxruntime")
    errors = require("onnxruntime.capi.onnxruntime_pybind11_state")
    settings = runtime.SessionOptions()
    settings.log_severity_level = _LOG_ERRORS_ONLY
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    # Spinning workers would take the processor from the control loop between two chunks.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = [PROVIDERS[name] for name in options.providers]
    refusals = (errors.Fail, errors.InvalidGraph, errors.InvalidProtobuf, errors.NotImplemented)
    try:
        session = runtime.InferenceSession(str(path), settings, providers=providers)
    except (*refusals, errors.InvalidArgument, errors.NoSuchFile, errors.RuntimeException) as error:
        raise BundleError(
            f"onnxruntime {runtime.__version__} cannot open {path}: {error}; "
            "update it or export the graphs again: video2act export"
        ) from error
    used = session.get_providers()
    missing = [name for name in options.providers if PROVIDERS[name] not in used]
    if missing:
        raise ConfigurationError(
            f"onnxruntime could not start {', '.join(missing)} on this machine (its libraries or device are "
            f"missing) and would run on {', '.join(used)}; correct that or choose another onnx_providers"
        )
    return session
