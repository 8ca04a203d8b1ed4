"""Released-format checkpoints for the import's tests, made from the reference weights at tiny sizes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import SiglipVisionConfig, SiglipVisionModel

from video2act_ros.bundles.import_official import ImportOptions, ImportSources, plan_import
from video2act_ros.bundles.instructions import add_instruction
from video2act_ros.bundles.load import LoadedEncoder, LoadedPolicy, load_encoder, load_policy
from video2act_ros.bundles.released_settings import ReleasedSettings
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.core.types import LatentStream
from video2act_ros.system1.policy import Policy
from video2act_ros.system2.config import StreamConfig
from video2act_ros.system2.encoder import VideoEncoder

REPOSITORY = Path(__file__).parents[3]
GOLDEN = REPOSITORY / "tests" / "golden"
PROFILE = load_robot_profile(REPOSITORY / "config" / "robots" / "agilex_cobot_magic.yaml")
SETTINGS = ReleasedSettings(
    layer=2,
    head_dim=24,
    text_length=14,
    spatial=StreamConfig(frames=1, width=96, height=64, method="sobel"),
    motion=StreamConfig(
        frames=61, width=64, height=64, method="fft", freq_low=1.0, freq_high=7.0, latent_frames=16
    ),
)
TOLERANCE = json.loads((GOLDEN / "manifest.json").read_text())["files"]
UNUSED = {"model.video_cond_pos_embed": (1, 70, 64), "model.video_encoder_pos_embed": (1, 70, 64)}


def weights(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / "weights" / f"{name}.safetensors")


def policy_state(variant: str = "direct") -> dict[str, Tensor]:
    """Return a policy checkpoint of one variant under the released keys, the unused ones included."""
    state = weights("policy_direct")
    if variant == "single":
        state = {key: value for key, value in state.items() if not key.startswith("motion_")}
    if variant.startswith("compressor"):
        adaptors = ("video_adaptor.", "motion_adaptor.")
        state = {key: value for key, value in state.items() if not key.startswith(adaptors)}
        extra = weights("policy_compressor_extra")
        blind = variant == "compressor_depth0"
        state |= {key: value for key, value in extra.items() if not (blind and ".layers." in key)}
    return {**{key: torch.zeros(shape) for key, shape in UNUSED.items()}, **state}


def write_siglip(folder: Path) -> Path:
    torch.manual_seed(0)
    config = SiglipVisionConfig(
        hidden_size=36,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=42,
        patch_size=14,
    )
    SiglipVisionModel(config).save_pretrained(folder)
    return folder


def write_video_model(folder: Path) -> Path:
    """Write the video model in two safetensors files, as it is distributed, and the VAE as a pickle."""
    (folder / "dit").mkdir(parents=True)
    state = weights("wan_dit")
    keys = sorted(state)
    for part, names in enumerate((keys[:50], keys[50:])):
        save_file({key: state[key] for key in names}, folder / "dit" / f"part-{part}.safetensors")
    vae = weights("rt_vae_encoder")
    decoder = {"conv2.weight": torch.ones(2), "decoder.conv1.bias": torch.ones(3)}
    torch.save({"model_state": {**vae, **decoder}}, folder / "vae.pth")
    return folder


def sources(folder: Path, policy: Path | None, **changes: object) -> ImportSources:
    return ImportSources(
        **{  # type: ignore[arg-type]
            "policy": policy,
            "siglip": folder / "siglip",
            "transformer": (folder / "video" / "dit",),
            "vae": folder / "video" / "vae.pth",
            **changes,
        }
    )


def options(**changes: object) -> ImportOptions:
    return ImportOptions(**{"profile": PROFILE, "settings": SETTINGS, **changes})  # type: ignore[arg-type]


def do_import(folder: Path, policy: Path, out: Path, **changes: object) -> Path:
    """Import policy and video model into `out`; changes go to the options or to the sources."""
    own = {name: changes.pop(name) for name in list(changes) if name in ImportSources.__slots__}
    plan = plan_import(sources(folder, policy, **own), options(**changes))
    plan.write(out, lambda text, size: None)
    return out


def write_yaml(path: Path, **framepack: object) -> Path:
    """Write a configuration as the released example has it, legacy names included."""
    content = {
        "common": {"img_history_size": 2, "action_chunk_size": 16, "num_cameras": 3, "state_dim": 128},
        "model": {
            "lang_adaptor": "mlp2x_gelu",
            "framepack_adaptor": "mlp2x_gelu",
            "framepack_compressed_dim": 3072,
            "noise_scheduler": {"num_inference_timesteps": 7, "prediction_type": "sample"},
        },
        "framepack": {
            "fps": 16,
            "motion_stream": {"extraction_method": "fft", "freq_low": 1.0, "freq_high": 7.0},
            "latent_num_frames": 16,
            **framepack,
        },
    }
    path.write_text(yaml.safe_dump(content))
    return path


def assert_predicts(policy: Policy, variant: str, encoder: VideoEncoder) -> None:
    """Compare the chunk of stored latents, image tokens and joints with the released implementation's."""
    name = f"f_predict_{variant}.safetensors"
    values = load_file(GOLDEN / name)
    latents = {LatentStream.SPATIAL: "in.image_latents_head", LatentStream.MOTION: "in.image_latents_motion"}
    features = [
        encoder.features(
            encoder.model_latents(values[key][:, 0], stream), stream, values["in.llama_vec"][0, 0].numpy()
        )
        for stream, key in latents.items()
        if key in values
    ]
    action = policy.predict_tokens(
        language=values["in.lang_tokens"],
        language_mask=values["in.lang_attn_mask"],
        image_tokens=values["in.img_tokens"],
        spatial=features[0],
        motion=features[1] if len(features) > 1 else None,
        state=values["in.state_tokens"],
        noise=values["in.noise"],
        mask=values["in.action_mask"],
        ctrl_freqs_hz=values["in.ctrl_freqs"],
    )
    assert (action - values["out.action"]).abs().max() < TOLERANCE[name]["tol"]


def import_policy(parts: Path, video_model: Path, policy: Path, out: Path, **changes: object) -> Path:
    """Import a policy for the video model that is imported already, which saves time."""
    alone = {"transformer": (), "vae": None, "system2": video_model / "system2"}
    return do_import(parts, policy, out, **alone, **changes)


def loadable(out: Path) -> LoadedPolicy:
    """Return the loaded System 1 after giving it an instruction, without which it does not load."""
    torch.save(torch.ones(1, 3, 40), out / "t5.pt")
    add_instruction(out / "system1", "lift the cube", out / "t5.pt", None)
    return load_policy(out / "system1", "cpu")


def loadable_encoder(out: Path) -> LoadedEncoder:
    """Return the loaded System 2 after giving it an instruction."""
    torch.save({"llama_vec": torch.ones(1, 4, 56)}, out / "umt5.pkl")
    add_instruction(out / "system2", "lift the cube", None, out / "umt5.pkl")
    return load_encoder(out / "system2", "cpu")
