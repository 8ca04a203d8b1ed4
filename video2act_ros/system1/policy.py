"""The policy: observation, instruction and newest video latents in, a chunk of joint positions out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from video2act_ros.core.errors import InputError
from video2act_ros.core.sole_user import SoleUser, one_thread
from video2act_ros.core.stages import Stages
from video2act_ros.core.types import LatentPair, Observation
from video2act_ros.system1.action_head import ActionCore, ConditionCache, join_scenes, language_bias
from video2act_ros.system1.conditions import ConditionAdaptors
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.guide import Guide, make_guide
from video2act_ros.system1.inputs import ChunkInputs, PolicyInputs, PolicyOutput, image_array
from video2act_ros.system1.layers import KeyValues
from video2act_ros.system1.memo import Memo
from video2act_ros.system1.realtime_chunking import Prefix
from video2act_ros.system1.sampler import Sampler
from video2act_ros.system1.state_vector import ActionSpace, StateVector
from video2act_ros.system1.vision import make_vision
from video2act_ros.system1.weights import used_weights


class Policy(ConditionAdaptors):
    """Adaptors, action head, vision and sampler of one bundle. One thread at a time."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__(config)
        self.sole_user = SoleUser()
        self.model = ActionCore(config)
        self.vision = make_vision(config)
        self.state_vector = StateVector(config.state_vector)
        self.actions = ActionSpace(config.actions, config.joints)
        self.sampler = Sampler(config.sampler)
        self._language_memo: Memo[tuple[KeyValues, ...]] = Memo()
        self._video_memo: Memo[tuple[KeyValues, ...]] = Memo()
        self.to(getattr(torch, config.dtype))

    @property
    def dtype(self) -> torch.dtype:
        """dtype of the parameters."""
        return self.model.x_pos_embed.dtype

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.model.x_pos_embed.device

    def forget(self) -> None:
        """Drop remembered language and video keys; needed after weights changed in place."""
        self._language_memo.clear()
        self._video_memo.clear()

    def train(self, mode: bool = True) -> Policy:
        """Switch between training and evaluation, dropping what was remembered."""
        self.forget()
        return super().train(mode)

    def load_weights(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict strictly; only the parameters that released checkpoints never use may be extra.

        Raises:
            BundleError: keys are missing or unknown, or shapes differ; the message lists them.
        """
        self.load_state_dict(used_weights(state, self.state_dict()))
        self.forget()

    def encode_language(self, tokens: Tensor) -> tuple[KeyValues, ...]:
        """Return the even blocks' keys and values of instruction embeddings (B, L, lang_dim)."""
        return self.model.language_keys_values(self.adapt_language(tokens))

    def image_tokens(self, images: Tensor) -> Tensor:
        """Return image tokens (B, N, dim) of images (B, history, cameras, H, W, 3) uint8 RGB."""
        vision, layout = self.config.vision, self.config.images
        expected = (layout.history, len(layout.cameras), vision.image_height, vision.image_width, 3)
        if tuple(images.shape[1:]) != expected or images.dtype != torch.uint8:
            raise InputError(
                f"images must be uint8 of shape (batch, {', '.join(map(str, expected))}), got "
                f"{tuple(images.shape)} of {images.dtype}; use image_array() to prepare them"
            )
        return self.vision(images)

    def encode_images(self, tokens: Tensor) -> tuple[KeyValues, ...]:
        """Return the odd blocks' keys and values of image tokens (B, N, dim)."""
        return self.model.image_keys_values(self.adapt_images(tokens))

    def encode_latents(self, spatial: Tensor, motion: Tensor | None) -> tuple[KeyValues, ...]:
        """Return the odd blocks' keys and values of video features (B, n, feature_dim) of both streams."""
        return self.model.video_keys_values(self.adapt_video(spatial, motion))

    def conditions(
        self,
        language: Tensor,
        image_tokens: Tensor,
        spatial: Tensor,
        motion: Tensor | None,
        language_mask: Tensor | None = None,
    ) -> ConditionCache:
        """Return everything the denoising steps share."""
        scene = join_scenes(self.encode_images(image_tokens), self.encode_latents(spatial, motion))
        keys = self.encode_language(language)
        return ConditionCache(keys, scene, language_bias(language_mask, self.dtype))

    def denoise(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        state_token: Tensor,
        conditions: ConditionCache,
        ctrl_freqs_hz: Tensor,
        mask: Tensor,
    ) -> Tensor:
        """Return the predicted clean actions (B, H, A); the noisy actions (B, H, A) are not masked first."""
        tokens = torch.cat((state_token, self.adapt_state_action(noisy, mask)), dim=1)  # (B, 1 + H, D)
        return self.model(tokens, timesteps, ctrl_freqs_hz, conditions)

    def forward(self, inputs: PolicyInputs, noisy: Tensor, timesteps: Tensor) -> PolicyOutput:
        """Return the training prediction.

        Args:
            inputs: a batch of B observations.
            noisy: (B·R, H, A) noised actions, R consecutive draws per observation.
            timesteps: (B·R,) integer diffusion timesteps.
        """
        draws = noisy.shape[0] // inputs.joints.shape[0]
        image_tokens = self.image_tokens(inputs.images)
        conditions = self.conditions(
            inputs.language, image_tokens, inputs.spatial, inputs.motion, inputs.language_mask
        )
        state = self.state_vector.scatter(inputs.joints.to(noisy.dtype)).unsqueeze(1)  # (B, 1, A)
        state_token = self.adapt_state_action(state, self.state_vector.mask).repeat_interleave(draws, dim=0)
        frequencies = self._frequencies(inputs.ctrl_freqs_hz)
        if frequencies.shape[0] > 1:
            frequencies = frequencies.repeat_interleave(draws, dim=0)
        prediction = self.denoise(
            noisy, timesteps, state_token, conditions, frequencies, self.state_vector.mask
        )
        return PolicyOutput(prediction, image_tokens)

    def encode_actions(self, positions: Tensor, joints: Tensor) -> Tensor:
        """Return (B, H, J) joint positions as clean action vectors (B, H, A); `joints` is (B, J)."""
        return self.state_vector.scatter(self.actions.encode(positions, joints))

    def decode_actions(self, actions: Tensor, joints: Tensor) -> Tensor:
        """Return action vectors (B, H, A) as joint positions (B, H, J); the inverse of `encode_actions`."""
        return self.actions.decode(self.state_vector.gather(actions), joints)

    def sample(
        self,
        conditions: ConditionCache,
        state: Tensor,
        noise: Tensor,
        mask: Tensor | None = None,
        ctrl_freqs_hz: Tensor | None = None,
        guide: Guide | None = None,
    ) -> Tensor:
        """Return a clean chunk (B, H, A).

        Args:
            conditions: what `conditions` returned.
            state: (B, 1, A) state vector.
            noise: (B, H, A) initial noise.
            mask: (A,) or (B, 1, A) element mask; the used elements by default.
            ctrl_freqs_hz: (B,) or (1,), the configured one by default.
            guide: known leading actions.
        """
        mask = self.state_vector.mask if mask is None else mask.to(noise)
        frequencies = self._frequencies(ctrl_freqs_hz)
        state_token = self.adapt_state_action(state, mask)
        return self.sampler.sample(
            lambda noisy, t: self.denoise(noisy, t, state_token, conditions, frequencies, mask),
            noise,
            mask,
            guide,
        )

    @torch.inference_mode()
    def predict_tokens(
        self,
        *,
        language: Tensor,
        image_tokens: Tensor,
        spatial: Tensor,
        motion: Tensor | None,
        state: Tensor,
        noise: Tensor,
        language_mask: Tensor | None = None,
        mask: Tensor | None = None,
        ctrl_freqs_hz: Tensor | None = None,
    ) -> Tensor:
        """Return the action vectors (B, H, A) of given tokens; arguments as in `conditions` and `sample`."""
        conditions = self.conditions(language, image_tokens, spatial, motion, language_mask)
        return self.sample(conditions, state, noise, mask, ctrl_freqs_hz)

    def _frequencies(self, ctrl_freqs_hz: Tensor | None) -> Tensor:
        if ctrl_freqs_hz is None:
            return torch.full((1,), self.config.ctrl_freq_hz, device=self.device)
        return ctrl_freqs_hz

    def image_array(self, observation: Observation, previous: Observation | None = None) -> NDArray[np.uint8]:
        """Return the images that this policy looks at, as `inputs.image_array` prepares them."""
        return image_array(self.config, observation, previous)

    @one_thread
    @torch.inference_mode()
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
        """Return a chunk of absolute joint positions (H, J) float64 in policy units.

        Keys and values of the instruction and of the latents are kept while the same `language` and
        `latents` objects come again.

        Args:
            observation: newest synchronised images and joints.
            latents: newest update of System 2.
            language: (L, lang_dim) embedding of the instruction.
            noise: (H, A) initial noise; drawn from `seed` when None.
            seed: seed of the noise.
            previous: the observation one control step earlier, for a history of two images.
            prefix: what the leading actions shall be; frozen ones are repeated exactly.
            stages: takes the intermediate results.
        """
        inputs = ChunkInputs.of(self.config, observation, previous, noise, seed)
        joints = inputs.joints
        tokens = self.image_tokens(torch.from_numpy(inputs.images)[None].to(self.device))
        inputs.tell(stages, tokens.float().cpu().numpy())
        image_keys = self.encode_images(tokens)
        video_keys = self._video_memo.get(latents, lambda: self._encode_pair(latents))
        language_keys = self._language_memo.get(
            language, lambda: self.encode_language(self._own(language)[None])
        )
        conditions = ConditionCache(language_keys, join_scenes(image_keys, video_keys))
        state = self.state_vector.scatter(self._own(joints))[None, None]  # (1, 1, A)
        guide = self._guide(prefix, joints)
        chunk = self.sample(conditions, state, self._own(inputs.noise)[None], guide=guide)
        positions = self.decode_actions(chunk.cpu().double(), joints[None])[0].numpy()
        return positions if prefix is None else prefix.restore(positions)

    def _guide(self, prefix: Prefix | None, joints: Tensor) -> Guide | None:
        if prefix is None:
            return None
        positions = torch.from_numpy(prefix.positions)[None].to(self.device)  # (1, n, J)
        actions = self.encode_actions(positions, joints[None].to(self.device))
        return make_guide(actions, prefix, self.state_vector.mask, self.config.horizon)

    def _own(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, self.dtype)

    def _encode_pair(self, latents: LatentPair) -> tuple[KeyValues, ...]:
        spatial, motion = (
            self._own(torch.from_numpy(np.ascontiguousarray(stream.tokens)))[None]
            for stream in (latents.spatial, latents.motion)
        )
        return self.encode_latents(spatial, motion)

    def _apply(
        self, fn: Callable[[Tensor], Tensor], recurse: bool = True
    ) -> Any:  # torch types its own as Any
        if hasattr(self, "_video_memo"):
            self.forget()
        return super()._apply(fn, recurse)
