"""What every level of tests shares: a tiny bundle with random weights and a test robot's profile."""

import numpy as np
import pytest
import torch
import yaml
from hypothesis import settings
from shared_configs import THRESHOLDS, VISION, encoder

from video2act_ros.bundles.write import BundleContent, write_bundle
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.core.types import Observation
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.policy import Policy
from video2act_ros.system2.config import VideoEncoderConfig
from video2act_ros.system2.encoder import VideoEncoder

torch.set_num_threads(1)
settings.register_profile("no_deadline", deadline=None)  # no test asserts a speed
settings.load_profile("no_deadline")


def pytest_addoption(parser):
    """Let reference values come from another folder than the one that is kept here."""
    parser.addoption("--reference", metavar="DIR", help="folder of reference values; tests/golden by default")


JOINTS = ("shoulder", "elbow", "gripper")
CAMERAS = ("cam_high", "cam_wrist")
INSTRUCTIONS = ("lift the cube", "drop the cube")


def policy_config(
    features: int, spatial: int, motion: int, history: int = 1, joints=JOINTS, grippers=(2,), cameras=CAMERAS
) -> PolicyConfig:
    return PolicyConfig.model_validate(
        {
            "hidden": 32,
            "depth": 2,
            "heads": 2,
            "horizon": 8,
            "norm": "rms",
            "lang_dim": 8,
            "max_lang": 3,
            "state_vector": {"size": len(joints), "indices": tuple(range(len(joints)))},
            "actions": {"representation": "joint_relative", "gripper_joints": grippers},
            "images": {"dim": 16, "tokens_per_image": 6, "history": history, "cameras": cameras},
            "vision": VISION,
            "video": {
                "variant": "direct",
                "feature_dim": features,
                "spatial_tokens": spatial,
                "motion_tokens": motion,
            },
            "ctrl_freq_hz": 20.0,
            "action_step_s": 0.05,
        }
    )


ENCODER = encoder(camera="cam_high")


def write_tiny_bundle(folder, seed=0, policy_seed=None, action_std=0.1, history=1, robot=None):
    """Write a bundle of both systems with random weights; `seed` decides the features.

    It is for the test robot, or for the RobotProfile `robot`. With `action_std` 0 every action is the same: the
    arm stays where it is.
    """
    joints = JOINTS if robot is None else robot.joint_names
    cameras = CAMERAS if robot is None else robot.camera_names
    grippers = (2,) if robot is None else tuple(i for i, joint in enumerate(robot.joints) if joint.gripper)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    encoder = VideoEncoder(VideoEncoderConfig.model_validate(ENCODER | {"camera": cameras[0]}))
    config = policy_config(encoder.config.feature_dim, 4, 8, history, joints, grippers, cameras)
    if policy_seed is not None:
        torch.manual_seed(policy_seed)
    policy = Policy(config).eval()
    torch.nn.init.normal_(policy.model.final_layer.ffn_final.fc2.weight, std=action_std)
    images = {name: random.integers(0, 256, (32, 32, 3), dtype=np.uint8) for name in cameras}
    texts = {
        text: (
            random.standard_normal((3, 8)).astype(np.float32),
            random.standard_normal((3, 8)).astype(np.float32),
        )
        for text in INSTRUCTIONS
    }
    write_bundle(
        folder,
        BundleContent(
            name="tiny",
            description="random weights",
            made_with=("tests/conftest.py",),
            policy=policy,
            encoder=encoder,
            joint_names=joints,
            instructions=texts,
            window=random.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8),
            observation=Observation(
                0, images, dict.fromkeys(cameras, 0), np.zeros(len(joints)), 0, INSTRUCTIONS[0]
            ),
        ),
    )
    return folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A small bundle of both systems."""
    return write_tiny_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def still_bundle(tmp_path_factory):
    """A small bundle whose policy leaves the arm joints where they are."""
    return write_tiny_bundle(tmp_path_factory.mktemp("models") / "still", action_std=0.0)


@pytest.fixture(scope="session")
def still_bundle_of(tmp_path_factory):
    """Write, once per robot, a bundle that leaves its arm joints where they are."""
    folders = {}

    def of(profile):
        if profile.name not in folders:
            folder = tmp_path_factory.mktemp("models") / profile.name
            folders[profile.name] = write_tiny_bundle(folder, action_std=0.0, robot=profile)
        return folders[profile.name]

    return of


@pytest.fixture(scope="session")
def sibling_bundle(tmp_path_factory):
    """Another policy for the same features."""
    return write_tiny_bundle(tmp_path_factory.mktemp("models") / "sibling", policy_seed=2)


@pytest.fixture(scope="session")
def two_images_bundle(tmp_path_factory):
    """A policy that looks at two observations."""
    return write_tiny_bundle(tmp_path_factory.mktemp("models") / "two_images", history=2)


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory):
    """Another one, whose video model makes other features."""
    return write_tiny_bundle(tmp_path_factory.mktemp("models") / "other", seed=1)


PROFILE = {
    "name": "test",
    "joints": [
        {
            "name": name,
            "position_min": 0.0 if name == "gripper" else -2.0,
            "position_max": 0.04 if name == "gripper" else 2.0,
            "velocity_max": 1.0,
            "acceleration_max": 4.0,
            "jerk_max": 100.0,
            "start": 0.0,
            "gripper": name == "gripper",
        }
        for name in JOINTS
    ],
    "cameras": [
        {"name": "cam_high", "topic": "cam_high/image_raw"},
        {"name": "cam_wrist", "topic": "cam_wrist/image_raw/compressed", "transport": "compressed"},
    ],
    "joint_states": [{"topic": "arm/joint_states"}, {"topic": "gripper/joint_states"}],
    "commands": [{"topic": "commands", "type": "joint_trajectory", "joints": list(JOINTS)}],
    "thresholds": THRESHOLDS,
}


@pytest.fixture
def robot(tmp_path):
    """The test robot's profile: three joints on two topics, a raw and a compressed camera."""
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump(PROFILE))
    return path


@pytest.fixture
def robot_profile(robot):
    """The test robot's profile, read."""
    return load_robot_profile(robot)


@pytest.fixture
def tiny_policy():
    """A policy of the tiny bundle's shape with random weights."""
    torch.manual_seed(0)
    return Policy(policy_config(24, 4, 8))
