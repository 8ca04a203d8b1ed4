"""One demonstration: noisy execution of the expert, clean labels, images at the policy's sizes.

As in DART (arXiv 1703.09327) the expert's targets are executed with noise added and recorded without it,
so that the policy also learns to come back from states that the expert alone never visits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.images import resize_image
from video2act_ros.core.types import FloatArray
from video2act_ros.sim.episode import SimEpisode

IMAGE_EVERY = 5  # control steps (50 Hz) between images: 10 Hz
TAIL_STEPS = 65  # the last target is held this long, so that a 64-step chunk fits after the last image

# AR(1) noise on the executed targets: correlation time about 0.2 s, more of it far from the cube.
_NOISE_CORRELATION = 0.9
_NOISE_RANGE = (0.004, 0.022)  # standard deviation per episode [rad]
_CLEAN_EPISODES = 0.2  # share of episodes without noise
_EARLY_STEPS, _EARLY_FACTOR = 60, 2.0
_OFFSET_EPISODES = 0.5  # share of episodes that start away from the start pose
_OFFSET_STD = 0.03  # rad


@dataclass(frozen=True, slots=True)
class ImageKind:
    """A stored image: the camera it comes from and its side [px]."""

    camera: str
    size: int


def image_kinds(left_wrist: bool) -> dict[str, ImageKind]:
    """Return what is stored under which name; every size is resized from the camera's image directly."""
    kinds = {
        "cam_high": ImageKind("cam_high", 96),
        "cam_right_wrist": ImageKind("cam_right_wrist", 96),
        "cam_high_64": ImageKind("cam_high", 64),
    }
    if left_wrist:
        kinds["cam_left_wrist"] = ImageKind("cam_left_wrist", 96)
    return kinds


def execution_noise(random: np.random.Generator, steps: int, joints: int) -> tuple[FloatArray, float]:
    """Return AR(1) noise (steps, joints) for one episode and its standard deviation, both in policy units."""
    std = 0.0 if random.random() < _CLEAN_EPISODES else float(random.uniform(*_NOISE_RANGE))
    white = random.normal(0.0, std * np.sqrt(1.0 - _NOISE_CORRELATION**2), (steps, joints))
    noise = np.zeros((steps, joints))
    for step in range(1, steps):
        noise[step] = _NOISE_CORRELATION * noise[step - 1] + white[step]
    envelope = np.interp(np.arange(steps), (0, _EARLY_STEPS), (_EARLY_FACTOR, 1.0))
    return noise * envelope[:, None], std


def record_episode(
    episode: SimEpisode, seed: int, kinds: dict[str, ImageKind]
) -> dict[str, NDArray[Any]] | None:
    """Run the expert once; return the episode's arrays (see `Demonstrations`), or None when it failed."""
    random = np.random.default_rng((seed, 1))
    joints = len(episode.profile.joints)
    offset = random.normal(0.0, _OFFSET_STD, joints) if random.random() < _OFFSET_EPISODES else None
    episode.reset(seed, joint_offset=offset)
    plan = episode.plan()
    targets = np.concatenate([plan, np.repeat(plan[-1:], TAIL_STEPS, axis=0)])  # (T, 14)
    noise, noise_std = execution_noise(random, len(targets), joints)
    cameras = tuple(dict.fromkeys(kind.camera for kind in kinds.values()))

    measured = np.empty_like(targets)
    images: dict[str, list[NDArray[Any]]] = {name: [] for name in kinds}
    image_step, cube = [], []
    for step in range(len(targets)):
        measured[step] = episode.joints()
        if step % IMAGE_EVERY == 0 and step < len(plan):
            seen = episode.observe(cameras).images
            for name, kind in kinds.items():
                images[name].append(resize_image(seen[kind.camera], kind.size, kind.size))
            image_step.append(step)
            cube.append(episode.sim.cube_position())
        episode.step(targets[step] + noise[step])
    if not (episode.succeeded and episode.task.success(episode.sim)):
        return None
    return {
        **{name: np.stack(stack) for name, stack in images.items()},
        "image_step": np.array(image_step, dtype=np.int32),
        "cube": np.array(cube, dtype=np.float32),
        "joints": measured.astype(np.float32),
        "targets": targets.astype(np.float32),
        "seed": np.array([seed], dtype=np.int64),
        "noise_std": np.array([noise_std], dtype=np.float32),
        "steps": np.array([len(targets)], dtype=np.int32),
        "images": np.array([len(image_step)], dtype=np.int32),
    }
