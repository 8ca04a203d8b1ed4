from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from shared_configs import encoder

from video2act_ros.core.errors import DatasetError
from video2act_ros.core.types import CameraFrame, LatentStream
from video2act_ros.system2.config import VideoEncoderConfig
from video2act_ros.system2.encoder import load_video_encoder
from video2act_ros.system2.frame_history import FrameHistory
from video2act_ros.system2.video_model import build_transformer
from video2act_ros.training.instructions import hashed_embedding
from video2act_ros.training.train_video import small_config, train_video
from video2act_ros.training.video_clips import ClipSampler, VideoClip, window_indices
from video2act_ros.training.video_diffusion import predict_clean, sample_video
from video2act_ros.training.video_trainer import (
    CHECKPOINT_FILE,
    TRANSFORMER_FILE,
    VAE_FILE,
    VideoTrainer,
    VideoTraining,
)

CONFIG = VideoEncoderConfig.model_validate(
    encoder(
        window_frames=9,
        transformer={"attention_head_dim": 24},
        layer=1,
        motion={"frames": 9, "freq_high": 10.0},
    )
)


def moving_square(seed: int) -> VideoClip:
    """Return a clip of a bright square that moves to the right over a dark ground."""
    frames = np.zeros((14, 16, 16, 3), np.uint8)
    for step in range(14):
        row, column = seed % 12, step * 12 // 14
        frames[step, row : row + 4, column : column + 4] = (250, 40, 120)
    return VideoClip(motion=frames, spatial=frames, phrasings=("watch", "look on"))


CLIPS = [moving_square(seed) for seed in range(24)]


def options(steps: int) -> VideoTraining:
    return VideoTraining(steps=steps, batch=8, warmup_steps=2, learning_rate=5e-3, bfloat16=False)


@pytest.mark.parametrize("newest", [0, 3, 7, 20])
def test_training_windows_are_those_of_the_frame_history(newest: int) -> None:
    """Training sees at an episode's start exactly what serving gives: the first frame repeated."""
    history: FrameHistory[int] = FrameHistory(0.1, 9, prepare=lambda image: int(image[0, 0, 0]))
    for step in range(newest + 1):
        history.add(CameraFrame("cam_high", step * 100_000_000, np.full((1, 1, 3), step, np.uint8)))
    window = history.window()
    assert window is not None
    assert window.images == tuple(window_indices(np.array([newest]), 9)[0])


def test_training_lowers_the_loss_and_resumes(tmp_path: Path) -> None:
    """The loss falls; an interrupted training continues where it was; serving loads the result."""
    losses: list[float] = []
    first = train_video(CLIPS, tmp_path, CONFIG, options(120), lambda state: losses.append(state.loss))
    assert first.step == 120
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:20])
    assert np.isfinite(first.held_out_psnr_db)
    steps: list[int] = []
    train_video(CLIPS, tmp_path, CONFIG, options(123), lambda state: steps.append(state.step))
    assert steps == [121, 122, 123]
    assert not list(tmp_path.glob("*.partial"))
    encoder = load_video_encoder(CONFIG, tmp_path / TRANSFORMER_FILE, tmp_path / VAE_FILE)
    features = encoder.update(CLIPS[0].motion[:9], hashed_embedding("watch", 3, 8))
    assert np.isfinite(features[LatentStream.MOTION]).all()


def test_the_same_seed_gives_the_same_weights() -> None:
    """With a budget in steps the training is reproducible."""
    trainers = [VideoTrainer(CONFIG, options(4), CLIPS) for _ in range(2)]
    losses = [[trainer.train_step() for _ in range(4)] for trainer in trainers]
    assert losses[0] == losses[1]


def test_first_frame_is_given_clean() -> None:
    """The prediction keeps the given first frame, and so does every sampled video."""
    torch.manual_seed(0)
    model = build_transformer(CONFIG.transformer)
    text = torch.zeros(2, 3, 8)
    noisy = torch.randn(2, 12, 3, 4, 4)
    with torch.no_grad():
        clean = predict_clean(model, noisy, torch.tensor([0.3, 0.9]), text)
    torch.testing.assert_close(clean[:, :, :1], noisy[:, :, :1])
    sampled = sample_video(model, noisy[:, :, :1], 3, text, 4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(sampled[:, :, :1], noisy[:, :, :1], atol=1e-6, rtol=0)


class RecordingModel:
    """Stands in for the transformer: predicts no change and keeps the timesteps it was given."""

    config = SimpleNamespace(patch_size=(1, 2, 2))

    def __call__(
        self, noisy: torch.Tensor, steps: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor]:
        self.steps = steps
        return (torch.zeros_like(noisy),)


def test_clean_frame_has_timestep_zero() -> None:
    """Tokens of the given first frame are marked as clean, the others with the sample's time."""
    model = RecordingModel()
    predict_clean(model, torch.randn(2, 12, 3, 4, 4), torch.tensor([0.25, 0.5]), torch.zeros(2, 3, 8))
    assert model.steps.tolist() == [[0.0] * 4 + [250.0] * 8, [0.0] * 4 + [500.0] * 8]


def test_every_phrasing_is_trained_on() -> None:
    """Samples draw one of the instruction's wordings each, so that none is unknown when serving."""
    _, texts = ClipSampler(CLIPS, 9, True, 0, torch.device("cpu")).videos(32)
    assert set(texts) == {"watch", "look on"}


def test_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    """A truncated checkpoint is named with its remedy instead of starting again in silence."""
    trainer = VideoTrainer(CONFIG, options(4), CLIPS)
    trainer.save(tmp_path)
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DatasetError, match="delete it to start again"):
        trainer.resume(tmp_path)


def test_instructions_have_fixed_distinct_embeddings() -> None:
    """The same text gives the same tokens on every machine; other texts give others."""
    one = hashed_embedding("lift the red cube", 4, 64)
    np.testing.assert_array_equal(one, hashed_embedding("lift the red cube", 4, 64))
    assert abs(np.corrcoef(one.ravel(), hashed_embedding("put it down", 4, 64).ravel())[0, 1]) < 0.3


def test_shipped_configuration_is_small() -> None:
    """36 spatial and 80 motion tokens, about three million parameters."""
    config = small_config()
    assert config.token_count(LatentStream.SPATIAL) == 36
    assert config.token_count(LatentStream.MOTION) == 80
    assert sum(p.numel() for p in build_transformer(config.transformer).parameters()) < 4_000_000


def test_no_episodes_is_an_error() -> None:
    """An empty dataset is named as such."""
    with pytest.raises(DatasetError, match="record demonstrations"):
        ClipSampler([], 9, True, 0, torch.device("cpu"))
