"""What shapes the video features: the model, its inputs, and the filters around it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from video2act_ros.core.errors import unknown_choice
from video2act_ros.core.images import CameraPathConfig
from video2act_ros.core.schema import Frozen
from video2act_ros.core.types import LatentStream

EXTRACTION_METHODS = ("none", "sobel", "scharr", "laplace", "fft", "fft+sobel", "sobel+fft", "moft")
FILTER_TYPES = ("bandpass", "lowpass")
FRAME_SELECTIONS = ("last", "first", "center", "uniform")

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]


def _without_unused(content: dict[str, Any], *names: str) -> dict[str, Any]:
    """Leave out optional parts that are not used, so that they do not enter the identity of the features."""
    return {key: value for key, value in content.items() if value is not None or key not in names}


class WanVaeConfig(Frozen):
    """Arguments of diffusers' `AutoencoderKLWan`; a latent is `(posterior mean - mean) / std` per channel."""

    kind: Literal["wan"] = "wan"
    base_dim: PositiveInt = 160
    decoder_base_dim: PositiveInt | None = None
    z_dim: PositiveInt = 48
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: PositiveInt = 2
    attn_scales: tuple[float, ...] = ()
    temperal_downsample: tuple[bool, ...] = (False, True, True)
    is_residual: bool = True
    in_channels: PositiveInt = 12
    out_channels: PositiveInt = 12
    patch_size: PositiveInt | None = 2
    scale_factor_temporal: PositiveInt = 4
    scale_factor_spatial: PositiveInt = 16
    latents_mean: tuple[float, ...]
    latents_std: tuple[PositiveFloat, ...]

    @model_validator(mode="after")
    def _check(self) -> WanVaeConfig:
        if not len(self.latents_mean) == len(self.latents_std) == self.z_dim:
            raise ValueError(f"latents_mean and latents_std need z_dim = {self.z_dim} values each")
        return self

    @property
    def channels(self) -> int:
        """Channels of a latent."""
        return self.z_dim

    @property
    def spatial_factor(self) -> int:
        """Pixels per latent position, in each direction."""
        return self.scale_factor_spatial

    @property
    def temporal_factor(self) -> int:
        """Camera frames per latent frame after the first."""
        return self.scale_factor_temporal


class PatchVaeConfig(Frozen):
    """A linear causal video VAE: packs of frames, cut into square patches, projected to `channels`."""

    kind: Literal["patch"] = "patch"
    patch_size: PositiveInt = 8
    temporal_factor: PositiveInt = 4
    channels: PositiveInt = 48

    @property
    def spatial_factor(self) -> int:
        """Pixels per latent position, in each direction."""
        return self.patch_size


VaeConfig = Annotated[Union[WanVaeConfig, PatchVaeConfig], Field(discriminator="kind")]


class TransformerConfig(Frozen):
    """Arguments of diffusers' `WanTransformer3DModel`."""

    num_attention_heads: PositiveInt
    attention_head_dim: PositiveInt
    in_channels: PositiveInt
    out_channels: PositiveInt
    text_dim: PositiveInt
    freq_dim: PositiveInt
    ffn_dim: PositiveInt
    num_layers: PositiveInt
    patch_size: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 2, 2)
    cross_attn_norm: bool = True
    qk_norm: Literal["rms_norm_across_heads"] = "rms_norm_across_heads"
    eps: PositiveFloat = 1e-6
    rope_max_seq_len: PositiveInt = 1024

    @property
    def dim(self) -> int:
        """Width of the tokens."""
        return self.num_attention_heads * self.attention_head_dim


