"""Instruction embeddings for small bundles, which have no text encoder."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def hashed_embedding(instruction: str, length: int, dim: int) -> NDArray[np.float32]:
    """Return fixed pseudo-random tokens (length, dim) of unit variance that stand for one instruction.

    The same text always gives the same tokens and different texts give unrelated ones, so that a model
    trained on several instructions can tell them apart. It knows nothing of their meaning.
    """
    seed = int.from_bytes(hashlib.sha256(instruction.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal((length, dim)).astype(np.float32)
