"""A folder of reference values at other sizes: made-up weights and inputs of every group, in the same format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from video2act_ros.bundles.verify_reference.folder import ReferenceFile, read_folder
from video2act_ros.bundles.verify_reference.report import GROUPS
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.policy import Policy

from .released import weights

CHANNELS, ACTION, JOINTS = 48, 128, 14
CONFIG: dict[str, Any] = {
    "seed": 5, "hidden": 24, "depth": 3, "heads": 3, "horizon": 5, "action_dim": ACTION, "lang_dim": 7,
    "img_dim": 9, "max_lang": 6, "hist": 1, "cams": 2, "patches": 4, "lang_len": 5, "batch": 2, "ctrl_freq": 30,
    "steps": 3, "steps_alt": 7, "text_len": 4, "text_valid": 3, "raw_size": [32, 96], "motion_size": [64, 32],
    "motion_frames": 17, "motion_latent_t": 3, "raw_extraction": "scharr", "motion_extraction": "fft+sobel",
    "motion": {
        "filter_type": "lowpass", "freq_low": 0.5, "freq_high": 4.0, "prop_motion": 0.3,
        "latent_frame_select": "uniform",
    },
    "fps": 12, "wan_extract": 3, "single_size": [64, 32], "lora": {"rank": 2, "alpha": 6.0}, "vae_dim": 3,
    "wan": {"dim": 36, "num_heads": 3, "ffn_dim": 20, "num_layers": 4, "text_dim": 11, "freq_dim": 8},
    "comp": {"dim": 10, "depth": 1, "heads": 5, "raw_tokens": 3, "motion_tokens": 6},
    "rt": {
        "hidden": 16, "depth": 2, "heads": 1, "max_lang": 9, "lang_dim": 13, "lang_len": 8, "wan_extract": 1,
        "siglip": {
            "hidden_size": 10, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 5,
            "image_size": 20, "patch_size": 10,
        },
        "wan": {"dim": 24, "num_heads": 1, "ffn_dim": 28, "num_layers": 2, "text_dim": 5, "freq_dim": 6},
        "vae_dim": 2, "compressor": True,
    },
}  # fmt: skip
RAW, MOTION, RT_MOTION = (1, 2, 6), (3, 4, 2), (3, 2, 4)  # latents (T, h, w)
RT_FRAMES = 9
DIRECT, DIT = "weights/policy.safetensors", "weights/dit.safetensors"
EXTRA, LORA = "weights/compressors.safetensors", "weights/lora.safetensors"
VAE = "weights/vae.safetensors"
RT = tuple(f"weights/rt_{part}.safetensors" for part in ("policy", "dit", "siglip", "vae"))


@dataclass
class Draw:
    """Seeded numbers of any shape."""

    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(11))

    def __call__(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def pixels(self, *shape: int) -> Tensor:
        return torch.randint(0, 256, shape, generator=self.generator, dtype=torch.uint8)

    def like(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return other values of the same shapes; scales stay near one."""
        return {
            key: 1 + 0.1 * self(*value.shape) if _is_scale(key) else 0.2 * self(*value.shape)
            for key, value in state.items()
        }


def _is_scale(key: str) -> bool:
    return bool(re.search(r"norm\w*\.weight$|gamma$|layernorm\.weight$", key))


def resized(name: str, sizes: dict[int, int], blocks: int) -> dict[str, Tensor]:
    """Return empty tensors under the keys of stored weights, every length replaced and `blocks` layers kept."""
    state = weights(name)
    first = {key: value for key, value in state.items() if re.search(r"(blocks|layers)\.0\.", key)}
    others = {
        key: value for key, value in state.items() if not re.search(r"(^|\.)(blocks|layers)\.\d+\.", key)
    }
    for index in range(blocks):
        others |= {
            re.sub(r"(blocks|layers)\.0\.", rf"\1.{index}.", key): value for key, value in first.items()
        }
    shapes = {key: [sizes.get(length, length) for length in value.shape] for key, value in others.items()}
    return {key: torch.empty(*shape) for key, shape in shapes.items()}


def dit(wan: dict[str, int]) -> dict[str, Tensor]:
    dim = wan["dim"]
    sizes = {96: dim, 576: 6 * dim, 160: wan["ffn_dim"], 56: wan["text_dim"], 64: wan["freq_dim"]}
    return resized("wan_dit", sizes, wan["num_layers"])


def vae(width: int) -> dict[str, Tensor]:
    sizes = {5: width, 10: 2 * width, 20: 4 * width, 60: 12 * width}
    return resized("rt_vae_encoder", sizes, 0)


