"""Trains System 1's policy on demonstrations, conditioned on the frozen System 2's features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from video2act_ros.core.types import ImageArray
from video2act_ros.system1.inputs import PolicyInputs
from video2act_ros.system1.policy import Policy
from video2act_ros.system1.sampler import draw_noise
from video2act_ros.training.checkpoint import MovingAverage, load_checkpoint, save_checkpoint
from video2act_ros.training.policy_data import PolicyData

AUXILIARY_WEIGHT = 0.1
CHECKPOINT_STEPS = 100
CHECKPOINT_FILE = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How long and how fast; `max_latent_lag` grid steps bounds the age of the features trained on."""

    steps: int
    batch: int = 128
    draws: int = 1
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 1e-2
    average_decay: float = 0.998
    max_latent_lag: int = 6
    image_gain: float = 0.1
    joint_noise_rad: float = 0.004
    seed: int = 0
    device: str = "cpu"
    stop_after_steps: int | None = None


class CubeHead(nn.Module):
    """Reads the cube's position off the image tokens; only shapes the features during training."""

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(tokens * dim, 128), nn.ReLU(), nn.Linear(128, 3))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, 3) from (B, N, dim)."""
        return self.layers(tokens)


class Learner(nn.Module):
    """The policy and its training-only head, so that one optimiser and one checkpoint hold both."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy
        self.cube = CubeHead(policy.config.images.count, policy.config.images.dim)


@dataclass(frozen=True, slots=True)
class Batch:
    """One training batch on the device."""

    inputs: PolicyInputs
    clean: Tensor  # (B, H, A)
    cube: Tensor  # (B, 3), normalised


def learning_rate(step: int, options: TrainingOptions) -> float:
    """Return the rate of step `step`: linear warm-up, then a cosine to one hundredth."""
    if step < options.warmup_steps:
        return options.learning_rate * (step + 1) / options.warmup_steps
    progress = (step - options.warmup_steps) / max(1, options.steps - options.warmup_steps)
    return options.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class BatchMaker:
    """Draws batches by step number, so that a resumed training sees the same ones."""

    def __init__(self, data: PolicyData, policy: Policy, language: Tensor, options: TrainingOptions) -> None:
        self._data, self._policy, self._options = data, policy, options
        self._language = language
        self._cube_mean = data.cube.mean(axis=0)
        self._cube_std = data.cube.std(axis=0) + 1e-3
        self._rad = np.ones(data.joints.shape[1], dtype=np.float32)
        self._rad[list(policy.config.actions.gripper_joints)] = 0.0

    def make(self, step: int) -> Batch:
        """Return batch number `step`."""
        data, options = self._data, self._options
        rng = np.random.default_rng((options.seed, step))
        index = rng.integers(0, len(data), options.batch)
        latents = torch.from_numpy(
            data.latent_index(index, rng.integers(0, options.max_latent_lag + 1, options.batch))
        )
        joints = data.joints[index] + self._rad * rng.normal(
            0, options.joint_noise_rad, data.joints[index].shape
        )
        device = options.device
        joints_t = torch.from_numpy(joints.astype(np.float32)).to(device)
        language = self._language[torch.from_numpy(data.phrasing[index])]
        inputs = PolicyInputs(
            images=torch.from_numpy(self._images(index, rng)).unsqueeze(1).to(device),
            joints=joints_t,
            language=language.to(device),
            spatial=data.spatial[latents].float().to(device),
            motion=data.motion[latents].float().to(device),
        )
        clean = self._policy.encode_actions(torch.from_numpy(data.chunks[index]).to(device), joints_t)
        cube = torch.from_numpy(((data.cube[index] - self._cube_mean) / self._cube_std).astype(np.float32))
        return Batch(inputs, clean, cube.to(device))

    def _images(self, index: NDArray[np.int64], rng: np.random.Generator) -> ImageArray:
        """Return (B, cameras, h, w, 3) uint8 with a random brightness per image."""
        images = self._data.images[index]
        gain = rng.uniform(
            1 - self._options.image_gain, 1 + self._options.image_gain, (*images.shape[:2], 1, 1, 1)
        )
        return np.clip(images * gain.astype(np.float32), 0, 255).astype(np.uint8)


def losses(learner: Learner, batch: Batch, step: int, options: TrainingOptions) -> tuple[Tensor, Tensor]:
    """Return the action loss (mean square over all elements) and the cube loss of one batch."""
    clean = batch.clean.repeat_interleave(options.draws, dim=0)  # (B·R, H, A)
    noise = draw_noise(tuple(clean.shape), options.seed * 1_000_003 + step).to(clean.device)
    generator = torch.Generator().manual_seed(options.seed * 1_000_003 + step + 1)
    sampler = learner.policy.sampler
    timesteps = torch.randint(0, sampler.config.train_timesteps, (len(clean),), generator=generator).to(
        clean.device
    )
    with torch.autocast(clean.device.type, dtype=torch.bfloat16):
        output = learner.policy(batch.inputs, sampler.add_noise(clean, noise, timesteps), timesteps)
        cube = learner.cube(output.image_tokens)
    action_loss = (output.prediction.float() - clean).square().mean()
    return action_loss, (cube.float() - batch.cube).square().mean()


def train_policy(
    policy: Policy,
    data: PolicyData,
    language: Tensor,
    options: TrainingOptions,
    folder: Path,
    console: Console,
) -> Path:
    """Train, resuming from `folder`'s checkpoint if there is one, and return the checkpoint's path.

    Args:
        language: (I, L, lang_dim) System 1's embedding of each phrasing, in `data.phrasing`'s order.
    """
    torch.manual_seed(options.seed)
    learner = Learner(policy.to(options.device)).train()
    optimizer = torch.optim.AdamW(
        learner.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.95)
    )
    average = MovingAverage(learner, options.average_decay)
    path = folder / CHECKPOINT_FILE
    step = load_checkpoint(path, learner, average, optimizer) if path.is_file() else 0
    maker = BatchMaker(data, policy, language, options)
    last = min(options.steps, options.stop_after_steps or options.steps)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, TextColumn("{task.fields[loss]}"), console=console, refresh_per_second=1
    ) as progress:
        task = progress.add_task("policy", total=last, completed=step, loss="")
        while step < last:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, options)
            action_loss, cube_loss = losses(learner, maker.make(step), step, options)
            optimizer.zero_grad(set_to_none=True)
            (action_loss + AUXILIARY_WEIGHT * cube_loss).backward()
            nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
            optimizer.step()
            step += 1
            average.update(learner, step)
            progress.update(task, completed=step, loss=f"action {action_loss:.4f} cube {cube_loss:.4f}")
            if step % CHECKPOINT_STEPS == 0 or step == last:
                console.log(f"step {step}: action {action_loss:.4f}, cube {cube_loss:.4f}")
                save_checkpoint(path, learner, average, optimizer, step)
    return path
