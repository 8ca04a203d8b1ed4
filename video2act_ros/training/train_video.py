"""Trains the small video model on demonstrations: a linear video VAE, then the diffusion transformer."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from video2act_ros.system2.config import (
    PatchVaeConfig,
    StreamConfig,
    TextConfig,
    TransformerConfig,
    VideoEncoderConfig,
)
from video2act_ros.training.video_clips import VideoClip, load_clips
from video2act_ros.training.video_trainer import VideoTrainer, VideoTraining, fit_vae


def small_config() -> VideoEncoderConfig:
    """Return the configuration of the shipped bundle's video encoder (about 3.3 M parameters).

    With T = 5 latent frames the filter's label of 16 fps puts the bins at 0, 3.2 and 6.4 Hz: the band keeps
    all movement and removes the mean.
    """
    return VideoEncoderConfig(
        window_frames=17,
        frame_period_s=0.1,
        vae=PatchVaeConfig(patch_size=8, temporal_factor=4, channels=48),
        transformer=TransformerConfig(
            num_attention_heads=5,
            attention_head_dim=32,
            in_channels=48,
            out_channels=48,
            text_dim=64,
            freq_dim=64,
            ffn_dim=480,
            num_layers=8,
            rope_max_seq_len=64,
        ),
        layer=5,
        channel_order="rgb",
        spatial=StreamConfig(frames=1, width=96, height=96, method="sobel"),
        motion=StreamConfig(
            frames=17, width=64, height=64, method="fft", fps=16.0, freq_low=1.0, freq_high=7.0
        ),
        text=TextConfig(length=4, dim=64),
    )


@dataclass(frozen=True, slots=True)
class VideoProgress:
    """State of the training after a step; `held_out_*` are NaN until measured at the end."""

    step: int
    elapsed_s: float
    loss: float
    held_out_psnr_db: float = math.nan
    held_out_copy_psnr_db: float = math.nan


def train_video(
    clips: Sequence[VideoClip],
    folder: Path,
    config: VideoEncoderConfig,
    options: VideoTraining,
    report: Callable[[VideoProgress], None],
) -> VideoProgress:
    """Train until the budget is used, resuming what lies in `folder`; return the end with held-out PSNR.

    Args:
        clips: one per episode; the last twentieth is held out.
        folder: receives checkpoint, transformer, VAE and config.
        config: of the encoder that will use the weights.
        options: budget and optimiser.
        report: called after every step.
    """
    torch.set_num_threads(options.threads)
    trainer = VideoTrainer(config, options, clips)
    if not trainer.resume(folder):
        fit_vae(trainer.vae, trainer.sampler)
    saved_s, loss = time.monotonic(), math.nan
    while trainer.progress < 1:
        started_s = time.monotonic()
        loss = trainer.train_step()
        trainer.elapsed_s += time.monotonic() - started_s
        report(VideoProgress(trainer.step, trainer.elapsed_s, loss))
        if time.monotonic() - saved_s > options.checkpoint_period_s:
            trainer.save(folder)
            saved_s = time.monotonic()
    trainer.save(folder)
    return VideoProgress(trainer.step, trainer.elapsed_s, loss, *trainer.held_out_psnr_db())


def run(dataset: Path, folder: Path, options: VideoTraining, console: Console) -> VideoProgress:
    """Train the small video model on the demonstrations in `dataset`, with a progress bar."""
    config = small_config()
    clips = load_clips(dataset, config)
    columns = (TextColumn("video model"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, refresh_per_second=1) as bar:
        task = bar.add_task(f"{len(clips)} episodes", total=1.0)
        smooth = math.nan

        def show(state: VideoProgress) -> None:
            nonlocal smooth
            smooth = state.loss if math.isnan(smooth) else 0.98 * smooth + 0.02 * state.loss
            done = max(state.elapsed_s / (60 * options.minutes), state.step / options.steps)
            bar.update(task, completed=done, description=f"step {state.step}, loss {smooth:.3f}")
            if not console.is_terminal and state.step % 50 == 0:
                console.log(f"step {state.step}, {state.elapsed_s:.0f} s, loss {smooth:.3f}")

        result = train_video(clips, folder, config, options, show)
    console.log(
        f"{result.step} steps; held-out video PSNR {result.held_out_psnr_db:.2f} dB, "
        f"repeating the first frame {result.held_out_copy_psnr_db:.2f} dB; weights in {folder}"
    )
    return result


def main() -> None:
    """Command line: see `--help`."""
    defaults = VideoTraining()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="folder of recorded demonstrations")
    parser.add_argument("--output", type=Path, default=Path("out/training/video"))
    parser.add_argument("--minutes", type=float, default=defaults.minutes, help="wall-clock budget")
    parser.add_argument("--steps", type=int, default=defaults.steps, help="largest number of steps")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    options = VideoTraining(
        minutes=given.minutes, steps=given.steps, device=given.device, seed=given.seed, threads=given.threads
    )
    run(given.dataset, given.output, options, Console())


if __name__ == "__main__":
    main()
