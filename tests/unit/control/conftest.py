"""A two-joint arm with a gripper, and chunks for it."""

import numpy as np
import pytest

from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import ActionChunk, JointSample, seconds_to_ns

NAMES = ("shoulder", "elbow", "gripper")


def ns(time_s):
    return seconds_to_ns(time_s)


def chunk(stamp_s, values, *, step_s=0.05, epoch=0, latent_s=None, names=NAMES, bundle_id="b", sequence=0):
    """Return a chunk whose every joint follows `values` (H,) or (H, J)."""
    values = np.asarray(values, dtype=np.float64)
    positions = values if values.ndim == 2 else np.repeat(values[:, None], len(names), axis=1)
    return ActionChunk(
        stamp_ns=ns(stamp_s),
        sequence=sequence,
        epoch=epoch,
        step_s=step_s,
        joint_names=names,
        positions=positions,
        image_stamps_ns=(ns(stamp_s),),
        latent_stamp_ns=ns(stamp_s if latent_s is None else latent_s),
        bundle_id=bundle_id,
    )


def joints(stamp_s, positions=(0.0, 0.0, 0.0)):
    return JointSample(stamp_ns=ns(stamp_s), positions=np.array(positions, dtype=np.float64))


@pytest.fixture
def profile():
    joint = {
        "position_min": -2.0,
        "position_max": 2.0,
        "velocity_max": 2.0,
        "acceleration_max": 8.0,
        "jerk_max": 2000.0,
        "start": 0.0,
    }
    gripper = joint | {
        "position_min": 0.0,
        "position_max": 0.04,
        "velocity_max": 0.08,
        "acceleration_max": 0.4,
    }
    return RobotProfile.model_validate(
        {
            "name": "test",
            "joints": [
                joint | {"name": "shoulder"},
                joint | {"name": "elbow"},
                gripper | {"name": "gripper", "gripper": True},
            ],
            "cameras": [{"name": "cam_high", "topic": "cam_high"}],
            "joint_states": [{"topic": "joint_states"}],
            "commands": [{"topic": "command", "type": "joint_trajectory", "joints": NAMES}],
            "thresholds": {
                "image_age_s": 0.3,
                "joint_state_age_s": 0.1,
                "latent_age_s": 1.0,
                "chunk_age_s": 0.5,
                "image_frozen_s": 0.5,
                "image_dark_s": 0.5,
                "frame_gap_s": 1.0,
                "tracking_error_rad": 0.5,
                "second_publisher_s": {"fault": 0.2},
                "camera_skew_s": 0.05,
            },
        }
    )


@pytest.fixture
def make_chunk():
    return chunk


@pytest.fixture
def make_joints():
    return joints
