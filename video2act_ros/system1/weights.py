"""Weights of a policy: those that it uses, and whether they fit."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from video2act_ros.core.errors import BundleError

UNUSED_REFERENCE_KEYS = ("model.video_cond_pos_embed", "model.video_encoder_pos_embed")
"""Parameters in released checkpoints that never enter a result."""

_SHOWN = 5  # problems told one by one


def used_weights(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of `state` without those of released checkpoints that are never used.

    Args:
        state: the weights to load.
        own: the policy's present ones.

    Raises:
        BundleError: keys are missing or unknown, or shapes differ; the message lists them.
    """
    used = {key: value for key, value in state.items() if key not in UNUSED_REFERENCE_KEYS}
    problems = [f"missing {key}" for key in own if key not in used]
    problems += [f"unknown {key}" for key in used if key not in own]
    problems += [
        f"{key} is {tuple(used[key].shape)}, expected {tuple(own[key].shape)}"
        for key in own
        if key in used and used[key].shape != own[key].shape
    ]
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise BundleError(
            f"the weights do not fit the manifest's architecture: {'; '.join(problems[:_SHOWN])}{more}"
        )
    return used
