"""The small bundle that ships: its policy's configuration, and how trained parts become a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from video2act_ros.bundles.manifest import Manifest
from video2act_ros.bundles.write import BundleContent, write_bundle
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import ImageArray, LatentStream, Observation
from video2act_ros.sim.episode import SimEpisode
from video2act_ros.sim.tasks import Task
from video2act_ros.system1.config import (
    ActionsConfig,
    ConvVisionConfig,
    ImageTokensConfig,
    PolicyConfig,
    StateVectorConfig,
    VideoConfig,
)
from video2act_ros.system1.policy import Policy
from video2act_ros.system2.config import VideoEncoderConfig
from video2act_ros.system2.encoder import VideoEncoder
from video2act_ros.training.checkpoint import load_average
from video2act_ros.training.dataset import Demonstrations
from video2act_ros.training.instructions import hashed_embedding
from video2act_ros.training.policy_data import action_scale

CAMERAS = ("cam_high", "cam_right_wrist")
HORIZON = 64
HIDDEN, DEPTH, HEADS = 128, 4, 4
LANGUAGE_TOKENS, LANGUAGE_DIM = 4, 64
SELF_TEST_SEED = 899_999
_EXAMPLE_STEPS = 80  # 1.6 s into the demonstration: arm, gripper and cube are all in play


def phrasings(demos: Demonstrations | Task) -> tuple[str, ...]:
    """Return every wording of the task's instruction, the main one first."""
    return (demos.instruction, *demos.paraphrases)


def language_embeddings(texts: tuple[str, ...]) -> NDArray[np.float32]:
    """Return System 1's embedding of each text, (I, L, lang_dim)."""
    return np.stack([hashed_embedding(text, LANGUAGE_TOKENS, LANGUAGE_DIM) for text in texts])


def text_embeddings(texts: tuple[str, ...], encoder: VideoEncoderConfig) -> list[NDArray[np.float32]]:
    """Return System 2's embedding of each text, (L, D) each."""
    return [hashed_embedding(text, encoder.text.length, encoder.text.dim) for text in texts]


def small_policy_config(
    demos: Demonstrations, encoder: VideoEncoderConfig, profile: RobotProfile
) -> PolicyConfig:
    """Return the configuration of the shipped policy; the action scale comes from the demonstrations."""
    grippers = [index for index, joint in enumerate(profile.joints) if joint.gripper]
    every = np.arange(len(demos.image_row))
    scale = action_scale(demos.chunks(every, HORIZON), demos.joints[demos.image_row], grippers)
    vision = ConvVisionConfig()
    joints = len(profile.joints)
    return PolicyConfig(
        hidden=HIDDEN,
        depth=DEPTH,
        heads=HEADS,
        horizon=HORIZON,
        norm="rms",
        lang_dim=LANGUAGE_DIM,
        max_lang=LANGUAGE_TOKENS,
        state_vector=StateVectorConfig(size=joints, indices=tuple(range(joints))),
        actions=ActionsConfig(representation="joint_relative", scale=scale, gripper_joints=tuple(grippers)),
        images=ImageTokensConfig(
            dim=96, tokens_per_image=vision.tokens_per_image, history=1, cameras=CAMERAS
        ),
        vision=vision,
        video=VideoConfig(
            variant="direct",
            feature_dim=encoder.feature_dim,
            spatial_tokens=encoder.token_count(LatentStream.SPATIAL),
            motion_tokens=encoder.token_count(LatentStream.MOTION),
        ),
        ctrl_freq_hz=demos.control_hz,
        action_step_s=1.0 / demos.control_hz,
    )


@dataclass(frozen=True, slots=True)
class Example:
    """A real moment of a demonstration: what the self-tests are recorded on."""

    window: ImageArray  # (T, H, W, 3)
    observation: Observation


def record_example(task: Task, profile: RobotProfile, encoder: VideoEncoderConfig) -> Example:
    """Run the scripted expert for a while and return the frame window and the observation at its end."""
    every = round(encoder.frame_period_s * 50)  # control steps between frames
    frames = []
    with SimEpisode(task, profile) as episode:
        episode.reset(SELF_TEST_SEED)
        for step, target in enumerate(episode.plan()[: _EXAMPLE_STEPS + 1]):
            if step % every == 0:
                observation = episode.observe()
                frames.append(observation.images[encoder.camera])
            episode.step(target)
    missing = max(0, encoder.window_frames - len(frames))
    window = np.stack(([frames[0]] * missing + frames)[-encoder.window_frames :])
    return Example(window, observation)


def assemble(
    folder: Path,
    checkpoint: Path,
    encoder: VideoEncoder,
    config: PolicyConfig,
    task: Task,
    profile: RobotProfile,
    made_with: tuple[str, ...],
    measured: dict[str, str],
) -> Manifest:
    """Turn a policy checkpoint's moving average and a trained encoder into the bundle at `folder`."""
    policy = Policy(config).eval()
    policy.load_weights(load_average(checkpoint, "policy."))
    texts = phrasings(task)
    example = record_example(task, profile, encoder.config)
    torch.set_num_threads(1)
    embeddings = zip(texts, language_embeddings(texts), text_embeddings(texts, encoder.config), strict=True)
    content = BundleContent(
        name=folder.name,
        description=f"{task.instruction}, on the simulated ALOHA robot",
        made_with=made_with,
        policy=policy,
        encoder=encoder,
        joint_names=profile.joint_names,
        instructions={text: (system1, system2) for text, system1, system2 in embeddings},
        window=example.window,
        observation=example.observation,
        measured=measured,
    )
    return write_bundle(folder, content)
