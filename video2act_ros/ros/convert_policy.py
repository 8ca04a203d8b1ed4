"""Latents and action chunks to messages and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video2act_msgs.msg import ActionChunk as ActionChunkMessage
from video2act_msgs.msg import Latents, RunState
from video2act_ros.core.errors import InputError
from video2act_ros.core.run_context import RunContext
from video2act_ros.core.types import ActionChunk, LatentStream, LatentTokens
from video2act_ros.ros.convert import duration_to_s, ns_to_stamp, s_to_duration, set_bytes, stamp_to_ns

_STORAGE = {Latents.DTYPE_FLOAT16: "<f2", Latents.DTYPE_BFLOAT16: "<u2", Latents.DTYPE_FLOAT32: "<f4"}


def to_bfloat16(values: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return the bfloat16 bit patterns of finite values, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(
        np.uint16
    )


def from_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the values of bfloat16 bit patterns."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


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
    stored = to_bfloat16(tokens) if dtype == Latents.DTYPE_BFLOAT16 else tokens.astype(_STORAGE[dtype])
    message = Latents(
        sequence=latents.sequence,
        epoch=latents.epoch,
        stream=latents.stream.value,
        bundle_id=latents.bundle_id,
        features_id=latents.features_id,
        frame_stamps=[ns_to_stamp(stamp) for stamp in latents.frame_stamps_ns],
        instruction=latents.instruction,
        compute_time=s_to_duration(latents.compute_time_s),
        shape=list(tokens.shape),
        dtype=dtype,
    )
    message.header.stamp = ns_to_stamp(latents.stamp_ns)
    message.header.frame_id = frame_id
    set_bytes(message, stored)
    return message


def latents_from_message(message: Latents) -> LatentTokens:
    """Return a message's stream with (N, C) float32 tokens.

    Raises:
        InputError: the stream, dtype or size is not what the fields say, or values are not finite.
    """
    shape = tuple(int(size) for size in message.shape)
    if message.dtype not in _STORAGE:
        raise InputError(f"latents have the dtype '{message.dtype}'; supported are {', '.join(_STORAGE)}")
    if message.stream not in [stream.value for stream in LatentStream]:
        raise InputError(f"unknown latent stream '{message.stream}'; known are spatial and motion")
    storage = np.dtype(_STORAGE[message.dtype])
    if len(shape) != 2 or len(message.data) != storage.itemsize * shape[0] * shape[1]:
        raise InputError(f"latents of shape {shape} in {message.dtype} cannot have {len(message.data)} bytes")
    raw = np.frombuffer(message.data, dtype=storage).reshape(shape)
    tokens = from_bfloat16(raw) if message.dtype == Latents.DTYPE_BFLOAT16 else raw.astype(np.float32)
    if not np.all(np.isfinite(tokens)):
        raise InputError(
            f"the {message.stream} latents contain NaN or infinite values; check System 2's bundle"
        )
    return LatentTokens(
        stream=LatentStream(message.stream),
        stamp_ns=stamp_to_ns(message.header.stamp),
        sequence=int(message.sequence),
        epoch=int(message.epoch),
        tokens=tokens,
        features_id=message.features_id,
        bundle_id=message.bundle_id,
        frame_stamps_ns=tuple(stamp_to_ns(stamp) for stamp in message.frame_stamps),
        instruction=message.instruction,
        compute_time_s=duration_to_s(message.compute_time),
    )


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
        latent_sequence=chunk.latent_sequence,
        latent_stamp=ns_to_stamp(chunk.latent_stamp_ns),
        features_id=chunk.features_id,
        instruction=chunk.instruction,
        step=chunk.step_s,
        joint_names=list(chunk.joint_names),
        horizon=len(chunk.positions),
        positions=np.asarray(chunk.positions, dtype=np.float64).ravel().tolist(),
        committed=chunk.committed,
        prefix=np.asarray(chunk.prefix, dtype=np.float64).ravel().tolist(),
        bundle_id=chunk.bundle_id,
        seed=chunk.seed,
        compute_time=s_to_duration(chunk.compute_time_s),
        image_ages=list(ages.images_s),
        joint_age=ages.joints_s,
        latent_age=ages.latents_s,
    )
    message.header.stamp = ns_to_stamp(chunk.stamp_ns)
    message.header.frame_id = frame_id
    return message


def chunk_from_message(message: ActionChunkMessage) -> ActionChunk:
    """Return a message's chunk.

    Raises:
        InputError: sizes do not agree, or positions are not finite.
    """
    joints, horizon = len(message.joint_names), int(message.horizon)
    positions = np.asarray(message.positions, dtype=np.float64)
    prefix = np.asarray(message.prefix, dtype=np.float64)
    committed = int(message.committed)
    if not joints or not horizon or positions.size != horizon * joints or prefix.size != committed * joints:
        raise InputError(
            f"an action chunk of {horizon} actions for {joints} joints cannot have {positions.size} positions "
            f"and {prefix.size} prefix values ({committed} committed)"
        )
    if not np.all(np.isfinite(positions)):
        raise InputError("an action chunk contains NaN or infinite positions; check System 1's bundle")
    return ActionChunk(
        stamp_ns=stamp_to_ns(message.header.stamp),
        sequence=int(message.sequence),
        epoch=int(message.epoch),
        step_s=message.step,
        joint_names=tuple(message.joint_names),
        positions=positions.reshape(horizon, joints),
        instruction=message.instruction,
        bundle_id=message.bundle_id,
        features_id=message.features_id,
        seed=int(message.seed),
        image_stamps_ns=tuple(stamp_to_ns(stamp) for stamp in message.image_stamps),
        joint_stamp_ns=stamp_to_ns(message.joint_stamp),
        latent_sequence=int(message.latent_sequence),
        latent_stamp_ns=stamp_to_ns(message.latent_stamp),
        compute_time_s=duration_to_s(message.compute_time),
        committed=committed,
        prefix=prefix.reshape(committed, joints),
    )


def run_context_from_message(message: RunState) -> RunContext:
    """Return what the model nodes need of a run state."""
    return RunContext(
        epoch=int(message.epoch),
        epoch_stamp_ns=stamp_to_ns(message.epoch_stamp),
        episode=int(message.episode),
        episode_stamp_ns=stamp_to_ns(message.episode_stamp),
        instruction=message.instruction,
    )
