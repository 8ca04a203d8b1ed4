"""Measure `video2act import` on a synthetic checkpoint of the released size: time and peak anonymous memory.

The checkpoint has random weights in bfloat16 and the released format (DeepSpeed, one pickle of 2.5 GB). Needs
about 7 GB of free disk and 4 GB of memory. Usage: python scripts/bench_import.py [--folder DIR] [--report FILE]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from torch import Tensor
from transformers import SiglipVisionConfig, SiglipVisionModel

from video2act_ros.bundles.manifest import Manifest, System2Section, write_manifest
from video2act_ros.bundles.released_settings import BIMANUAL_INDICES, CAMERAS, ReleasedSettings
from video2act_ros.bundles.shards import parameters_on_meta, shapes
from video2act_ros.core.types import LatentStream
from video2act_ros.core.whole_files import write_json
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.policy import Policy
from video2act_ros.system2.config import VideoEncoderConfig

POLL_S = 0.02
SIGLIP = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
}
UNUSED = {"model.video_cond_pos_embed": (1, 1174, 2048), "model.video_encoder_pos_embed": (1, 1241, 2048)}
console = Console()


def encoder_config() -> VideoEncoderConfig:
    """Return the released video model's configuration."""
    settings = ReleasedSettings()
    return VideoEncoderConfig.model_validate(
        {
            "window_frames": 61,
            "frame_period_s": settings.action_step_s,
            "vae": {
                "kind": "wan",
                "latents_mean": settings.latents_mean,
                "latents_std": settings.latents_std,
            },
            "transformer": {
                "num_attention_heads": 24,
                "attention_head_dim": 128,
                "in_channels": 48,
                "out_channels": 48,
                "text_dim": 4096,
                "freq_dim": 256,
                "ffn_dim": 14336,
                "num_layers": 30,
            },
            "layer": settings.layer,
            "spatial": settings.spatial,
            "motion": settings.motion,
            "text": {"length": settings.text_length, "dim": 4096},
            "dtype": "bfloat16",
        }
    )


def policy_config(encoder: VideoEncoderConfig, siglip_layers: int) -> PolicyConfig:
    """Return the released policy's configuration, direct projection."""
    tower = {**SIGLIP, "num_hidden_layers": siglip_layers}
    return PolicyConfig.model_validate(
        {
            "hidden": 2048,
            "depth": 28,
            "heads": 32,
            "horizon": 64,
            "norm": "variance",
            "lang_dim": 4096,
            "max_lang": 1024,
            "state_vector": {"size": 128, "indices": BIMANUAL_INDICES},
            "actions": {},
            "images": {"dim": 1152, "tokens_per_image": 729, "history": 2, "cameras": CAMERAS},
            "vision": {"kind": "siglip", "model": tower},
            "video": {
                "variant": "direct",
                "feature_dim": encoder.feature_dim,
                "spatial_tokens": encoder.token_count(LatentStream.SPATIAL),
                "motion_tokens": encoder.token_count(LatentStream.MOTION),
            },
            "ctrl_freq_hz": 25.0,
            "action_step_s": 0.04,
        }
    )


def random_weights(shape: tuple[int, ...]) -> Tensor:
    """Return small random bfloat16 weights; vectors, which are mostly norms, are near one."""
    values = torch.empty(shape, dtype=torch.bfloat16).normal_(std=0.02)
    return values if len(shape) > 1 else values + 1


def synthesise(folder: Path, siglip_layers: int) -> tuple[int, int]:
    """Write policy, SigLIP tower and the manifest of a System 2; return the policy's bytes and parameters."""
    torch.manual_seed(0)
    encoder = encoder_config()
    with parameters_on_meta():
        expected = shapes(Policy(policy_config(encoder, siglip_layers)))
    state = {key: random_weights(shape) for key, shape in expected.items() if not key.startswith("vision.")}
    state |= {key: random_weights(shape) for key, shape in UNUSED.items()}
    path = folder / "pytorch_model" / "mp_rank_00_model_states.pt"
    path.parent.mkdir(parents=True)
    torch.save({"module": state}, path)
    tower = SiglipVisionModel(SiglipVisionConfig(**{**SIGLIP, "num_hidden_layers": siglip_layers}))
    tower.to(torch.bfloat16).save_pretrained(folder / "siglip")
    (folder / "system2").mkdir()
    section = System2Section(encoder=encoder, weights=(), features_id="synthetic", self_test="none")
    manifest = Manifest(schema_version=1, name="synthetic", instructions=(), system2=section, files={})
    write_manifest(folder / "system2", manifest)
    return path.stat().st_size, sum(value.numel() for value in state.values())


def anonymous_bytes(pid: int) -> int:
    """Return the resident anonymous memory of a process, 0 once it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def measure(folder: Path, options: Sequence[str | Path], system: str) -> dict[str, float]:
    """Import `system` in a process of its own; return times [s] and peak anonymous memory [bytes]."""
    out = folder / "out"
    command = [sys.executable, "-m", "video2act_ros.cli", "import", str(out), *map(str, options)]
    start = time.monotonic()
    process = subprocess.Popen(command)
    peak = writing_peak = 0
    written_s = 0.0
    while process.poll() is None:
        used = anonymous_bytes(process.pid)
        peak = max(peak, used)
        if not written_s:
            writing_peak = max(writing_peak, used)
            if (folder / "out.partial" / system / "instructions.safetensors").exists():
                written_s = time.monotonic() - start
        time.sleep(POLL_S)
    if process.returncode:
        raise SystemExit(f"the import failed with status {process.returncode}")
    return {
        "total_s": time.monotonic() - start,
        "until_weights_written_s": written_s,
        "peak_anonymous_bytes": peak,
        "peak_anonymous_until_weights_written_bytes": writing_peak,
        "bundle_bytes": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
    }


def main(
    folder: Annotated[Path, typer.Option(help="where the files go; removed afterwards")] = Path(
        "out/bench_import"
    ),
    report: Annotated[Path | None, typer.Option(help="write the figures as JSON")] = None,
    siglip_layers: Annotated[
        int, typer.Option(help="layers of the image encoder; the released one has 27")
    ] = 27,
) -> None:
    """Make the checkpoint, import it, print the figures."""
    folder.mkdir(parents=True)
    try:
        size, parameters = synthesise(folder, siglip_layers)
        options = ("--policy", folder, "--siglip", folder / "siglip", "--system2", folder / "system2")
        figures = measure(folder, options, "system1")
    finally:
        shutil.rmtree(folder)
    content = {
        "checkpoint_bytes": size,
        "checkpoint_parameters": parameters,
        "siglip_layers": siglip_layers,
        "threads": torch.get_num_threads(),
        **figures,
        "peak_to_checkpoint": figures["peak_anonymous_bytes"] / size,
    }
    console.print_json(data=content)
    if report is not None:
        write_json(report, content)


if __name__ == "__main__":
    typer.run(main)
