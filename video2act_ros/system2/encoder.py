"""System 2 as one object: camera frames and an instruction in, feature tokens of both streams out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from video2act_ros.core.errors import BundleError, InputError
from video2act_ros.core.sole_user import SoleUser, one_thread
from video2act_ros.core.types import FloatArray, ImageArray, LatentStream
from video2act_ros.system2.config import VideoEncoderConfig
from video2act_ros.system2.extraction import extract, resize_latents, select_frames
from video2act_ros.system2.frame_layout import FrameLayout
from video2act_ros.system2.frame_layout import PreparedFrame as PreparedFrame
from video2act_ros.system2.video_model import Conditioning, VideoModel
from video2act_ros.system2.video_vae import WanVae, build_vae
from video2act_ros.system2.wan_weights import Weights, load_weights, transformer_weights, vae_weights

Features = dict[LatentStream, NDArray[np.float32]]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class VideoEncoder(nn.Module):
    """VAE, extraction and video model. One thread uses it; text keys and values are kept per instruction."""

    def __init__(self, config: VideoEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.sole_user = SoleUser()
        self.vae = build_vae(config.vae)
        self.model = VideoModel(config.transformer, config.layer)
        self.model.cast(_DTYPES[config.dtype])
        self.vae.to(_DTYPES[config.vae_dtype])
        self.requires_grad_(False)
        self.eval()
        self._text: NDArray[np.float32] = np.zeros((0, config.text.dim), np.float32)
        self._conditioning: Conditioning | None = None

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return next(self.model.parameters()).device

    def load(self, transformer: Weights, vae: Weights) -> None:
        """Load weights with diffusers' or the original key names.

        Raises:
            BundleError: they do not fit the configuration; names the first misfits.
        """
        load_weights(self.model.transformer, transformer_weights(transformer), "transformer weights")
        target = self.vae.model if isinstance(self.vae, WanVae) else self.vae
        load_weights(target, vae_weights(vae), "VAE weights")
        self._conditioning = None

    def prepare_frame(self, image: ImageArray) -> dict[LatentStream, ImageArray]:
        """Return one (H, W, 3) uint8 RGB image as each stream takes it; done once, when the frame arrives."""
        return FrameLayout.of(self.config).prepare(image)

    def video(self, frames: ImageArray, stream: LatentStream) -> Tensor:
        """Return the VAE's input (B, 3, T, h, w) in [-1, 1] of (B, T, h, w, 3) uint8 RGB of the stream's size."""
        part = self.config.stream(stream)
        expected = (part.frames, part.height, part.width, 3)
        if frames.shape[1:] != expected or frames.dtype != np.uint8:
            raise InputError(
                f"stream '{stream.value}' takes uint8 windows of shape {expected}, "
                f"got {frames.dtype} {frames.shape[1:]}"
            )
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(self.device)
        if self.config.channel_order == "bgr":
            pixels = pixels.flip(-1)
        return (pixels.permute(0, 4, 1, 2, 3).float() / 127.5 - 1).to(_DTYPES[self.config.vae_dtype])

    @torch.inference_mode()
    def encode_window(self, frames: ImageArray, stream: LatentStream) -> Tensor:
        """Return the latents of one stream's window.

        Args:
            frames: (T, h, w, 3) or (B, T, h, w, 3) uint8 RGB in the stream's frame count and size.
            stream: whose.

        Returns:
            (B, C, T_lat, h', w') as `model_latents` gives them, before extraction.
        """
        frames = frames[None] if frames.ndim == 4 else frames
        return self.model_latents(self.vae.encode(self.video(frames, stream)), stream)

    @torch.inference_mode()
    def model_latents(self, latents: Tensor, stream: LatentStream) -> Tensor:
        """Return what the video model sees of (B, C, T, h, w) latents: frames and size, before extraction."""
        part = self.config.stream(stream)
        latents = select_frames(latents, part.latent_frames, part.frame_select)
        return resize_latents(latents, part.latent_size)

    def _extract(self, values: Tensor, stream: LatentStream) -> Tensor:
        part = self.config.stream(stream)
        return extract(
            values,
            part.method,
            fps=part.fps,
            filter_type=part.filter_type,
            freq_low=part.freq_low,
            freq_high=part.freq_high,
            prop_motion=part.prop_motion,
        )

    @torch.inference_mode()
    def extracted(self, latents: Tensor, stream: LatentStream) -> Tensor:
        """Return what the stream's operator keeps of (B, C, T, h, w) latents, as a picture of the stream."""
        return self._extract(latents.to(self.model.dtype), stream)

    @torch.inference_mode()
    def features(self, latents: Tensor, stream: LatentStream, text: FloatArray | None) -> Tensor:
        """Return the tokens (B, N, C) of latents (B, C_lat, T, h, w) under an instruction.

        Args:
            latents: from `encode_window`.
            stream: whose extraction applies.
            text: (L, D) embedding, or None for no text token at all.
        """
        conditioning = self._condition(text)
        if self.config.filter_position == "before":
            return self.model(self.extracted(latents, stream), conditioning)
        tokens = self.model(latents, conditioning)
        grid = tokens.transpose(1, 2).unflatten(2, self.config.grid(stream))  # (B, C, T, rows, columns)
        return self._extract(grid, stream).flatten(2).transpose(1, 2)

    def _condition(self, text: FloatArray | None) -> Conditioning:
        """Return the instruction's keys and values, computed when it changes; short text is zero-padded."""
        length, dim = self.config.text.length, self.config.text.dim
        tokens = np.zeros((0, dim), np.float32) if text is None else np.asarray(text, np.float32)
        kept = self._conditioning
        if kept is not None and np.array_equal(self._text, tokens) and kept.modulation.device == self.device:
            return kept
        if tokens.ndim != 2 or tokens.shape[1] != dim or len(tokens) > length:
            raise InputError(
                f"an instruction's embedding must be (up to {length}, {dim}), got {tokens.shape}"
            )
        padded = torch.zeros(1, length if len(tokens) else 0, dim, device=self.device)
        padded[0, : len(tokens)] = torch.as_tensor(tokens)
        self._conditioning = self.model.condition(padded, self.config.timestep)
        self._text = tokens.copy()
        return self._conditioning

    def update(self, frames: ImageArray, text: FloatArray | None) -> Features:
        """Return both streams' (N, C) float32 tokens of one (T, H, W, 3) uint8 RGB window of any size."""
        return self.update_prepared([self.prepare_frame(frame) for frame in frames], text)

    def update_prepared(self, frames: Sequence[PreparedFrame], text: FloatArray | None) -> Features:
        """Return both streams' tokens, (N, C) float32 each, of a window of `prepare_frame`'s results."""
        windows = {
            stream: np.stack([frame[stream] for frame in frames[-self.config.stream(stream).frames :]])[None]
            for stream in LatentStream
        }
        return {stream: tokens[0] for stream, tokens in self.update_batch(windows, text).items()}

    @one_thread
    @torch.inference_mode()
    def update_batch(self, windows: Mapping[LatentStream, ImageArray], text: FloatArray | None) -> Features:
        """Return tokens (B, N, C) float32 of the given streams' windows (B, T, h, w, 3) uint8 RGB."""
        result = {}
        for stream, frames in windows.items():
            tokens = self.features(self.encode_window(frames, stream), stream, text)
            result[stream] = tokens.float().cpu().numpy()
        return result


def load_video_encoder(
    config: VideoEncoderConfig, transformer: Path, vae: Path, device: str | torch.device = "cpu"
) -> VideoEncoder:
    """Build the encoder and load its weights from two safetensors files.

    Raises:
        BundleError: a file is missing or unreadable, or does not fit the configuration.
    """
    encoder = VideoEncoder(config)
    encoder.load(_read(transformer), _read(vae))
    return encoder.to(device)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"cannot read weights {path}: {error}; copy or train them again") from error
