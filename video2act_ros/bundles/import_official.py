"""Turns the released model's checkpoints into bundles: everything is checked first, then written in one go."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from video2act_ros.bundles import siglip_files
from video2act_ros.bundles.checkpoint_files import (
    StoredTensors,
    cast,
    check_keys,
    find_policy_file,
    find_weight_files,
    open_checkpoint,
    strip_prefix,
)
from video2act_ros.bundles.import_write import (
    Imported,
    ImportTarget,
    PlannedEncoder,
    PlannedPolicy,
    write_import,
)
from video2act_ros.bundles.infer_encoder import (
    DIT_ANCHOR,
    VAE_ANCHOR,
    infer_encoder,
    split_lora,
)
from video2act_ros.bundles.infer_policy import ANCHOR, VIDEO_BLIND, contradictions, infer_policy, variant_of
from video2act_ros.bundles.instructions import Instruction
from video2act_ros.bundles.manifest import System2Section, read_manifest
from video2act_ros.bundles.released_settings import LATENT_PIXELS, ReleasedSettings, read_settings
from video2act_ros.bundles.shards import Progress, parameters_on_meta, shapes, size_in_bytes
from video2act_ros.core.errors import BundleError
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.policy import Policy
from video2act_ros.system1.weights import UNUSED_REFERENCE_KEYS
from video2act_ros.system2.config import VideoEncoderConfig

DtypeChoice = Literal["keep", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class ImportSources:
    """The files to import. Give the policy, the video model with its VAE, or all.

    `system2` is the folder of a bundle whose features the policy was trained on, when the video model is not
    imported along. `ema` takes the policy's moving average.
    """

    policy: Path | None = None
    siglip: Path | None = None
    transformer: tuple[Path, ...] = ()
    vae: Path | None = None
    config: Path | None = None
    system2: Path | None = None
    ema: bool = False


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import. `dtype` `keep` stores what the checkpoint has; a mixture becomes float32, without loss."""

    profile: RobotProfile
    settings: ReleasedSettings = ReleasedSettings()  # noqa: RUF009  # frozen
    instructions: tuple[Instruction, ...] = ()
    dtype: DtypeChoice = "keep"
    allow_video_blind: bool = False
    shard_bytes: int = 512 << 20


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """A checked import; `notes` are worth reading, `size_bytes` is what the weights will take."""

    options: ImportOptions
    made_with: tuple[str, ...]
    policy: PlannedPolicy | None = None
    encoder: PlannedEncoder | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def size_bytes(self) -> int:
        """Bytes of weights to write."""
        return sum(size_in_bytes(part.tensors) for part in (self.policy, self.encoder) if part is not None)

    def write(self, folder: Path, progress: Progress, replace_existing: bool = False) -> Imported:
        """Write `folder/system1` and `folder/system2`, as far as they are imported; nothing is left on failure.

        Raises:
            BundleError: `folder` exists and may not be replaced, or a weight is not finite.
        """
        if folder.exists() and not replace_existing:
            raise BundleError(
                f"{folder} exists; give another name, or --replace to put the import in its place"
            )
        target = ImportTarget(
            folder, self.options.instructions, self.made_with, self.options.shard_bytes, progress
        )
        return write_import(target, self.policy, self.encoder)


def plan_import(sources: ImportSources, options: ImportOptions) -> ImportPlan:
    """Open and check everything without reading the weights.

    Raises:
        BundleError: a file is missing, damaged or holds code; keys or shapes do not fit (listed); the policy
            cannot see the video; parts that belong together are not given together.
    """
    _check_sources(sources)
    settings, notes = options.settings, list[str]()
    if sources.config is not None:
        settings, notes = read_settings(sources.config, settings)
    else:
        notes.append("no YAML given: extraction, sampler and history are the released example's")
    own, lora = _open_policy(sources)
    if own:
        settings = _for_variant(variant_of({key: value.shape for key, value in own.items()}), settings)
    encoder, more = _plan_encoder(sources, settings, options, lora)
    notes += more
    policy = None
    if own:
        config, identity = _features(sources, encoder)
        policy, more = _plan_policy(own, config, identity, sources, settings, options)
        notes += more
    return ImportPlan(options, _made_with(sources), policy, encoder, tuple(notes))


def _check_sources(sources: ImportSources) -> None:
    if sources.policy is None and not sources.transformer:
        raise BundleError("nothing to import; give --policy, or --dit with --vae, or all three")
    if bool(sources.transformer) != (sources.vae is not None):
        raise BundleError("the video model and its VAE make the features together; give both --dit and --vae")
    if sources.policy is not None:
        if sources.siglip is None:
            raise BundleError("a policy needs its image encoder; give the SigLIP folder with --siglip")
        if not sources.transformer and sources.system2 is None:
            raise BundleError(
                "a policy works only with the features it was trained on; import the video model along "
                "(--dit, --vae) or name its bundle with --system2"
            )


def _made_with(sources: ImportSources) -> tuple[str, ...]:
    paths = (sources.policy, *sources.transformer, sources.vae, sources.siglip, sources.config)
    return ("video2act import", *(path.name for path in paths if path is not None))


