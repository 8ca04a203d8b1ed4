"""Two lists of names that should be equal, and what is different about them."""

from __future__ import annotations

from collections.abc import Sequence


def difference(first: Sequence[str], second: Sequence[str], owners: tuple[str, str]) -> str:
    """Return in words how two lists of names differ; empty when they are equal.

    Args:
        first: names, each once.
        second: names, each once.
        owners: what to call the two lists.
    """
    only = [
        (owner, [name for name in names if name not in other])
        for owner, names, other in ((owners[0], first, second), (owners[1], second, first))
    ]
    texts = [f"only {owner} has {', '.join(names)}" for owner, names in only if names]
    if not texts and list(first) != list(second):
        index = next(i for i, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1])
        texts = [
            f"the order differs from number {index + 1} on: {owners[0]} has {first[index]} there, "
            f"{owners[1]} {second[index]}; {owners[0]}'s order is {', '.join(first)}"
        ]
    return "; ".join(texts)
