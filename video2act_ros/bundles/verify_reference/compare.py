"""Errors between stored and computed tensors, also where only every n-th value was stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from video2act_ros.core.errors import InputError

_THINNED = re.compile(r"^(?P<base>.+?)(?:_ch)?_stride(?P<step>\d+)$")


@dataclass(frozen=True, slots=True)
class Errors:
    """Largest absolute error of the outputs and of the intermediate values that were reached (None: none)."""

    out: float | None
    mid: float | None
    worst: str


def informative(name: str) -> bool:
    """Return whether a stored tensor comes from a bfloat16 run, which no float32 run reproduces."""
    return "bf16" in name


def full_name(name: str) -> str:
    """Return a tensor's name without the part that tells which of its values were stored."""
    match = _THINNED.match(name)
    return match["base"] if match else name


def full_size(name: str, stored: Tensor) -> tuple[int, ...]:
    """Return the largest shape of which every n-th value was stored, n being what the name says."""
    match = _THINNED.match(name)
    return tuple(length * int(match["step"]) if match else length for length in stored.shape)


def compare(stored: Mapping[str, Tensor], computed: Mapping[str, Tensor]) -> Errors:
    """Compare every stored `out.*`, and each `mid.*` that was computed.

    Raises:
        InputError: an output was not computed, or has another shape.
    """
    largest: dict[str, float] = {}
    worst, worst_error = "", -1.0
    for name, expected in stored.items():
        kind = name.split(".")[0]
        if kind not in ("out", "mid") or informative(name):
            continue
        match = _THINNED.match(name)
        actual = computed.get(name, computed.get(match["base"]) if match else None)
        if actual is None:
            if kind == "out":
                raise InputError(f"nothing here computes '{name}'")
            continue
        error = _error(name, expected, _thin(name, actual, expected, int(match["step"]) if match else None))
        largest[kind] = max(largest.get(kind, 0.0), error)
        if error > worst_error:
            worst, worst_error = name, error
    return Errors(largest.get("out"), largest.get("mid"), worst)


def _thin(name: str, actual: Tensor, expected: Tensor, step: int | None) -> Tensor:
    """Take every `step`-th value along the axes that are longer than stored; None finds the step."""
    if actual.numel() == expected.numel():
        return actual.reshape(expected.shape)
    if actual.ndim == expected.ndim:
        for axis, (length, kept) in enumerate(zip(actual.shape, expected.shape, strict=True)):
            steps = (step,) if step else range(1, length + 1)
            fitting = next((n for n in steps if -(-length // n) == kept), None)
            if length != kept and fitting is not None:
                actual = actual.index_select(axis, torch.arange(0, length, fitting))
    if actual.shape != expected.shape:
        raise InputError(f"'{name}' has shape {tuple(actual.shape)}, stored is {tuple(expected.shape)}")
    return actual


def _error(name: str, expected: Tensor, actual: Tensor) -> float:
    if not expected.numel():
        return 0.0
    error = (actual.detach().double() - expected.double()).abs().max().item()
    return error if error == error else float("inf")  # NaN is no number that passes
