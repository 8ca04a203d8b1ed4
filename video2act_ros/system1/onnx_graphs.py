"""System 1 as five graphs, cut where their inputs change at different times.

    vision:   images                            -> tokens
    language: tokens                            -> keys.i, values.i of each even block
    video:    spatial, motion                   -> keys.i, values.i of each odd block
    scene:    image tokens, video keys, values  -> keys.i, values.i of images and video together
    step:     noisy, timestep, state, all keys  -> prediction

Floating-point tensors are float32 and the batch is 1; only the number of language tokens varies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from video2act_ros.core.errors import BundleError
from video2act_ros.system1.action_head import ConditionCache, join_scenes
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.layers import KeyValues
from video2act_ros.system1.policy import Policy

GRAPH_NAMES = ("vision", "language", "video", "scene", "step")


def key_value_names(count: int, prefix: str = "") -> tuple[str, ...]:
    """Return `keys.0`, `values.0`, … of `count` blocks, the order in every graph."""
    return tuple(f"{prefix}{kind}.{block}" for block in range(count) for kind in ("keys", "values"))


@dataclass(frozen=True, slots=True)
class Graph:
    """One graph: its module, each input's shape (0 on the axis of language tokens), its outputs' names."""

    name: str
    module: nn.Module
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]

    def draw(self, config: PolicyConfig, generator: torch.Generator, language_tokens: int) -> list[Tensor]:
        """Return random inputs, one tensor for each name."""
        tensors = []
        for name, shape in self.inputs.items():
            size = tuple(length or language_tokens for length in shape)
            if name == "images":
                tensors.append(torch.randint(0, 256, size, generator=generator, dtype=torch.uint8))
            elif name == "timestep":
                tensors.append(torch.randint(0, config.sampler.train_timesteps, size, generator=generator))
            else:
                tensors.append(torch.randn(size, generator=generator))
        return tensors


class _Part(nn.Module):
    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy


class _Vision(_Part):
    def forward(self, images: Tensor) -> Tensor:
        return self.policy.image_tokens(images)


class _Language(_Part):
    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        return _flat(self.policy.encode_language(tokens))


class _Video(_Part):
    def forward(self, spatial: Tensor, motion: Tensor | None = None) -> tuple[Tensor, ...]:
        return _flat(self.policy.encode_latents(spatial, motion))


class _Scene(_Part):
    def forward(self, tokens: Tensor, *video: Tensor) -> tuple[Tensor, ...]:
        return _flat(join_scenes(self.policy.encode_images(tokens), _paired(video)))


class _Step(_Part):
    def forward(self, noisy: Tensor, timestep: Tensor, state: Tensor, *keys_values: Tensor) -> Tensor:
        policy = self.policy
        pairs, even = _paired(keys_values), len(policy.model.blocks[::2])
        mask = policy.state_vector.mask
        return policy.denoise(
            noisy,
            timestep,
            policy.adapt_state_action(state, mask),
            ConditionCache(pairs[:even], pairs[even:]),
            torch.full((1,), policy.config.ctrl_freq_hz),
            mask,
        )


def _flat(pairs: tuple[KeyValues, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor for pair in pairs for tensor in (pair.keys, pair.values))


def _paired(tensors: tuple[Tensor, ...]) -> tuple[KeyValues, ...]:
    return tuple(KeyValues(*pair) for pair in zip(tensors[::2], tensors[1::2], strict=True))


def policy_graphs(policy: Policy) -> Iterator[Graph]:
    """Yield the graphs of a float32 policy on the CPU, in the order of `GRAPH_NAMES`.

    Raises:
        BundleError: the policy has one block only and so never looks at the scene.
    """
    config = policy.config
    if config.depth < 2:
        raise BundleError("a policy of depth 1 looks at the instruction only and cannot be exported")
    images, vision, video = config.images, config.vision, config.video
    even, odd, width = (config.depth + 1) // 2, config.depth // 2, config.hidden // config.heads
    streams: dict[str, tuple[int, ...]] = {"spatial": (1, video.spatial_tokens, video.feature_dim)}
    if video.variant != "single":
        streams["motion"] = (1, video.motion_tokens, video.feature_dim)
    with torch.no_grad():
        video_tokens = _Video(policy)(*(torch.zeros(shape) for shape in streams.values()))[0].shape[2]

    def keys(count: int, tokens: int, prefix: str = "") -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(key_value_names(count, prefix), (1, config.heads, tokens, width))

    size = (1, images.history, len(images.cameras), vision.image_height, vision.image_width, 3)
    yield Graph("vision", _Vision(policy), {"images": size}, ("tokens",))
    yield Graph("language", _Language(policy), {"tokens": (1, 0, config.lang_dim)}, key_value_names(even))
    yield Graph("video", _Video(policy), streams, key_value_names(odd))
    tokens = {"tokens": (1, images.count, images.dim)}
    yield Graph("scene", _Scene(policy), tokens | keys(odd, video_tokens, "video."), key_value_names(odd))
    vector = config.state_vector.size
    inputs = {"noisy": (1, config.horizon, vector), "timestep": (1,), "state": (1, 1, vector)}
    conditions = keys(even, 0, "language.") | keys(odd, images.count + video_tokens, "scene.")
    yield Graph("step", _Step(policy), inputs | conditions, ("prediction",))
