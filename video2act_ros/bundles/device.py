"""The device that models run on: which one, and whether this process can still use it."""

from __future__ import annotations

import torch

from video2act_ros.core.errors import BundleError


def choose_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`.

    Raises:
        BundleError: CUDA was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise BundleError(
            "device 'cuda' was asked for, but no CUDA device is available; use device:=cpu or auto"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def lost_device() -> str | None:
    """Return why this process can never use its CUDA device again, or None; for after an error.

    What breaks a CUDA context (an illegal address, a failed assertion on the device, a device that fell off the bus)
    is told by every later call, and only another process gets a new context. Too little memory breaks none.
    """
    if not torch.cuda.is_initialized():
        return None
    try:
        torch.cuda.synchronize()
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return None
