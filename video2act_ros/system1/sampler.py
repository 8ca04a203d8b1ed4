"""Noise schedule and DPM-Solver++ sampling (docs/reference.md, "sampler"; arXiv 2211.01095)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from video2act_ros.system1.config import SamplerConfig
from video2act_ros.system1.guide import Guide

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(noisy (B, H, A), timestep (1,) int64) -> clean prediction (B, H, A)."""


def draw_noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return N(0, 1) float32 noise of `shape`, the same on every device for one seed."""
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed), dtype=torch.float32)


class Sampler:
    """The forward noise process of training and the solver that inverts it."""

    def __init__(self, config: SamplerConfig) -> None:
        self.config = config
        self._training = DDPMScheduler(
            num_train_timesteps=config.train_timesteps,
            beta_schedule=config.schedule,
            prediction_type="sample",
            clip_sample=False,
        )
        self._solver = DPMSolverMultistepScheduler(
            num_train_timesteps=config.train_timesteps,
            beta_schedule=config.schedule,
            prediction_type="sample",
        )

        self._solver.set_timesteps(config.steps)

    @property
    def timesteps(self) -> Tensor:
        """Timesteps of the evaluations, descending, (steps,) int64."""
        return self._solver.timesteps

    @property
    def sigmas(self) -> Tensor:
        """Noise over signal at each evaluation, then the final 0: (steps + 1,) float32."""
        return self._solver.sigmas

    @property
    def alphas_cumprod(self) -> Tensor:
        """Signal share of each training timestep, (train_timesteps,) float32."""
        return self._training.alphas_cumprod

    def add_noise(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return `clean` (B, H, A) noised to the integer `timesteps` (B,)."""
        return self._training.add_noise(clean, noise, timesteps)

    def sample(self, denoise: Denoise, noise: Tensor, mask: Tensor, guide: Guide | None = None) -> Tensor:
        """Denoise `noise` (B, H, A) in `config.steps` evaluations and return it times `mask`.

        The update runs in float32; between steps the sample has the dtype of the network's output. A `guide`
        fixes or draws leading actions by every clean prediction and by the initial sample.
        """
        self._solver.set_timesteps(self.config.steps)
        sample = noise if guide is None else guide.start(noise, self._solver.sigmas[0])
        for timestep in self._solver.timesteps:
            prediction = denoise(sample, timestep.reshape(1).to(noise.device))
            if guide is not None:
                prediction = guide.steer(prediction)
            sample = self._solver.step(prediction, timestep, sample, return_dict=False)[0]
        return sample * mask
