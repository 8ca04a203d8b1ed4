"""Whole predictions: latents to a chunk, images to tokens, and a complete run-time step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from video2act_ros.bundles.released_settings import BIMANUAL_INDICES, CAMERAS, LATENT_PIXELS
from video2act_ros.bundles.verify_reference.compare import full_name, full_size
from video2act_ros.bundles.verify_reference.folder import ReferenceFile
from video2act_ros.bundles.verify_reference.models import (
    Computed,
    build_policy,
    encoder_config,
    is_video_model,
    streams,
    video_model_weights,
    wan_vae_config,
)
from video2act_ros.control.step_limits import interpolate, ramp
from video2act_ros.core.images import CameraPathConfig, through_camera_path
from video2act_ros.core.types import (
    FloatArray,
    ImageArray,
    LatentPair,
    LatentStream,
    LatentTokens,
    Observation,
)
from video2act_ros.system1.config import PolicyConfig, StateVectorConfig
from video2act_ros.system1.inputs import image_array
from video2act_ros.system1.policy import Policy
from video2act_ros.system1.state_vector import StateVector
from video2act_ros.system1.vision import siglip_pixels, siglip_weights
from video2act_ros.system2.config import StreamConfig
from video2act_ros.system2.encoder import VideoEncoder

_STREAMS = (LatentStream.SPATIAL, LatentStream.MOTION)
_GRIPPERS = (6, 13)  # of the two arms' 14 joints
_ENLARGED = 20


def _documented(pattern: str, doc: str, default: tuple[float, ...]) -> tuple[float, ...]:
    match = re.search(pattern, doc)
    return default if match is None else tuple(map(float, match.groups()))


def both_systems(file: ReferenceFile) -> tuple[VideoEncoder, Policy]:
    """Return the encoder and the policy of a prediction, in the file's variant."""
    encoder = _latent_encoder(file, _latents(file), file.given("llama_vec").shape[-2])
    return encoder, build_policy(file, encoder.config)


def _latents(file: ReferenceFile) -> list[Tensor]:
    """Return the head's latents (B, C, T, h, w) and, unless the variant is `single`, the movement's."""
    names = ("image_latents_head", "image_latents_motion")
    return [file.given(name).squeeze(1) for name in names if f"in.{name}" in file.tensors]


def prediction(file: ReferenceFile) -> Computed:
    """Latents, tokens and state to a chunk, in every variant."""
    encoder, policy = both_systems(file)
    latents = _latents(file)
    texts = file.given("llama_vec").squeeze(1)  # (B, L, D)
    used = _STREAMS[: len(latents)]
    chosen = [encoder.model_latents(values, s) for values, s in zip(latents, used, strict=True)]
    features = [
        torch.cat(
            [encoder.features(row[None], s, text.numpy()) for row, text in zip(values, texts, strict=True)]
        )
        for values, s in zip(chosen, used, strict=True)
    ]
    spatial, motion = features[0], features[1] if len(features) > 1 else None
    action = policy.predict_tokens(
        language=file.given("lang_tokens"),
        language_mask=file.given("lang_attn_mask"),
        image_tokens=file.given("img_tokens"),
        spatial=spatial,
        motion=motion,
        state=file.given("state_tokens"),
        noise=file.given("noise"),
        mask=file.given("action_mask"),
        ctrl_freqs_hz=file.given("ctrl_freqs"),
    )
    computed = {"out.action": action, "out.joints14": policy.state_vector.gather(action)}
    for index, (values, stream) in enumerate(zip(chosen, used, strict=True)):
        computed[f"mid.wan_input_{index}"] = encoder.extracted(values, stream)
        computed[f"mid.wan_features_{index}"] = features[index]
    with torch.no_grad():
        computed["mid.video_tokens_adapted"] = policy.adapt_video(spatial, motion)
    return computed


