"""A slot between two threads that keeps only the newest value."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Newest-wins hand-over: writers never block, a reader never sees an old value twice.

    Callbacks put into it; the one thread that owns the model takes from it.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._value: T | None = None
        self._closed = False

    def put(self, value: T) -> None:
        """Store `value`, dropping an untaken older one."""
        with self._condition:
            self._value = value
            self._condition.notify_all()

    def take(self, timeout_s: float | None = None) -> T | None:
        """Remove and return the value, waiting up to `timeout_s`; None on time-out or when closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._value is not None or self._closed, timeout_s)
            value, self._value = self._value, None
            return value

    def peek(self) -> T | None:
        """Return the value without removing it."""
        with self._condition:
            return self._value

    def clear(self) -> None:
        """Drop an untaken value."""
        with self._condition:
            self._value = None

    def close(self) -> None:
        """Wake every reader for good; later takes return what is left, then None at once."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
