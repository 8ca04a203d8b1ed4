"""Checksums of a computation's intermediate results, by which a recomputation finds where it departs."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAMES, LATENTS = "frames", "latents"
IMAGES, JOINTS, VISION, NOISE, CHUNK = "images", "joints", "vision", "noise", "chunk"

PIPELINE = (FRAMES, LATENTS, IMAGES, JOINTS, VISION, NOISE, CHUNK)
"""Every stage, in the order of the computation: System 2's window as its model sees it and what it publishes;
System 1's images as its model sees them, joints, image tokens, initial noise, and the chunk."""


class Stages:
    """Takes intermediate results as they are computed and keeps the CRC-32 of each one's bytes."""

    def __init__(self) -> None:
        self.checksums: dict[str, int] = {}

    def add(self, stage: str, *results: NDArray[Any]) -> None:
        """Take the arrays of one stage, in order."""
        checksum = 0
        for result in results:
            checksum = zlib.crc32(np.ascontiguousarray(result).data.cast("B"), checksum)
        self.checksums[stage] = checksum