def _open_policy(sources: ImportSources) -> tuple[StoredTensors, StoredTensors]:
    if sources.policy is None:
        return {}, {}
    file = find_policy_file(sources.policy, sources.ema)
    return split_lora(strip_prefix(open_checkpoint([file]), ANCHOR, "a Video2Act policy"))


def _for_variant(variant: str, settings: ReleasedSettings) -> ReleasedSettings:
    """Return the settings of the variant: a single stream's latents are resized instead of filtered."""
    if variant != "single":
        return settings
    if settings.video_size is None:
        raise BundleError(
            "this single-stream policy resizes its latents to framepack.video_size; give the YAML that has it "
            "with --config"
        )
    rows, columns = (pixels // LATENT_PIXELS for pixels in settings.video_size)
    changes = {"method": "none", "latent_size": (rows, columns)}
    return replace(settings, spatial=settings.spatial.model_copy(update=changes))


def _kept_dtype(tensors: StoredTensors, choice: DtypeChoice) -> str:
    if choice != "keep":
        return choice
    found = {tensor.dtype for tensor in tensors.values() if tensor.dtype.is_floating_point}
    return "bfloat16" if found == {torch.bfloat16} else "float32"


def _plan_encoder(
    sources: ImportSources, settings: ReleasedSettings, options: ImportOptions, lora: StoredTensors
) -> tuple[PlannedEncoder | None, list[str]]:
    if not sources.transformer or sources.vae is None:
        if lora:
            raise BundleError(
                "the policy's checkpoint changes the video model by low-rank updates; give --dit and --vae, so that "
                "they can be merged"
            )
        return None, []
    files = find_weight_files(sources.transformer)
    transformer = strip_prefix(open_checkpoint(files), DIT_ANCHOR, "a Wan video model")
    vae = strip_prefix(open_checkpoint(find_weight_files([sources.vae])), VAE_ANCHOR, "a Wan VAE")
    dtype = _kept_dtype(transformer, options.dtype)
    parts = infer_encoder(transformer, vae, lora, settings, dtype)
    if parts.config.camera not in options.profile.camera_names:
        raise BundleError(f"robot '{options.profile.name}' has no camera '{parts.config.camera}'")
    return PlannedEncoder(parts.config, _cast_encoder(parts.tensors, dtype)), list(parts.notes)


def _cast_encoder(tensors: StoredTensors, dtype: str) -> StoredTensors:
    """Return the transformer in `dtype` and the VAE in float32, in which it runs."""
    return {
        key: cast(value, torch.float32 if key.startswith("vae.") else getattr(torch, dtype))
        for key, value in tensors.items()
    }


def _features(
    sources: ImportSources, encoder: PlannedEncoder | None
) -> tuple[VideoEncoderConfig, str | None]:
    """Return the encoder that makes the policy's features, and its identity where it is known already."""
    if encoder is not None:
        return encoder.config, None
    assert sources.system2 is not None
    section: System2Section | None = read_manifest(sources.system2).system2
    if section is None:
        raise BundleError(f"bundle {sources.system2} holds no System 2; give one that has it")
    return section.encoder, section.features_id


def _plan_policy(
    tensors: StoredTensors,
    encoder: VideoEncoderConfig,
    identity: str | None,
    sources: ImportSources,
    settings: ReleasedSettings,
    options: ImportOptions,
) -> tuple[PlannedPolicy, list[str]]:
    assert sources.siglip is not None
    vision, tower = siglip_files.read_siglip(sources.siglip)
    dtype = _kept_dtype(tensors, options.dtype)
    vision |= {"resize": settings.image_resize, "brighten_dark": settings.brighten_dark}
    config = infer_policy(tensors, settings, encoder, vision, dtype)
    notes = [f"policy variant '{config.video.variant}', {config.depth} blocks of {config.hidden}, {dtype}"]
    notes += contradictions(config, settings)
    if config.video.blind:
        if not options.allow_video_blind:
            raise BundleError(f"{VIDEO_BLIND}; train it anew, or import it as it is with --allow-video-blind")
        notes.append(VIDEO_BLIND)
    if config.video.feature_dim != encoder.feature_dim:
        raise BundleError(
            f"the policy takes features of width {config.video.feature_dim}, the video model makes "
            f"{encoder.feature_dim}; give the video model that the policy was trained with"
        )
    _check_robot(config, options.profile)
    used = {key: value for key, value in tensors.items() if key not in UNUSED_REFERENCE_KEYS}
    with parameters_on_meta():
        expected = shapes(Policy(config))
    prefix = next(key for key in expected if key.endswith(siglip_files.ANCHOR)).removesuffix(
        siglip_files.ANCHOR
    )
    used |= {prefix + key: value for key, value in tower.items()}
    check_keys(used, expected, "the policy's checkpoint")
    used = {key: cast(value, getattr(torch, dtype)) for key, value in used.items()}
    return PlannedPolicy(config, used, options.profile.joint_names, identity), notes


def _check_robot(config: PolicyConfig, profile: RobotProfile) -> None:
    missing = [name for name in config.images.cameras if name not in profile.camera_names]
    if missing or len(profile.joint_names) != config.joints:
        raise BundleError(
            f"the policy drives {config.joints} joints and looks at {', '.join(config.images.cameras)}; robot "
            f"'{profile.name}' has {len(profile.joint_names)} joints and {', '.join(profile.camera_names)}; choose "
            "its robot with --robot"
        )
