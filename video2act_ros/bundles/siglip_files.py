"""A SigLIP vision tower as transformers saves it: its configuration and the tensors that the policy uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import SiglipVisionConfig

from video2act_ros.bundles.checkpoint_files import (
    StoredTensors,
    find_weight_files,
    open_checkpoint,
    strip_prefix,
)
from video2act_ros.core.errors import BundleError

ANCHOR = "embeddings.patch_embedding.weight"
"""A key that every tower has."""

_KEPT = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_channels",
    "image_size",
    "patch_size",
    "hidden_act",
    "layer_norm_eps",
)
_UNUSED = ("text_model.", "logit_", "head.", "embeddings.position_ids")  # besides the image tokens


def read_siglip(folder: Path) -> tuple[dict[str, Any], StoredTensors]:
    """Return the `vision` part of a policy's configuration, and the tower's tensors without prefix.

    Raises:
        BundleError: the folder lacks config.json or weights, or they are no SigLIP tower.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise BundleError(
            f"no SigLIP tower at {folder}: config.json is missing; give a folder of transformers"
        )
    try:
        content = json.loads(path.read_text())
        tower = SiglipVisionConfig(**content.get("vision_config", content)).to_dict()
    except (ValueError, TypeError, AttributeError) as error:
        raise BundleError(f"{path} describes no SigLIP tower: {error}") from error
    model = {name: tower[name] for name in _KEPT} | {"vision_use_head": False}
    size = model["image_size"]
    tensors = strip_prefix(open_checkpoint(find_weight_files([folder])), ANCHOR, "a SigLIP tower")
    used = {key: value for key, value in tensors.items() if not key.startswith(_UNUSED)}
    return {"kind": "siglip", "image_width": size, "image_height": size, "model": model}, used
