"""The policy on exported graphs: the same prediction as `Policy`, computed by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from video2act_ros.core.errors import InputError
from video2act_ros.core.sole_user import SoleUser, one_thread
from video2act_ros.core.stages import Stages
from video2act_ros.core.types import LatentPair, Observation
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.guide import Guide, make_guide
from video2act_ros.system1.inputs import ChunkInputs, image_array
from video2act_ros.system1.memo import Memo
from video2act_ros.system1.onnx_session import OnnxOptions, OnnxSession
from video2act_ros.system1.realtime_chunking import Prefix
from video2act_ros.system1.sampler import Sampler
from video2act_ros.system1.state_vector import ActionSpace, StateVector


class OnnxPolicy:
    """Vision, adaptors and action head of one bundle as graphs (see `onnx_graphs`); sampler in Python.

    One thread at a time. Keys and values stay on the provider's device from graph to graph.
    """

    def __init__(self, config: PolicyConfig, graphs: Mapping[str, Path], options: OnnxOptions) -> None:
        self.config = config
        self.sole_user = SoleUser()
        self.state_vector = StateVector(config.state_vector)
        self.actions = ActionSpace(config.actions, config.joints)
        self.sampler = Sampler(config.sampler)
        self._graphs = {name: OnnxSession(path, options) for name, path in graphs.items()}
        self._language_memo: Memo[list[Any]] = Memo()
        self._video_memo: Memo[list[Any]] = Memo()

    @property
    def device(self) -> torch.device:
        """Tensors are handed over on the CPU, whatever the provider."""
        return torch.device("cpu")

    def forget(self) -> None:
        """Drop remembered language and video keys."""
        self._language_memo.clear()
        self._video_memo.clear()

    def image_array(self, observation: Observation, previous: Observation | None = None) -> NDArray[np.uint8]:
        """Return the images that this policy looks at, as `inputs.image_array` prepares them."""
        return image_array(self.config, observation, previous)

    def image_tokens(self, images: Tensor) -> Tensor:
        """Return image tokens (1, N, dim) of images (1, history, cameras, H, W, 3) uint8 RGB."""
        return torch.from_numpy(self._run("vision", images.numpy())[0].numpy())

    @one_thread
    def predict(
        self,
        observation: Observation,
        latents: LatentPair,
        language: Tensor,
        *,
        noise: Tensor | None = None,
        seed: int = 0,
        previous: Observation | None = None,
        prefix: Prefix | None = None,
        stages: Stages | None = None,
    ) -> NDArray[np.float64]:
        """Return a chunk of absolute joint positions (H, J) float64; arguments as in `Policy.predict`."""
        inputs = ChunkInputs.of(self.config, observation, previous, noise, seed)
        joints = inputs.joints
        tokens = self._run("vision", inputs.images[None])
        inputs.tell(stages, tokens[0].numpy())
        video = self._video_memo.get(latents, lambda: self._encode_pair(latents))
        scene = self._run("scene", *tokens, *video)
        words = self._language_memo.get(language, lambda: self._encode_language(language))
        state = self._graphs["step"].value(self.state_vector.scatter(joints.float())[None, None].numpy())

        def denoise(noisy: Tensor, timestep: Tensor) -> Tensor:
            outputs = self._run("step", noisy.numpy(), timestep.numpy(), state, *words, *scene)
            return torch.from_numpy(outputs[0].numpy())  # (1, H, A)

        guide = self._guide(prefix, joints)
        chunk = self.sampler.sample(denoise, inputs.noise.float()[None].cpu(), self.state_vector.mask, guide)
        positions = self.actions.decode(self.state_vector.gather(chunk.double()), joints[None])[0].numpy()
        return positions if prefix is None else prefix.restore(positions)

    def _guide(self, prefix: Prefix | None, joints: Tensor) -> Guide | None:
        if prefix is None:
            return None
        encoded = self.actions.encode(torch.from_numpy(prefix.positions)[None], joints[None])
        actions = self.state_vector.scatter(encoded)
        return make_guide(actions, prefix, self.state_vector.mask, self.config.horizon)

    def _run(self, graph: str, *inputs: Any) -> list[Any]:  # arrays and onnxruntime's values, untyped
        return self._graphs[graph].run(inputs)

    def _encode_pair(self, latents: LatentPair) -> list[Any]:
        streams = (latents.spatial, latents.motion)[: 1 if self.config.video.variant == "single" else 2]
        return self._run("video", *(stream.tokens[None].astype(np.float32) for stream in streams))

    def _encode_language(self, language: Tensor) -> list[Any]:
        if language.shape[0] > self.config.max_lang:
            raise InputError(
                f"the instruction has {language.shape[0]} tokens, the policy takes at most "
                f"{self.config.max_lang}; shorten the instruction"
            )
        return self._run("language", language.float().cpu()[None].numpy())
