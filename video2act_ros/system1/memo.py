"""A one-entry memory for what stays the same between two chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class Memo(Generic[V]):
    """Remembers what was computed from the newest key; keys compare by identity."""

    def __init__(self) -> None:
        self._key: object = None
        self._value: V | None = None

    def get(self, key: object, compute: Callable[[], V]) -> V:
        """Return the value of `key`, computing it only when the key is another object than last time."""
        if self._value is None or key is not self._key:
            self._value = compute()
            self._key = key
        return self._value

    def clear(self) -> None:
        """Forget key and value."""
        self._key = self._value = None
