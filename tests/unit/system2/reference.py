"""Access to the reference values of the released model at tiny sizes (`docs/reference.md`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

GOLDEN = Path(__file__).parents[2] / "golden"


def manifest() -> dict[str, Any]:
    """Return the description of the reference values: configuration and, per file, the tolerance."""
    return json.loads((GOLDEN / "manifest.json").read_text())


def reference(name: str) -> tuple[dict[str, Tensor], float]:
    """Return one file's tensors and its largest allowed absolute error (0 where values are exact)."""
    file = f"{name}.safetensors"
    return load_file(GOLDEN / file), manifest()["files"][file].get("tol", 0.0)


def weights(name: str) -> dict[str, Tensor]:
    """Return a set of weights under its original key names."""
    return load_file(GOLDEN / "weights" / f"{name}.safetensors")
