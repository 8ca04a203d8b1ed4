"""State and step of the small video model's training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from video2act_ros.core.errors import ConfigurationError, DatasetError
from video2act_ros.core.whole_files import whole_file, write_whole
from video2act_ros.system2.config import PatchVaeConfig, VideoEncoderConfig
from video2act_ros.system2.video_model import build_transformer
from video2act_ros.system2.video_vae import PatchVideoVae
from video2act_ros.training.instructions import hashed_embedding
from video2act_ros.training.video_clips import ClipSampler, VideoClip
from video2act_ros.training.video_diffusion import attention_context, diffusion_loss, psnr_db, sample_video

CHECKPOINT_FILE = "checkpoint.safetensors"
TRANSFORMER_FILE = "transformer.safetensors"
VAE_FILE = "vae.safetensors"
CONFIG_FILE = "config.yaml"

_HELD_OUT_SHARE = 0.05
_IMAGE_EVERY = 4  # one step in four denoises single frames of the spatial stream's size
_FIT_WINDOWS = 160


@dataclass(frozen=True, slots=True)
class VideoTraining:
    """How long and how to train; the learning rate falls to zero over `minutes` or `steps`, the shorter."""

    minutes: float = 30.0
    steps: int = 1_000_000
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 50
    ema_decay: float = 0.998
    checkpoint_period_s: float = 120.0
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    bfloat16: bool = True


def fit_vae(vae: PatchVideoVae, sampler: ClipSampler) -> None:
    """Fit the VAE on windows and single frames of the demonstrations."""
    videos, _ = sampler.videos(_FIT_WINDOWS)
    images, _ = sampler.images(_FIT_WINDOWS // 4)
    vectors = [vae.patches(pixels).flatten(0, 3) for pixels in (videos, images)]
    vae.fit(torch.cat(vectors))


class VideoTrainer:
    """The training's state and its step."""

    def __init__(
        self, config: VideoEncoderConfig, options: VideoTraining, clips: Sequence[VideoClip]
    ) -> None:
        self.config, self.options = config, options
        self.device = torch.device(options.device)
        torch.manual_seed(options.seed)
        held_out = max(1, round(len(clips) * _HELD_OUT_SHARE))
        rgb = config.channel_order == "rgb"
        window = (config.motion.frames, rgb)
        self.sampler = ClipSampler(clips[:-held_out] or clips, *window, options.seed, self.device)
        self.held_out = ClipSampler(clips[-held_out:], *window, options.seed + 1, self.device)
        if not isinstance(config.vae, PatchVaeConfig):
            raise ConfigurationError(
                "only the linear video VAE is fitted here; a Wan VAE comes with its weights"
            )
        self.vae = PatchVideoVae(config.vae).to(self.device)
        self.model = build_transformer(config.transformer).to(self.device)
        self.average = build_transformer(config.transformer).to(self.device)
        self.average.load_state_dict(self.model.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=options.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=options.weight_decay,
        )
        self.generator = torch.Generator(self.device).manual_seed(options.seed)
        self.step, self.elapsed_s = 0, 0.0

    def _text(self, instructions: Sequence[str]) -> Tensor:
        length, dim = self.config.text.length, self.config.text.dim
        known = {text: torch.from_numpy(hashed_embedding(text, length, dim)) for text in set(instructions)}
        return torch.stack([known[text] for text in instructions]).to(self.device)  # (B, L, D)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.bfloat16)

    @property
    def progress(self) -> float:
        """Share of the budget used, in [0, 1]."""
        return min(1.0, max(self.elapsed_s / (60 * self.options.minutes), self.step / self.options.steps))

    def train_step(self) -> float:
        """Make one optimiser step and return its loss."""
        warmup = min(1.0, (self.step + 1) / self.options.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * self.progress))
        draw = self.sampler.images if self.step % _IMAGE_EVERY == _IMAGE_EVERY - 1 else self.sampler.videos
        pixels, instructions = draw(self.options.batch)
        clean = self.vae.encode(pixels)
        weight = self.vae.std / self.vae.std.mean()
        with self._autocast(), attention_context(self.device):
            loss = diffusion_loss(self.model, clean, self._text(instructions), weight, self.generator)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.options.ema_decay, (1 + self.step) / (10 + self.step))
        averaged, current = list(self.average.parameters()), list(self.model.parameters())
        torch._foreach_lerp_(averaged, current, 1 - decay)

    @torch.no_grad()
    def held_out_psnr_db(self, count: int = 64, steps: int = 10) -> tuple[float, float]:
        """Return the PSNR of sampled videos and of repeating the first frame, on held-out windows [dB]."""
        truth, instructions = self.held_out.videos(count, full=True)
        latents = self.vae.encode(truth)
        with self._autocast(), attention_context(self.device):
            sampled = sample_video(
                self.average,
                latents[:, :, :1],
                latents.shape[2],
                self._text(instructions),
                steps,
                self.generator,
            )
        return psnr_db(self.vae.decode(sampled), truth), psnr_db(truth[:, :, :1].expand_as(truth), truth)

    def save(self, folder: Path) -> None:
        """Write the checkpoint and the averaged weights, each completely or not at all."""
        tensors = {"generator": self.generator.get_state()}
        for name, module in self._modules_by_name().items():
            tensors |= {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": tensor for key, tensor in state.items()}
        metadata = {"step": str(self.step), "elapsed_s": str(self.elapsed_s)}
        for name, state, told in (
            (CHECKPOINT_FILE, tensors, metadata),
            (TRANSFORMER_FILE, self.average.state_dict(), None),
            (VAE_FILE, self.vae.state_dict(), None),
        ):
            with whole_file(folder / name) as partial:
                save_file(_on_cpu(state), partial, told)
        config = yaml.safe_dump(self.config.model_dump(mode="json", exclude_none=True), sort_keys=False)
        write_whole(folder / CONFIG_FILE, config)

    def resume(self, folder: Path) -> bool:
        """Continue from a checkpoint; return False when there is none.

        Raises:
            DatasetError: the checkpoint is damaged or belongs to another configuration.
        """
        path = folder / CHECKPOINT_FILE
        if not path.is_file():
            return False
        try:
            with safe_open(path, "pt") as file:
                metadata, names = file.metadata(), file.keys()
                tensors = {key: file.get_tensor(key) for key in names}
            for name, module in self._modules_by_name().items():
                module.load_state_dict(_below(tensors, name))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise DatasetError(f"cannot resume from {path}: {error}; delete it to start again") from error
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _below(tensors, "optimizer").items():
            index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.generator.set_state(tensors["generator"])
        self.step, self.elapsed_s = int(metadata["step"]), float(metadata["elapsed_s"])
        self.sampler.reseed(self.options.seed + self.step)
        return True

    def _modules_by_name(self) -> dict[str, nn.Module]:
        return {"model": self.model, "average": self.average, "vae": self.vae}


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with `prefix.`, without it."""
    return {
        key.removeprefix(f"{prefix}."): value
        for key, value in tensors.items()
        if key.startswith(f"{prefix}.")
    }
