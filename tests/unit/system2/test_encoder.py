from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from video2act_ros.core.errors import BundleError, InputError
from video2act_ros.core.images import resize_image
from video2act_ros.core.types import LatentStream
from video2act_ros.system2.config import VideoEncoderConfig
from video2act_ros.system2.encoder import VideoEncoder, load_video_encoder

from .test_config import tiny

RANDOM = np.random.default_rng(0)
WINDOW = RANDOM.integers(0, 256, (9, 48, 64, 3), dtype=np.uint8)
TEXT = RANDOM.standard_normal((3, 8)).astype(np.float32)


def encoder(**changes: object) -> VideoEncoder:
    torch.manual_seed(0)
    return VideoEncoder(VideoEncoderConfig.model_validate({**tiny(), **changes}))


@pytest.mark.parametrize("position", ["before", "after"])
def test_update_gives_both_streams(position: str) -> None:
    """One window gives spatial and motion tokens (N, C) float32, wherever the filters act."""
    model = encoder(filter_position=position)
    features = model.update(WINDOW, TEXT)
    for stream in LatentStream:
        assert features[stream].shape == (model.config.token_count(stream), 24)
        assert features[stream].dtype == np.float32
        assert np.isfinite(features[stream]).all()


def test_frames_resized_on_arrival_give_the_same_features() -> None:
    """Resizing each frame once when it arrives is the same as resizing the window."""
    model = encoder()
    prepared = [model.prepare_frame(frame) for frame in WINDOW]
    one, other = model.update(WINDOW, TEXT), model.update_prepared(prepared, TEXT)
    for stream in LatentStream:
        np.testing.assert_array_equal(one[stream], other[stream])


def test_batches_match_single_windows() -> None:
    """Features made for training are those made when serving."""
    model = encoder()
    windows = [WINDOW, WINDOW[::-1]]
    size = model.config.motion
    small = np.stack([[resize_image(f, size.width, size.height) for f in window] for window in windows])
    together = model.update_batch({LatentStream.MOTION: small}, TEXT)[LatentStream.MOTION]
    for tokens, window in zip(together, windows, strict=True):
        np.testing.assert_allclose(tokens, model.update(window, TEXT)[LatentStream.MOTION], atol=1e-5)


def test_spatial_stream_sees_only_the_newest_frame() -> None:
    """Boundaries are those of now; movement is that of the window."""
    model = encoder()
    changed = WINDOW.copy()
    changed[:-1] = 0
    one, other = model.update(WINDOW, TEXT), model.update(changed, TEXT)
    np.testing.assert_array_equal(one[LatentStream.SPATIAL], other[LatentStream.SPATIAL])
    assert np.abs(one[LatentStream.MOTION] - other[LatentStream.MOTION]).max() > 1e-3


def test_instruction_changes_the_features_at_once() -> None:
    """Keys and values kept for one instruction never serve another, nor an absent one."""
    model = encoder()
    first = model.update(WINDOW, TEXT)
    for text in (TEXT + 1, None, TEXT[:2]):
        fresh = encoder().update(WINDOW, text)
        for stream in LatentStream:
            np.testing.assert_array_equal(model.update(WINDOW, text)[stream], fresh[stream])
            assert np.abs(fresh[stream] - first[stream]).max() > 1e-6


def test_text_changed_in_place_is_noticed() -> None:
    """The cache compares values, not objects."""
    model, text = encoder(), TEXT.copy()
    before = model.update(WINDOW, text)
    text += 1
    assert (
        np.abs(model.update(WINDOW, text)[LatentStream.SPATIAL] - before[LatentStream.SPATIAL]).max() > 1e-6
    )


def test_short_text_is_zero_padded() -> None:
    """Padding takes part in the attention, as in the released arrangement."""
    padded = np.concatenate([TEXT[:2], np.zeros((1, 8), np.float32)])
    one, other = encoder().update(WINDOW, TEXT[:2]), encoder().update(WINDOW, padded)
    np.testing.assert_array_equal(one[LatentStream.MOTION], other[LatentStream.MOTION])


def test_channel_order_swaps_the_colours() -> None:
    """A model trained on BGR sees the RGB image with its channels reversed."""
    bgr = encoder(channel_order="bgr").update(WINDOW, TEXT)
    rgb = encoder().update(np.ascontiguousarray(WINDOW[..., ::-1]), TEXT)
    np.testing.assert_array_equal(bgr[LatentStream.SPATIAL], rgb[LatentStream.SPATIAL])


def test_still_window_gives_the_same_motion_whatever_it_shows() -> None:
    """Without movement the motion stream carries nothing about the scene."""
    model = encoder()
    still = [np.repeat(WINDOW[index : index + 1], 9, axis=0) for index in (0, 5)]
    one, other = (model.update(window, TEXT)[LatentStream.MOTION] for window in still)
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(
    ("frames", "text", "message"),
    [
        (WINDOW[:5], TEXT, r"windows of shape \(9, 16, 16, 3\)"),
        (WINDOW, TEXT[:, :5], "embedding must be"),
        (WINDOW, np.zeros((4, 8), np.float32), "embedding must be"),
    ],
)
def test_wrong_inputs_are_refused(frames: np.ndarray, text: np.ndarray, message: str) -> None:
    """A short window or a foreign embedding is named, not broadcast."""
    with pytest.raises(InputError, match=message):
        encoder().update(frames, text)


def test_weights_travel_through_files(tmp_path: Path) -> None:
    """Weights saved and loaded give the same features; a truncated file is refused by name."""
    model = encoder()
    save_file(model.model.transformer.state_dict(), tmp_path / "transformer.safetensors")
    save_file(model.vae.state_dict(), tmp_path / "vae.safetensors")
    paths = (tmp_path / "transformer.safetensors", tmp_path / "vae.safetensors")
    torch.manual_seed(1)
    loaded = load_video_encoder(model.config, *paths)
    one, other = model.update(WINDOW, TEXT), loaded.update(WINDOW, TEXT)
    np.testing.assert_array_equal(one[LatentStream.MOTION], other[LatentStream.MOTION])
    paths[0].write_bytes(paths[0].read_bytes()[:-100])
    with pytest.raises(BundleError, match=r"transformer\.safetensors"):
        load_video_encoder(model.config, *paths)
