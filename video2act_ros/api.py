"""The package's public entry points, free of ROS (docs/api.md); these names and their arguments stay."""

from __future__ import annotations

from collections.abc import Mapping

from video2act_ros.bundles.load import LoadedEncoder, LoadedPolicy, load_encoder, load_policy
from video2act_ros.bundles.manifest import Manifest, read_manifest
from video2act_ros.bundles.verify_reference import Verdict, verify_folder
from video2act_ros.core.types import FloatArray, LatentPair, LatentStream, LatentTokens, Observation
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.policy import Policy
from video2act_ros.system1.vision import siglip_weights
from video2act_ros.system2.config import VideoEncoderConfig
from video2act_ros.system2.encoder import VideoEncoder
from video2act_ros.system2.extraction import extract
from video2act_ros.system2.wan_weights import merge_lora

__all__ = [
    "LatentPair",
    "LatentStream",
    "LoadedEncoder",
    "LoadedPolicy",
    "Manifest",
    "Observation",
    "Policy",
    "PolicyConfig",
    "Verdict",
    "VideoEncoder",
    "VideoEncoderConfig",
    "extract",
    "latent_pair",
    "load_encoder",
    "load_policy",
    "merge_lora",
    "read_manifest",
    "siglip_weights",
    "verify_folder",
]


def latent_pair(features: Mapping[LatentStream, FloatArray]) -> LatentPair:
    """Return what `Policy.predict` takes, of `VideoEncoder.update`'s (N, C) tokens of both streams."""
    streams = (LatentStream.SPATIAL, LatentStream.MOTION)
    return LatentPair(
        *(LatentTokens(stream, 0, 0, 0, features[stream], "", "", (), "") for stream in streams)
    )
