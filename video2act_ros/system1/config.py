"""The shape of one policy: everything its modules are built from, as it stands in a bundle's manifest."""

from __future__ import annotations

from typing import Annotated, Literal, Union

from pydantic import Field, JsonValue, PositiveFloat, PositiveInt, model_validator

from video2act_ros.core.images import CameraPathConfig
from video2act_ros.core.schema import Frozen

AdaptorType = Annotated[str, Field(pattern=r"^(linear|mlp[1-9]x_gelu)$")]


class StateVectorConfig(Frozen):
    """Where each joint (in the policy's joint order) lies in the unified state/action vector."""

    size: PositiveInt
    indices: tuple[int, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> StateVectorConfig:
        if len(set(self.indices)) != len(self.indices):
            raise ValueError("state_vector.indices must be distinct")
        if not all(0 <= index < self.size for index in self.indices):
            raise ValueError(f"state_vector.indices must lie in 0..{self.size - 1}")
        return self


class ActionsConfig(Frozen):
    """What an action's number means.

    `absolute`: joint positions over `scale`. `joint_relative`: positions minus the joints of the
    observation, over `scale`; grippers stay absolute and are centred on one half.
    """

    representation: Literal["absolute", "joint_relative"] = "absolute"
    scale: tuple[PositiveFloat, ...] | None = None
    gripper_joints: tuple[int, ...] = ()


class AdaptorsConfig(Frozen):
    """Type of each condition adaptor: `linear` or `mlpNx_gelu`."""

    language: AdaptorType = "mlp2x_gelu"
    image: AdaptorType = "mlp2x_gelu"
    state: AdaptorType = "mlp3x_gelu"
    video: AdaptorType = "mlp2x_gelu"


class ImageTokensConfig(Frozen):
    """Layout of the image tokens: history-major, then cameras in the given order.

    `missing`: an observation without one of the cameras is refused, or its image is a plain grey
    `background`, as in the training of released policies.
    """

    dim: PositiveInt
    tokens_per_image: PositiveInt
    history: Literal[1, 2]
    cameras: tuple[str, ...] = Field(min_length=1)
    missing: Literal["refuse", "background"] = "refuse"

    @property
    def count(self) -> int:
        """Image tokens of one observation."""
        return self.history * len(self.cameras) * self.tokens_per_image


class CompressorConfig(Frozen):
    """A token compressor: `tokens` learned queries over `frames` latent frames."""

    dim: PositiveInt
    depth: int = Field(ge=0)
    heads: PositiveInt
    tokens: PositiveInt
    frames: PositiveInt = 1
    temporal_attention: bool = False
    head_dim: PositiveInt = 64

    @model_validator(mode="after")
    def _check(self) -> CompressorConfig:
        if self.tokens % self.frames:
            raise ValueError(
                f"compressor: tokens ({self.tokens}) must be a multiple of frames ({self.frames})"
            )
        if self.temporal_attention and self.dim % self.heads:
            raise ValueError(f"compressor: dim ({self.dim}) must be a multiple of heads ({self.heads})")
        return self


class VideoConfig(Frozen):
    """How System 2's features become condition tokens.

    `direct`: each stream through its own adaptor. `compressor`: each stream compressed, one shared
    adaptor. `single`: the spatial stream alone, compressed when `spatial_compressor` is given.
    """

    variant: Literal["direct", "compressor", "single"]
    feature_dim: PositiveInt
    spatial_tokens: PositiveInt
    motion_tokens: int = Field(default=0, ge=0)
    spatial_compressor: CompressorConfig | None = None
    motion_compressor: CompressorConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> VideoConfig:
        spatial, motion = self.spatial_compressor, self.motion_compressor
        if (self.variant == "single") != (self.motion_tokens == 0):
            raise ValueError("video.motion_tokens must be 0 for variant 'single' and positive otherwise")
        if self.variant == "compressor":
            if spatial is None or motion is None:
                raise ValueError("variant 'compressor' needs spatial_compressor and motion_compressor")
            if spatial.dim != motion.dim:
                raise ValueError("both compressors share one adaptor, so their dim must be equal")
        elif motion is not None or (self.variant == "direct" and spatial is not None):
            raise ValueError(f"variant '{self.variant}' has no such compressor")
        for compressor, tokens in ((spatial, self.spatial_tokens), (motion, self.motion_tokens)):
            if compressor is not None and tokens % compressor.frames:
                raise ValueError("video tokens must be a multiple of the compressor's frames")
        return self

    @property
    def blind(self) -> bool:
        """True when the policy cannot see the video: a compressor of depth 0 outputs constants."""
        used = [c for c in (self.spatial_compressor, self.motion_compressor) if c is not None]
        return bool(used) and all(c.depth == 0 for c in used)


class ConvVisionConfig(Frozen):
    """A small convolutional encoder per camera, for small bundles.

    Channels of the stride-2, stride-4 and (again) stride-4 maps, then of the stride-8 and stride-16
    maps. `grid` x `grid` pooled tokens follow `keypoint_tokens` tokens made of `keypoints` coordinates.
    """

    kind: Literal["conv"] = "conv"
    image_width: PositiveInt = 96
    image_height: PositiveInt = 96
    channels: tuple[PositiveInt, PositiveInt, PositiveInt] = (24, 48, 64)
    grid_channels: tuple[PositiveInt, PositiveInt] = (96, 128)
    keypoints: PositiveInt = 32
    keypoint_tokens: PositiveInt = 4
    coordinate_octaves: int = Field(default=4, ge=0)
    grid: int = Field(default=3, ge=0)

    @property
    def tokens_per_image(self) -> int:
        """Tokens that the encoder gives for one image."""
        return self.keypoint_tokens + self.grid**2


class SiglipVisionConfig(Frozen):
    """A SigLIP vision tower; `model` is the transformers configuration of its vision part.

    Images are resized bicubically, after being padded to a square (`pad`) or without regard to their
    aspect ratio (`stretch`). `brighten_dark` brightens dark images first.
    """

    kind: Literal["siglip"] = "siglip"
    image_width: PositiveInt = 384
    image_height: PositiveInt = 384
    resize: Literal["pad", "stretch"] = "pad"
    brighten_dark: bool = False
    model: dict[str, JsonValue]


VisionConfig = Annotated[Union[ConvVisionConfig, SiglipVisionConfig], Field(discriminator="kind")]


class SamplerConfig(Frozen):
    """Noise schedule and number of denoising steps."""

    steps: PositiveInt = 5
    train_timesteps: PositiveInt = 1000
    schedule: Literal["squaredcos_cap_v2"] = "squaredcos_cap_v2"


class PolicyConfig(Frozen):
    """One policy. `norm` is `variance` for weights of the released code, `rms` for a true RMS norm.

    `camera_path` is what every image goes through first; None leaves images as the cameras give them.
    """

    hidden: PositiveInt
    depth: PositiveInt
    heads: PositiveInt
    horizon: PositiveInt
    norm: Literal["variance", "rms"]
    lang_dim: PositiveInt
    max_lang: PositiveInt
    adaptors: AdaptorsConfig = AdaptorsConfig()
    state_vector: StateVectorConfig
    actions: ActionsConfig
    images: ImageTokensConfig
    vision: VisionConfig
    camera_path: CameraPathConfig | None = None
    video: VideoConfig
    sampler: SamplerConfig = SamplerConfig()
    ctrl_freq_hz: PositiveFloat
    action_step_s: PositiveFloat
    dtype: Literal["float32", "bfloat16"] = "float32"

    @property
    def joints(self) -> int:
        """Number of joints that the policy moves."""
        return len(self.state_vector.indices)

    @model_validator(mode="after")
    def _check(self) -> PolicyConfig:
        if self.hidden % (2 * self.heads) or self.hidden % 4:
            raise ValueError("hidden must be a multiple of 4 and of twice the number of heads")
        actions = self.actions
        if actions.scale is not None and len(actions.scale) != self.joints:
            raise ValueError(f"actions.scale needs {self.joints} numbers, got {len(actions.scale)}")
        if not all(0 <= index < self.joints for index in actions.gripper_joints):
            raise ValueError(f"actions.gripper_joints must lie in 0..{self.joints - 1}")
        if isinstance(self.vision, ConvVisionConfig):
            if self.vision.tokens_per_image != self.images.tokens_per_image:
                raise ValueError(
                    f"images.tokens_per_image must be {self.vision.tokens_per_image} for this vision"
                )
        elif self.images.dim != self.vision.model.get("hidden_size"):
            raise ValueError("images.dim must equal the vision model's hidden_size")
        return self
