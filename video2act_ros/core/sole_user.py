"""Keeps a model to one thread at a time: a second one is refused, it never waits and never mixes in."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast

from video2act_ros.core.errors import ModelError


class SoleUser:
    """Whether somebody uses the model that owns this; a copy of the model is another one, which nobody uses."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise ModelError(
                f"thread '{threading.current_thread().name}' asks a model that another thread is using; one thread "
                "owns a model: wait until the other one has ended, or load the bundle again"
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[SoleUser], tuple[()]]:
        return SoleUser, ()


class Owned(Protocol):
    """A model with the mark of who uses it."""

    sole_user: SoleUser


M = TypeVar("M", bound=Owned)
P = ParamSpec("P")
R = TypeVar("R")


def one_thread(method: Callable[Concatenate[M, P], R]) -> Callable[Concatenate[M, P], R]:
    """Make a model's method raise ModelError while another thread is in one of them."""

    @functools.wraps(method)
    def guarded(model: M, /, *arguments: P.args, **options: P.kwargs) -> R:
        with model.sole_user:
            return method(model, *arguments, **options)

    return cast("Callable[Concatenate[M, P], R]", guarded)
