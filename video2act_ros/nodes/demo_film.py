"""Turns a recorded episode into a film, with the maps that System 2 saw drawn over the head camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from video2act_ros.bundles.load import load_encoder
from video2act_ros.core.types import NS_PER_S, CameraFrame, LatentStream
from video2act_ros.nodes.demo_node import EpisodeResult, Recording
from video2act_ros.recording.film import FilmFrame, write_film
from video2act_ros.ros import environment
from video2act_ros.system2.encoder import VideoEncoder
from video2act_ros.system2.frame_history import FrameHistory

FILM_FPS = 20
_LOW, _HIGH = 60.0, 99.5  # percentiles of a film's map values that show as clear and as opaque


def film_episode(recording: Recording, result: EpisodeResult, task: str, bundle: str, path: Path) -> None:
    """Write the film of one episode.

    The maps are the bundle's own extraction operators on its own latents, recomputed from the recorded
    frames: what System 2 gave its video model at that moment.
    """
    encoder = load_encoder(environment.resolve_bundle(bundle), "cpu").encoder
    head = encoder.config.camera
    maps = _maps([frame for frame in recording.frames if frame.camera == head], encoder)
    newest: dict[str, CameraFrame] = {}
    frames: list[FilmFrame] = []
    started_ns = recording.frames[0].stamp_ns if recording.frames else 0
    for frame in recording.frames:
        newest[frame.camera] = frame
        if frame.camera != head or len(newest) < len({f.camera for f in recording.frames}):
            continue
        spatial, motion = maps[frame.stamp_ns]
        elapsed_s = (frame.stamp_ns - started_ns) / NS_PER_S
        title = f"{task}, seed {result.seed}: {'success' if result.success else 'failure'}"
        status = f"{elapsed_s:5.2f} s   {_caption(recording, frame.stamp_ns)}"
        frames.append(FilmFrame({n: f.image for n, f in newest.items()}, spatial, motion, title, status))
    sides = [name for name in newest if name != head]
    write_film(path, frames, FILM_FPS, head, sides)


def _caption(recording: Recording, stamp_ns: int) -> str:
    seen = [text for at_ns, text in recording.states if at_ns <= stamp_ns]
    return seen[-1] if seen else ""


def _maps(
    frames: list[CameraFrame], encoder: VideoEncoder
) -> dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return both streams' (h, w) maps in [0, 1] for every head frame, by stamp."""
    config = encoder.config
    history = FrameHistory(config.frame_period_s, config.window_frames, prepare=encoder.prepare_frame)
    energies: dict[LatentStream, list[NDArray[np.float32]]] = {stream: [] for stream in LatentStream}
    for frame in frames:
        history.add(frame)
        window = history.window()
        assert window is not None  # a frame was just added
        for stream in LatentStream:
            images = np.stack([image[stream] for image in window.images[-config.stream(stream).frames :]])
            kept = encoder.extracted(encoder.encode_window(images, stream), stream)
            energies[stream].append(kept[0, :, -1].square().mean(dim=0).sqrt().numpy())
    scaled = {stream: _scale(np.stack(values)) for stream, values in energies.items() if values}
    return {
        frame.stamp_ns: (scaled[LatentStream.SPATIAL][i], scaled[LatentStream.MOTION][i])
        for i, frame in enumerate(frames)
    }


def _scale(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map (frames, h, w) energies to [0, 1] with one scale for the whole film."""
    low, high = np.percentile(values, (_LOW, _HIGH))
    return np.clip((values - low) / max(float(high - low), 1e-6), 0.0, 1.0).astype(np.float32)