def _latent_encoder(file: ReferenceFile, latents: list[Tensor], text_length: int) -> VideoEncoder:
    """Return an encoder for given latents (B, C, T, h, w) of the head, and of the movement unless `single`."""
    config = file.config
    single = len(latents) == 1
    sizes = [
        {
            "frames": 1 + 4 * (values.shape[2] - 1),
            "width": LATENT_PIXELS * values.shape[4],
            "height": LATENT_PIXELS * values.shape[3],
        }
        for values in (latents * 2 if single else latents)
    ]
    if single:
        rows, columns = config["single_size"]
        size = (rows // LATENT_PIXELS, columns // LATENT_PIXELS)
        sizes[0] |= {"method": "none", "latent_size": size}
    else:
        sizes[1] |= _selection(config, latents[1].shape[2])
    parts, state = streams(config, spatial=sizes[0], motion=sizes[1]), video_model_weights(file)
    encoder = VideoEncoder(encoder_config(config, config, text_length, parts, state=state))
    encoder.load(state, encoder.vae.state_dict())
    return encoder


def _selection(config: Mapping[str, Any], encoded: int) -> dict[str, Any]:
    """Return which of the `encoded` latent frames the motion stream keeps."""
    select = config["motion"].get("latent_frame_select", "last")
    return {"latent_frames": min(config["motion_latent_t"], encoded), "frame_select": select}


def state_vector(file: ReferenceFile) -> Computed:
    """The 14 joints on their elements of the unified vector, and back."""
    action = file.given("action128")
    vector = StateVector(StateVectorConfig(size=action.shape[-1], indices=BIMANUAL_INDICES))
    return {
        "out.state128": vector.scatter(file.given("joints")),
        "out.mask128": vector.mask.expand_as(file.tensors["out.mask128"]),
        "out.joints_from_action": vector.gather(action),
    }


def siglip_preprocess(file: ReferenceFile) -> Computed:
    """Images of any shape, and a missing one, as the SigLIP encoder's input."""
    names = [name.removeprefix("in.") for name in file.tensors if name.startswith("in.")]
    cameras = tuple(name.removesuffix("_small") for name in names)
    images = {camera: _enlarged(file, name)[0] for camera, name in zip(cameras, names, strict=True)}
    outputs = {name: full_size(name, value) for name, value in file.tensors.items() if name[:4] == "out."}
    seen_by = {full_name(name).removeprefix("out.") for name in outputs}
    side = min(size[-1] for size in outputs.values())
    config = _siglip_config((*cameras, *sorted(seen_by - set(cameras))), side)
    seen = Observation(0, images, dict.fromkeys(images, 0), np.zeros(1), 0, "")
    pixels = siglip_pixels(torch.from_numpy(image_array(config, seen)[0]))
    return {f"out.{camera}": pixels[index] for index, camera in enumerate(config.images.cameras)}


def _siglip_config(cameras: tuple[str, ...], side: int) -> PolicyConfig:
    """Return the smallest policy that looks at these cameras through SigLIP's preprocessing."""
    tokens = {"dim": 4, "tokens_per_image": 1, "history": 1, "cameras": cameras, "missing": "background"}
    vision = {"kind": "siglip", "image_width": side, "image_height": side, "model": {"hidden_size": 4}}
    return PolicyConfig.model_validate(
        {
            **dict.fromkeys(("hidden", "lang_dim"), 4),
            **dict.fromkeys(("depth", "heads", "horizon", "max_lang", "ctrl_freq_hz", "action_step_s"), 1),
            "norm": "variance",
            "state_vector": {"size": 1, "indices": (0,)},
            "actions": {},
            "images": tokens,
            "vision": vision,
            "video": {"variant": "single", "feature_dim": 1, "spatial_tokens": 1},
        }
    )


def _enlarged(file: ReferenceFile, name: str) -> ImageArray:
    """Return the images `in.{name}` (N, H, W, 3) after the pixel repetition that the manifest documents."""
    (factor,) = _documented(r"enlarged (\d+)x", file.doc, (_ENLARGED,))
    images = file.given(name).numpy()
    images = images[None] if images.ndim == 3 else images
    return images.repeat(int(factor), axis=1).repeat(int(factor), axis=2)


def observation_path(file: ReferenceFile) -> Computed:
    """A camera image through resize, JPEG, and the VAE's resizes and channel order."""
    quality = int(_documented(r"quality-(\d+)", file.doc, (95,))[0])
    width, height = map(int, _documented(r"resize to (\d+)x(\d+),", file.doc, (640, 480)))
    sizes = _documented(r"resize to (\d+)x(\d+) / (\d+)x(\d+)", file.doc, (832, 480, 224, 224))
    path = CameraPathConfig(width=width, height=height, jpeg_quality=quality)
    parts = streams(
        file.config,
        spatial={"frames": 1, "width": int(sizes[0]), "height": int(sizes[1])},
        motion={"frames": 1, "width": int(sizes[2]), "height": int(sizes[3])},
    )
    config = encoder_config(file.config, file.config, 0, parts).model_copy(update={"camera_path": path})
    encoder, image = VideoEncoder(config), file.given("image").numpy()
    computed = {
        "out.resized": torch.from_numpy(
            through_camera_path(image, path.model_copy(update={"jpeg_quality": None}))
        ),
        "out.jpeg": torch.from_numpy(through_camera_path(image, path)),
    }
    prepared = encoder.prepare_frame(image)
    for name, stream in (
        ("out.vae_raw_u8", LatentStream.SPATIAL),
        ("out.vae_motion_u8", LatentStream.MOTION),
    ):
        video = encoder.video(prepared[stream][None, None], stream)  # (1, 3, 1, h, w)
        computed[name] = ((video[0, :, 0].permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8)
    return computed


def runtime_step(file: ReferenceFile) -> Computed:
    """Camera frames, joints and embeddings to the joints of a chunk, through both systems."""
    frames = _enlarged(file, "head_small")  # (T, H, W, 3)
    encoder = _runtime_encoder(file, 1 + (len(frames) - 1) // 4 * 4)
    group = file.config["rt"]
    side = group["siglip"]["image_size"]
    vision = {"kind": "siglip", "image_width": side, "image_height": side, "model": group["siglip"]}
    tower = next(part for part in file.weights() if any("post_layernorm" in key for key in part))
    right, left = _enlarged(file, "right_small"), _enlarged(file, "left_small")
    policy = build_policy(
        file, encoder.config, history=len(right), vision=vision, vision_weights=siglip_weights(tower)
    )
    joints = file.given("joints")[0].double().numpy()
    views = [
        _observation(dict(zip(CAMERAS, (frames[index], right[index], left[index]), strict=True)), joints)
        for index in (-min(2, len(right)), -1)
    ]
    features = encoder.update(frames, file.given("llama_vec")[0].numpy())
    pair = LatentPair(*(LatentTokens(s, 0, 0, 0, features[s], "", "", (), "") for s in _STREAMS))
    language, noise = file.given("lang_embed")[0], file.given("noise")[0]
    chunk = policy.predict(views[1], pair, language, noise=noise, previous=views[0])
    computed = {"out.joints14": torch.from_numpy(chunk)[None]}
    for index, (stream, name) in enumerate(zip(_STREAMS, ("head", "motion"), strict=True)):
        computed[f"mid.wan_features_{index}"] = torch.from_numpy(features[stream])[None]
        window = np.stack([encoder.prepare_frame(frame)[stream] for frame in frames])
        part = window[None, -encoder.config.stream(stream).frames :]
        with torch.no_grad():
            latents = encoder.vae.encode(encoder.video(part, stream))
        stored = file.tensors.get(f"mid.image_latents_{name}", latents)
        if stored.shape != latents.shape:
            latents = encoder.model_latents(latents, stream)
        computed[f"mid.image_latents_{name}"] = latents
    return computed | _runtime_tokens(file, policy, views, features)


def _observation(images: dict[str, ImageArray], joints: FloatArray) -> Observation:
    return Observation(0, images, dict.fromkeys(images, 0), joints, 0, "")


@torch.no_grad()
def _runtime_tokens(
    file: ReferenceFile, policy: Policy, views: list[Observation], features: dict[LatentStream, FloatArray]
) -> Computed:
    """Return what `Policy.predict` computed on the way."""
    images = policy.image_tokens(torch.from_numpy(policy.image_array(views[1], views[0]))[None])
    spatial, motion = (torch.from_numpy(features[stream])[None] for stream in _STREAMS)
    state = policy.state_vector.scatter(file.given("joints"))[:, None]
    action = policy.predict_tokens(
        language=file.given("lang_embed"),
        image_tokens=images,
        spatial=spatial,
        motion=motion,
        state=state,
        noise=file.given("noise"),
    )
    return {
        "mid.img_tokens": images,
        "mid.state_tokens": state,
        "mid.action_mask": policy.state_vector.mask,
        "mid.video_tokens_adapted": policy.adapt_video(spatial, motion),
        "mid.action128": action,
    }


def _runtime_encoder(file: ReferenceFile, frames: int) -> VideoEncoder:
    """Return the run time's encoder; its image sizes are those of the stored latents."""
    group, stored = file.config["rt"], file.tensors
    sizes: dict[str, dict[str, Any]] = {}
    for name, tensor, default, count in (
        ("spatial", "mid.image_latents_head", (832, 480), 1),
        ("motion", "mid.image_latents_motion", (224, 224), frames),
    ):
        width, height = default
        if tensor in stored:
            height, width = (LATENT_PIXELS * length for length in stored[tensor].shape[-2:])
        sizes[name] = {"frames": count, "width": width, "height": height}
    sizes["motion"] |= _selection(file.config, 1 + (frames - 1) // 4)
    vae = next(part for part in file.weights() if any("downsamples" in key for key in part))
    wan = next(part for part in file.weights() if is_video_model(part))
    parts: dict[str, StreamConfig] = streams(file.config, **sizes)
    length = file.given("llama_vec").shape[1]
    config = encoder_config(file.config, group, length, parts, vae=wan_vae_config(vae), state=wan)
    encoder = VideoEncoder(config)
    encoder.load(wan, vae)
    return encoder


def bounded_steps(file: ReferenceFile) -> Computed:
    """The released robot script's steps between two positions of both arms."""
    arm, gripper = _documented(r"limits ([\d.]+) rad, gripper ([\d.]+)", file.doc, (0.01, 0.2))
    previous = file.given("prev").numpy()
    limits = np.full(previous.shape, arm)
    limits[list(_GRIPPERS)] = gripper
    computed = {}
    for name in file.tensors:
        if name.startswith("out.cur_"):
            target = file.given(name.removeprefix("out.")).numpy()
            computed[name] = torch.from_numpy(interpolate(previous, target, limits))
    path = torch.from_numpy(ramp(previous, file.given("cur_far").numpy(), limits))
    half = path.shape[1] // 2
    return computed | {"out.ramp_left": path[:, :half], "out.ramp_right": path[:, half:]}
