"""From raw conditions to tokens of the action head's width (docs/reference.md, "condition tokens")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from video2act_ros.core.errors import InputError
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.layers import init_normal, make_adaptor
from video2act_ros.system1.token_compressor import TokenCompressor


class ConditionAdaptors(nn.Module):
    """Adaptors, stream norms and compressors of one policy, under the released checkpoints' names.

    The base of `Policy`, because those names stand at the top level of a checkpoint. "video" in a
    name means the spatial stream, or both where they share a module.
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        dim, kinds, video = config.hidden, config.adaptors, config.video
        self.lang_adaptor = make_adaptor(kinds.language, config.lang_dim, dim)
        self.img_adaptor = make_adaptor(kinds.image, config.images.dim, dim)
        self.state_adaptor = make_adaptor(kinds.state, 2 * config.state_vector.size, dim)
        self.video_layernorm = nn.LayerNorm(video.feature_dim)
        self.motion_layernorm = None if video.variant == "single" else nn.LayerNorm(video.feature_dim)
        self.video_token_compressor = self.motion_token_compressor = None
        video_dim = video.feature_dim
        if video.spatial_compressor is not None:
            video_dim = video.spatial_compressor.dim
            self.video_token_compressor = TokenCompressor(video.spatial_compressor, video.feature_dim)
        if video.motion_compressor is not None:
            self.motion_token_compressor = TokenCompressor(video.motion_compressor, video.feature_dim)
        self.video_adaptor = make_adaptor(kinds.video, video_dim, dim)
        direct = video.variant == "direct"
        self.motion_adaptor = make_adaptor(kinds.video, video.feature_dim, dim) if direct else None
        for adaptor in (self.lang_adaptor, self.img_adaptor, self.state_adaptor, self.video_adaptor):
            init_normal(adaptor)
        if self.motion_adaptor is not None:
            init_normal(self.motion_adaptor)

    def adapt_language(self, tokens: Tensor) -> Tensor:
        """Return (B, L, D) from instruction embeddings (B, L, lang_dim)."""
        self._check("language", tokens, None, self.config.lang_dim)
        if tokens.shape[1] > self.config.max_lang:
            raise InputError(
                f"the instruction has {tokens.shape[1]} tokens, the policy takes at most "
                f"{self.config.max_lang}; shorten the instruction"
            )
        return self.lang_adaptor(tokens)

    def adapt_images(self, tokens: Tensor) -> Tensor:
        """Return (B, N, D) from image tokens (B, N, images.dim)."""
        self._check("image", tokens, self.config.images.count, self.config.images.dim)
        return self.img_adaptor(tokens)

    def adapt_state_action(self, values: Tensor, mask: Tensor) -> Tensor:
        """Return (B, N, D) from state or noisy action vectors (B, N, A) and their element mask."""
        return self.state_adaptor(torch.cat((values, mask.to(values.dtype).expand_as(values)), dim=-1))

    def adapt_video(self, spatial: Tensor, motion: Tensor | None) -> Tensor:
        """Return (B, M, D): the spatial stream's tokens, then the motion stream's.

        Both inputs are the video model's features, (B, n, feature_dim); `motion` is None for `single`.
        """
        video = self.config.video
        self._check("spatial", spatial, video.spatial_tokens, video.feature_dim)
        spatial = self.video_layernorm(spatial)
        if self.video_token_compressor is not None:
            spatial = self.video_token_compressor(spatial)
        if self.motion_layernorm is None:
            return self.video_adaptor(spatial)
        if motion is None:
            raise InputError("this policy needs the motion stream; let System 2 publish latents/motion")
        self._check("motion", motion, video.motion_tokens, video.feature_dim)
        motion = self.motion_layernorm(motion)
        if self.motion_adaptor is not None:
            return torch.cat((self.video_adaptor(spatial), self.motion_adaptor(motion)), dim=1)
        assert self.motion_token_compressor is not None
        return self.video_adaptor(torch.cat((spatial, self.motion_token_compressor(motion)), dim=1))

    @staticmethod
    def _check(name: str, tokens: Tensor, count: int | None, dim: int) -> None:
        expected = f"(batch, {'any number' if count is None else count}, {dim})"
        if tokens.ndim != 3 or tokens.shape[2] != dim or (count is not None and tokens.shape[1] != count):
            raise InputError(
                f"{name} tokens have shape {tuple(tokens.shape)}, the policy takes {expected}; "
                "use a bundle made for these features"
            )
