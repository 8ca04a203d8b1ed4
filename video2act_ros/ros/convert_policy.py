"""Latents and action chunks to messages. The way back is `recording/decode`, which bags share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2act_msgs.msg import ActionChunk as ActionChunkMessage
from video2act_msgs.msg import Latents
from video2act_ros.core.errors import InputError
from video2act_ros.core.types import ActionChunk, FloatArray, LatentTokens, seconds_to_ns
from video2act_ros.recording.reading.decode import chunk_from_message as chunk_from_message
from video2act_ros.recording.reading.decode import from_bfloat16 as from_bfloat16
from video2act_ros.recording.reading.decode import latents_from_message as latents_from_message
from video2act_ros.recording.reading.decode import run_context_from_message as run_context_from_message
from video2act_ros.recording.reading.decode import store_latents
from video2act_ros.recording.reading.decode import to_bfloat16 as to_bfloat16
from video2act_ros.ros.convert import ns_to_duration, ns_to_stamp, set_bytes


def message_from_latents(latents: LatentTokens, dtype: str, frame_id: str) -> Latents:
    """Return one stream as a message whose numbers have `dtype`; the video model's own loses nothing.

    Raises:
        InputError: values that are not finite, or that `dtype` cannot hold.
    """
    tokens = np.ascontiguousarray(latents.tokens, dtype=np.float32)
    limit = 65504.0 if dtype == Latents.DTYPE_FLOAT16 else 3.3e38
    if not np.all(np.abs(tokens) <= limit):  # also false for NaN
        raise InputError(
            f"the {latents.stream.value} latents are not finite in {dtype}; check the bundle's weights"
        )
    stored = store_latents(tokens, dtype)
    message = Latents(
        sequence=latents.sequence,
        epoch=latents.epoch,
        stream=latents.stream.value,
        bundle_id=latents.bundle_id,
        features_id=latents.features_id,
        frame_stamps=[ns_to_stamp(stamp) for stamp in latents.frame_stamps_ns],
        instruction=latents.instruction,
        compute_time=ns_to_duration(seconds_to_ns(latents.compute_time_s)),
        shape=list(tokens.shape),
        dtype=dtype,
        stages=list(latents.checksums),
        checksums=list(latents.checksums.values()),
    )
    message.header.stamp = ns_to_stamp(latents.stamp_ns)
    message.header.frame_id = frame_id
    set_bytes(message, stored)
    return message


@dataclass(frozen=True, slots=True)
class InputAges:
    """Ages of a chunk's inputs when its inference started [s]; images in the bundle's camera order."""

    images_s: tuple[float, ...] = ()
    joints_s: float = 0.0
    latents_s: float = 0.0


def message_from_chunk(chunk: ActionChunk, ages: InputAges, frame_id: str = "") -> ActionChunkMessage:
    """Return a chunk as a message."""
    message = ActionChunkMessage(
        sequence=chunk.sequence,
        epoch=chunk.epoch,
        image_stamps=[ns_to_stamp(stamp) for stamp in chunk.image_stamps_ns],
        joint_stamp=ns_to_stamp(chunk.joint_stamp_ns),
        joint_positions=_flat(chunk.joints),
        previous_image_stamps=[ns_to_stamp(stamp) for stamp in chunk.previous_image_stamps_ns],
        previous_joint_stamp=ns_to_stamp(chunk.previous_joint_stamp_ns),
        previous_joint_positions=_flat(chunk.previous_joints),
        latent_sequence=chunk.latent_sequence,
        latent_stamp=ns_to_stamp(chunk.latent_stamp_ns),
        features_id=chunk.features_id,
        instruction=chunk.instruction,
        step=chunk.step_s,
        joint_names=list(chunk.joint_names),
        horizon=len(chunk.positions),
        positions=_flat(chunk.positions),
        committed=chunk.committed,
        prefix=_flat(chunk.prefix),
        guidance=_flat(chunk.guidance),
        bundle_id=chunk.bundle_id,
        seed=chunk.seed,
        compute_time=ns_to_duration(seconds_to_ns(chunk.compute_time_s)),
        image_ages=list(ages.images_s),
        joint_age=ages.joints_s,
        latent_age=ages.latents_s,
        stages=list(chunk.checksums),
        checksums=list(chunk.checksums.values()),
    )
    message.header.stamp = ns_to_stamp(chunk.stamp_ns)
    message.header.frame_id = frame_id
    return message


def _flat(values: FloatArray) -> list[float]:
    return np.asarray(values, dtype=np.float64).ravel().tolist()