class StreamConfig(Frozen):
    """One stream's frames and its extraction operator (`docs/reference.md`, "extraction").

    `frames` are the window's newest ones. `fps` is the label the filter's frequencies refer to: bin k of
    the time axis with T latent frames is called k * fps / T Hz, whatever the true rate is. `latent_size`
    (rows, columns) resizes the latents bilinearly before anything else, as the released single-stream
    arrangement does; None leaves them.
    """

    frames: PositiveInt
    width: PositiveInt
    height: PositiveInt
    method: str
    fps: PositiveFloat = 16.0
    filter_type: str = "bandpass"
    freq_low: float = 1.0
    freq_high: float = 10.0
    prop_motion: Annotated[float, Field(gt=0, le=1)] = 0.04
    frame_select: str = "last"
    latent_frames: PositiveInt | None = None
    latent_size: tuple[PositiveInt, PositiveInt] | None = None

    @model_serializer(mode="wrap")
    def _serialise(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_unused(handler(self), "latent_size")

    @model_validator(mode="after")
    def _check(self) -> StreamConfig:
        for name, valid in (
            ("method", EXTRACTION_METHODS),
            ("filter_type", FILTER_TYPES),
            ("frame_select", FRAME_SELECTIONS),
        ):
            if getattr(self, name) not in valid:
                raise ValueError(unknown_choice(name, getattr(self, name), valid))
        return self


class TextConfig(Frozen):
    """Shape of an instruction's embedding: `length` tokens (zero-padded) of `dim`."""

    length: Annotated[int, Field(ge=0)]
    dim: PositiveInt


class VideoEncoderConfig(Frozen):
    """Everything that shapes the features except the weights.

    `layer` blocks of the transformer run, at `timestep`, without added noise; the features are the raw
    output of the last of them. `filter_position` says whether the extraction operators act on the latents
    before the video model (the released arrangement) or on the features after it. `channel_order` is what
    the VAE was trained on. `camera_path` is what every frame goes through first; None leaves it as it is.
    """

    camera: str = "cam_high"
    window_frames: PositiveInt
    frame_period_s: PositiveFloat
    vae: VaeConfig
    transformer: TransformerConfig
    layer: PositiveInt
    timestep: Annotated[float, Field(ge=0)] = 0.0
    filter_position: Literal["before", "after"] = "before"
    channel_order: Literal["bgr", "rgb"] = "bgr"
    spatial: StreamConfig
    motion: StreamConfig
    text: TextConfig
    dtype: Literal["float32", "bfloat16"] = "float32"
    vae_dtype: Literal["float32", "bfloat16"] = "float32"
    camera_path: CameraPathConfig | None = None

    @model_serializer(mode="wrap")
    def _serialise(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_unused(handler(self), "camera_path")

    @model_validator(mode="after")
    def _check(self) -> VideoEncoderConfig:
        if self.layer > self.transformer.num_layers:
            raise ValueError(f"layer {self.layer} exceeds the transformer's {self.transformer.num_layers}")
        if self.transformer.in_channels != self.vae.channels:
            raise ValueError(
                f"transformer.in_channels {self.transformer.in_channels} is not the VAE's {self.vae.channels}"
            )
        if self.transformer.text_dim != self.text.dim:
            raise ValueError(
                f"text.dim {self.text.dim} must equal transformer.text_dim {self.transformer.text_dim}"
            )
        for stream in LatentStream:
            self._check_stream(stream)
        return self

    def _check_stream(self, stream: LatentStream) -> None:
        config, factor = self.stream(stream), self.vae.temporal_factor
        if config.frames > self.window_frames:
            raise ValueError(
                f"{stream.value}.frames {config.frames} exceeds window_frames {self.window_frames}"
            )
        if config.frames % factor != 1 % factor:
            raise ValueError(f"{stream.value}.frames must be 1 + a multiple of {factor}, got {config.frames}")
        self._check_size(stream)
        encoded = 1 + (config.frames - 1) // factor
        if config.latent_frames is not None and config.latent_frames > encoded:
            raise ValueError(
                f"{stream.value}.latent_frames {config.latent_frames} exceeds the encoded {encoded}"
            )
        if max(self.grid(stream)) > self.transformer.rope_max_seq_len:
            raise ValueError(
                f"rope_max_seq_len is too small for {stream.value}'s token grid {self.grid(stream)}"
            )

    def _check_size(self, stream: LatentStream) -> None:
        config, pixels = self.stream(stream), self.vae.spatial_factor
        for name, size, latents, patch in (
            (
                "height",
                config.height,
                config.latent_size and config.latent_size[0],
                self.transformer.patch_size[1],
            ),
            (
                "width",
                config.width,
                config.latent_size and config.latent_size[1],
                self.transformer.patch_size[2],
            ),
        ):
            multiple = pixels if latents else pixels * patch
            if size % multiple:
                raise ValueError(f"{stream.value}.{name} {size} must be a multiple of {multiple}")
            if latents and latents % patch:
                raise ValueError(f"{stream.value}.latent_size must be multiples of {patch}")

    def stream(self, stream: LatentStream) -> StreamConfig:
        """Return one stream's part."""
        return self.spatial if stream is LatentStream.SPATIAL else self.motion

    def latent_shape(self, stream: LatentStream) -> tuple[int, int, int, int]:
        """Return the (C, T, h, w) of the latents that the video model sees."""
        config = self.stream(stream)
        frames = config.latent_frames or 1 + (config.frames - 1) // self.vae.temporal_factor
        factor = self.vae.spatial_factor
        height, width = config.latent_size or (config.height // factor, config.width // factor)
        return self.vae.channels, frames, height, width

    def grid(self, stream: LatentStream) -> tuple[int, int, int]:
        """Return the token grid (frames, rows, columns); tokens are ordered frame, row, column."""
        _, frames, height, width = self.latent_shape(stream)
        patch_frames, patch_height, patch_width = self.transformer.patch_size
        return frames // patch_frames, height // patch_height, width // patch_width

    def token_count(self, stream: LatentStream) -> int:
        """Return N of the stream's (N, C) features."""
        frames, rows, columns = self.grid(stream)
        return frames * rows * columns

    @property
    def feature_dim(self) -> int:
        """C of the features."""
        return self.transformer.dim