def policy_state(group: dict[str, Any], count: int, variant: str, feature_dim: int) -> dict[str, Tensor]:
    """Return a policy's keys and shapes, without its vision encoder."""
    tower = {"num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 14, "patch_size": 14}
    comp = CONFIG["comp"]
    shared = {"dim": comp["dim"], "depth": comp["depth"], "heads": comp["heads"], "head_dim": 4}
    spatial, motion = RAW[0] * RAW[1] * RAW[2] // 4, MOTION[0] * MOTION[1] * MOTION[2] // 4
    video: dict[str, Any] = {"variant": variant, "feature_dim": feature_dim}
    video |= {"spatial_tokens": spatial, "motion_tokens": motion}
    if variant == "compressor":
        video["spatial_compressor"] = shared | {"tokens": comp["raw_tokens"], "frames": 1}
        video["motion_compressor"] = shared | {
            "tokens": comp["motion_tokens"], "frames": MOTION[0], "temporal_attention": True
        }  # fmt: skip
    per_image, history, cameras, dim = count
    config = PolicyConfig.model_validate(
        {
            **{key: group[key] for key in ("hidden", "depth", "heads", "lang_dim", "max_lang")},
            "horizon": CONFIG["horizon"],
            "norm": "variance",
            "adaptors": {"language": "linear", "image": "mlp3x_gelu", "state": "linear", "video": "mlp4x_gelu"},
            "state_vector": {"size": ACTION, "indices": (0,)},
            "actions": {},
            "images": {
                "dim": dim, "tokens_per_image": per_image, "history": history,
                "cameras": tuple(f"camera{index}" for index in range(cameras)),
            },
            "vision": {
                "kind": "siglip", "image_width": 14, "image_height": 14, "model": {**tower, "hidden_size": dim}
            },
            "video": video,
            "ctrl_freq_hz": CONFIG["ctrl_freq"],
            "action_step_s": 0.1,
        }
    )  # fmt: skip
    state = Policy(config).state_dict()
    return {key: value for key, value in state.items() if not key.startswith("vision.")}


def write_weights(folder: Path, draw: Draw) -> None:
    (folder / "weights").mkdir()
    group, rt, wan = CONFIG, CONFIG["rt"], CONFIG["wan"]
    counts = (group["patches"], group["hist"], group["cams"], group["img_dim"])
    direct = policy_state(group, counts, "direct", wan["dim"])
    compressed = policy_state(group, counts, "compressor", wan["dim"])
    rank = {4: group["lora"]["rank"], 96: wan["dim"]}
    tower = rt["siglip"]
    sizes = {36: tower["hidden_size"], 56: tower["intermediate_size"], 14: tower["patch_size"], 16: 4}
    rt_counts = (4, 1, 3, tower["hidden_size"])
    files = {
        DIRECT: direct,
        EXTRA: {k: v for k, v in compressed.items() if k not in direct or k.startswith("video_adaptor.")},
        DIT: dit(wan),
        LORA: resized("wan_lora", rank, wan["num_layers"]),
        VAE: vae(group["vae_dim"]),
        RT[0]: policy_state(rt, rt_counts, "compressor", rt["wan"]["dim"]),
        RT[1]: dit(rt["wan"]),
        RT[2]: resized("rt_siglip", sizes, tower["num_hidden_layers"]),
        RT[3]: vae(rt["vae_dim"]),
    }
    for name, state in files.items():
        save_file(draw.like(state), folder / name)


def tokens(draw: Draw, batch: int) -> dict[str, Tensor]:
    """Return what every evaluation of the action head takes, the language padded."""
    images = CONFIG["hist"] * CONFIG["cams"] * CONFIG["patches"]
    mask = torch.ones(batch, CONFIG["lang_len"], dtype=torch.bool)
    mask[0, 3:] = False
    used = torch.zeros(batch, 1, ACTION)
    used[..., [*range(50, 56), 60, *range(6), 10]] = 1
    return {
        "lang_tokens": draw(batch, CONFIG["lang_len"], CONFIG["lang_dim"]),
        "img_tokens": draw(batch, images, CONFIG["img_dim"]),
        "state_tokens": draw(batch, 1, ACTION),
        "action_mask": used,
        "lang_attn_mask": mask,
        "ctrl_freqs": torch.arange(20, 20 + batch),
        "noise": draw(batch, CONFIG["horizon"], ACTION),
    }


def cases(draw: Draw) -> dict[str, tuple[dict[str, Any], dict[str, Tensor], dict[str, tuple[int, ...]]]]:
    """Return every file's description, inputs, and the shapes that its outputs must have."""
    wan, rt, batch = CONFIG["wan"], CONFIG["rt"], CONFIG["batch"]
    horizon, dim = CONFIG["horizon"], wan["dim"]
    action = (batch, horizon, ACTION)
    head, comp, both = tokens(draw, batch), CONFIG["comp"], {"weights": [DIRECT, DIT]}
    adapted = {"video_tokens_adapted": draw(batch, 4, CONFIG["hidden"])}
    core = {**head, **adapted, "noisy_action": head["noise"], "timesteps": torch.tensor([3, 900])}
    sampling = {**head, **adapted}
    latents = draw(2, CHANNELS, 4, 6, 5)
    text = draw(batch, 1, CONFIG["text_len"], wan["text_dim"])
    whole = {**head, "llama_vec": text, "image_latents_head": draw(batch, 1, CHANNELS, *RAW)}
    moving = {**whole, "image_latents_motion": draw(batch, 1, CHANNELS, 5, *MOTION[1:])}
    predicted = {"out.action": action, "out.joints14": (*action[:2], JOINTS)}
    features = {"latents": draw(2, CHANNELS, 2, 4, 6), "context": draw(2, 4, wan["text_dim"])}
    features["timestep"] = torch.tensor([0.0, 321.0])
    three = {name: draw.pixels(*size, 3) for name, size in
             {"wide_small": (4, 9), "tall_small": (11, 3), "left_small": (5, 5)}.items()}  # fmt: skip
    pictures = {f"{name}_small": draw.pixels(count, 6, 8, 3)
                for name, count in (("head", RT_FRAMES), ("right", 1), ("left", 1))}  # fmt: skip
    runtime = {
        **pictures, "joints": draw(1, JOINTS), "lang_embed": draw(1, rt["lang_len"], rt["lang_dim"]),
        "llama_vec": draw(1, 3, rt["wan"]["text_dim"]), "noise": draw(1, horizon, ACTION),
    }  # fmt: skip
    steps = {name: draw(JOINTS).double() for name in ("prev", "cur_far", "cur_new")}
    embedded = {"t": torch.tensor([3, 7]), "freq": torch.tensor([25]), "pos_f32": torch.tensor([1.0, 2.0])}
    axes = {
        f"out.rope_{axis}_{part}": None for axis in ("frame", "height", "width") for part in ("real", "imag")
    }
    compressors = {
        f"e_compressor_{stream}": (
            {"weights": EXTRA, "prefix": f"{prefix}_token_compressor."},
            {"features": draw(2, frames * 4, dim)},
            {"out.tokens": (2, comp[f"{stream}_tokens"], comp["dim"])},
        )
        for stream, prefix, frames in (("raw", "video", 1), ("motion", "motion", MOTION[0]))
    }
    operators = ("sobel", "scharr", "laplace", "fft.cfg", "fft.defaults", "fft_sobel", "moft",
                 "fft.low2_fps8", "fft.fps20_2_6.5", "moft_kept_channels.0.3", "moft_kept_channels.0.1")  # fmt: skip
    return compressors | {
        "a_action_core_b2": ({"weights": DIRECT}, core, {"out.prediction": action}),
        "b_sampling_7step": ({"weights": DIRECT}, sampling, {"out.action": action}),
        "b_sampling_default": ({"weights": DIRECT}, sampling, {"out.action": action}),
        "b_ddpm_add_noise": (
            {}, {"x0": draw(*action), "noise": draw(*action), "t": torch.tensor([1, 999])}, {"out.noisy": action}
        ),
        "c_extraction_0": ({}, {"latents": latents}, {f"out.{name}": None for name in operators}),
        "d_wan_features_two": (
            {"weights": DIT}, features, {"out.features": (2, 12, dim)}
        ),
        "d_wan_features_lora": ({"weights": [DIT, DIRECT, LORA]}, features, {"out.features": (2, 12, dim)}),
        "d_wan_full_model": ({"weights": DIT}, features, {"out.velocity": (2, CHANNELS, 2, 4, 6)}),
        "e_video_layernorm_and_adaptor": (
            {"weights": DIRECT}, {"raw": draw(1, 5, dim), "motion": draw(1, 7, dim)},
            {"out.raw_tokens": (1, 5, CONFIG["hidden"]), "out.motion_tokens": (1, 7, CONFIG["hidden"])},
        ),
        "f_predict_direct": ({**both, "variant": "direct"}, moving, predicted),
        "f_predict_single": ({**both, "variant": "single"}, whole, predicted),
        "f_predict_lora": ({"weights": [DIRECT, DIT, LORA], "variant": "direct_lora"}, moving, predicted),
        "f_predict_compressor": (
            {"weights": [DIRECT, EXTRA, DIT], "variant": "compressor"}, moving, predicted
        ),
        "f_predict_depth0": (
            {"weights": [DIRECT, EXTRA, DIT], "variant": "compressor_depth0"}, moving, predicted
        ),
        "g_siglip_preprocess": (
            {"doc": "images are *_small enlarged 3x by pixel repetition"}, three,
            {f"out.{name}": (3, 56, 56) for name in ("wide", "tall", "left", "missing")},
        ),
        "g_state_vector": (
            {}, {"joints": draw(3, JOINTS), "action128": draw(2, 3, ACTION)},
            {"out.state128": (3, ACTION), "out.mask128": (3, ACTION), "out.joints_from_action": (2, 3, JOINTS)},
        ),
        "g_jpeg_roundtrip": (
            {"doc": "resize to 48x40, JPEG quality-80, then INTER_AREA resize to 64x32 / 32x32 for the VAE"},
            {"image": draw.pixels(30, 50, 3)},
            {"out.resized": (40, 48, 3), "out.jpeg": (40, 48, 3), "out.vae_raw_u8": (32, 64, 3),
             "out.vae_motion_u8": (32, 32, 3)},
        ),
        "h_vae_encode_T9": (
            {"weights": VAE}, {"video": draw(3, 9, 48, 32)}, {"out.latents": (1, CHANNELS, 3, 3, 2)}
        ),
        "i_runtime_step": (
            {"weights": list(RT), "doc": "*_small enlarged 5x by pixel repetition"}, runtime,
            {"out.joints14": (1, horizon, JOINTS), "mid.image_latents_head": (1, CHANNELS, *RAW),
             "mid.image_latents_motion": (1, CHANNELS, *RT_MOTION)},
        ),
        "j_pos_and_time_embeddings": (
            {}, embedded,
            {"out.t_sinusoid": (2, 256), "out.freq_sinusoid": (1, 256), "out.x_pos_init": (horizon + 3, 24),
             "out.lang_pos_init": (6, 24), "out.img_pos_init": (8, 24), "out.wan_time_sinusoid": (2, 8),
             **dict.fromkeys(axes, (7, 2)),
             **{f"out.rope128_{axis}_angle_at_1": None for axis in ("frame", "height", "width")}},
        ),
        "j_motion_frame_select": (
            {}, {"frame_ids": torch.arange(7.0)[None, None, :, None, None]},
            {f"out.{select}.3": (3,) for select in ("last", "first", "center", "uniform")},
        ),
        "j_interpolate_action": (
            {"doc": "per-step limits 0.05 rad, gripper 0.1"}, steps,
            {"out.cur_far": None, "out.cur_new": None, "out.ramp_left": None, "out.ramp_right": None},
        ),
    }  # fmt: skip


def write_folder(folder: Path) -> None:
    """Write the folder; its outputs are what this package computes, the shapes of the asked for ones checked."""
    draw = Draw()
    write_weights(folder, draw)
    files: dict[str, Any] = {}
    made = cases(draw)
    for stem, (entry, inputs, outputs) in made.items():
        group = next(group for group in GROUPS if stem.startswith(group))
        # one name in two is only known from the manifest
        name = f"{stem if len(files) % 2 or 'step' in stem else 'values_' + stem[::-1]}.safetensors"
        files[name] = {"kind": "io", "tol": 1e-6, "group": group, "sha256": None, **entry}
        values = {f"in.{key}": value.clone() for key, value in inputs.items()}
        asked = {key: torch.empty(shape or (7, 1)) for key, shape in outputs.items()}
        if stem.startswith("c_"):
            asked["out.moft"] = torch.zeros(2, CHANNELS, 1, 1, 1)
            asked["out.moft"][:, : int(CHANNELS * 0.3)] = 1
        (folder / "manifest.json").write_text(json.dumps({"config": CONFIG, "files": files}))
        file = ReferenceFile(name, read_folder(folder), files[name], values | asked)
        computed = GROUPS[group](file)
        for key, shape in outputs.items():
            assert shape is None or tuple(computed[key].shape) == shape, (key, computed[key].shape, shape)
            values[key] = computed[key].contiguous().clone()
        values |= {
            key: value.contiguous().clone() for key, value in computed.items() if key.startswith("mid.")
        }
        save_file(values, folder / name)
        files[name]["tensors"] = {key: [list(value.shape), str(value.dtype)] for key, value in values.items()}
    (folder / "manifest.json").write_text(json.dumps({"config": CONFIG, "files": files}))
