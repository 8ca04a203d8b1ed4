"""Messages to the project's types: stamps, joints, latents, chunks, run states. Images: `decode_images`.

The live nodes and bags share these: they read attributes only, so that rclpy's messages and rosbags' serve alike.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import InputError
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.run_context import RunContext
from video2act_ros.core.types import (
    NS_PER_S,
    ActionChunk,
    FloatArray,
    JointSample,
    LatentStream,
    LatentTokens,
)

Message = Any
"""A message of rclpy's or of rosbags' classes, which share no type."""

LATENT_STORAGE = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4"}
"""How each `dtype` of a Latents message lies in its bytes."""


def stamp_to_ns(stamp: Message) -> int:
    """Return a ROS time in nanoseconds."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def duration_to_s(duration: Message) -> float:
    """Return a ROS duration in seconds."""
    return float(duration.sec + duration.nanosec / NS_PER_S)


def to_bfloat16(values: FloatArray) -> NDArray[np.uint16]:
    """Return the bfloat16 bit patterns of finite values, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(
        np.uint16
    )


def from_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the values of bfloat16 bit patterns."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def store_latents(tokens: FloatArray, dtype: str) -> NDArray[Any]:
    """Return tokens (N, C) as the numbers of a Latents message of `dtype`; bfloat16 as its bit patterns."""
    return to_bfloat16(tokens) if dtype == "bfloat16" else tokens.astype(LATENT_STORAGE[dtype])


def restore_latents(stored: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """Return what `store_latents` stored as float32."""
    return from_bfloat16(stored) if dtype == "bfloat16" else stored.astype(np.float32)


def latents_from_message(message: Message) -> LatentTokens:
    """Return a message's stream with (N, C) float32 tokens.

    Raises:
        InputError: the stream, dtype or size is not what the fields say, or values are not finite.
    """
    shape = tuple(int(size) for size in message.shape)
    if message.dtype not in LATENT_STORAGE:
        raise InputError(
            f"latents have the dtype '{message.dtype}'; supported are {', '.join(LATENT_STORAGE)}"
        )
    if message.stream not in [stream.value for stream in LatentStream]:
        raise InputError(f"unknown latent stream '{message.stream}'; known are spatial and motion")
    storage = np.dtype(LATENT_STORAGE[message.dtype])
    if len(shape) != 2 or len(message.data) != storage.itemsize * shape[0] * shape[1]:
        raise InputError(f"latents of shape {shape} in {message.dtype} cannot have {len(message.data)} bytes")
    raw = np.frombuffer(message.data, dtype=storage).reshape(shape)
    tokens = restore_latents(raw, message.dtype)
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
        checksums=_checksums(message),
    )


def _checksums(message: Message) -> dict[str, int]:
    return {stage: int(value) for stage, value in zip(message.stages, message.checksums, strict=False)}


def chunk_from_message(message: Message) -> ActionChunk:
    """Return a message's chunk.

    Raises:
        InputError: sizes do not agree, or positions are not finite.
    """
    joints, horizon = len(message.joint_names), int(message.horizon)
    positions = np.asarray(message.positions, dtype=np.float64)
    prefix = np.asarray(message.prefix, dtype=np.float64)
    committed = int(message.committed)
    guidance = np.array(message.guidance, dtype=np.float64)
    if not joints or not horizon or positions.size != horizon * joints or prefix.size != committed * joints:
        raise InputError(
            f"an action chunk of {horizon} actions for {joints} joints cannot have {positions.size} positions "
            f"and {prefix.size} prefix values ({committed} committed)"
        )
    if guidance.size % joints:
        raise InputError(f"an action chunk for {joints} joints cannot have {guidance.size} guidance values")
    if not np.all(np.isfinite(positions)):
        raise InputError("an action chunk contains NaN or infinite positions; check System 1's bundle")
    return ActionChunk(
        stamp_ns=stamp_to_ns(message.header.stamp),
        sequence=int(message.sequence),
        epoch=int(message.epoch),
        step_s=float(message.step),
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
        guidance=guidance.reshape(-1, joints),
        joints=np.array(message.joint_positions, dtype=np.float64),
        previous_image_stamps_ns=tuple(stamp_to_ns(stamp) for stamp in message.previous_image_stamps),
        previous_joint_stamp_ns=stamp_to_ns(message.previous_joint_stamp),
        previous_joints=np.array(message.previous_joint_positions, dtype=np.float64),
        checksums=_checksums(message),
    )


def run_context_from_message(message: Message) -> RunContext:
    """Return what the model nodes need of a run state."""
    return RunContext(
        epoch=int(message.epoch),
        epoch_stamp_ns=stamp_to_ns(message.epoch_stamp),
        episode=int(message.episode),
        episode_stamp_ns=stamp_to_ns(message.episode_stamp),
        instruction=message.instruction,
    )


def check_joint_state(message: Message, joints: Collection[str], topic: str) -> None:
    """Check a JointState of a topic, of which some joints are ours, by the driver's names.

    Raises:
        InputError: names and positions differ in length, or one of our positions is not finite.
    """
    if len(message.name) != len(message.position):
        raise InputError(
            f"'{topic}' carries {len(message.name)} names and {len(message.position)} positions; "
            "check the joint_states source"
        )
    given = dict(zip(message.name, message.position, strict=True))
    if broken := [name for name in joints if not np.isfinite(given[name])]:
        raise InputError(
            f"'{topic}' gives NaN or infinite positions for {', '.join(sorted(broken))}; check the arm's driver"
        )


class JointStateMerger:
    """Joins the JointState topics of a robot profile into samples in the profile's joint order. One thread."""

    def __init__(self, profile: RobotProfile) -> None:
        self._profile = profile
        count = len(profile.joints)
        self._positions = np.full(count, np.nan)  # robot units
        self._velocities = np.full(count, np.nan)
        self._stamps_ns = np.zeros(count, dtype=np.int64)
        self._seen: dict[int, tuple[str, ...]] = {}  # the names that each source carried last

    @property
    def missing(self) -> tuple[str, ...]:
        """Joints that no message has carried yet."""
        unknown = np.isnan(self._positions)
        return tuple(name for name, gone in zip(self._profile.joint_names, unknown, strict=True) if gone)

    @property
    def gaps(self) -> tuple[str, ...]:
        """Why joints are missing, in words: one text for each topic that should carry some of them."""
        missing, texts = self.missing, []
        for index, (source, carried) in enumerate(
            zip(self._profile.joint_states, self._profile.carried_joints, strict=True)
        ):
            wanted = [joint for joint in carried if joint in missing]
            theirs = ", ".join(source.names.get(joint, joint) for joint in wanted)
            if wanted and index not in self._seen:
                text = f"no message on {source.topic} has carried {theirs} yet; start the arm's driver, "
                texts.append(f"{text}or correct joint_states[{index}].topic in the robot profile")
            elif wanted:
                seen = ", ".join(self._seen[index]) or "no joints"
                text = f"{source.topic} carries {seen}, but not {theirs}; start this robot's driver, "
                texts.append(
                    f"{text}or correct joint_states[{index}].names (ours: theirs) in the robot profile"
                )
        return tuple(texts)

    def passes_over(self, source_index: int, message: Message) -> bool:
        """Return whether a message has no joint of the profile, as those of a base's wheels on a shared topic.

        It is no mistake: another message may carry ours. Where none does, `gaps` tells what came instead.
        """
        source = self._profile.joint_states[source_index]
        wanted = {source.names.get(joint, joint) for joint in self._profile.joint_names}
        if wanted & set(message.name) or len(message.name) != len(message.position):
            return False
        self._seen.setdefault(source_index, tuple(message.name))
        return True

    def clear(self) -> None:
        """Forget every value."""
        self._positions[:] = np.nan
        self._velocities[:] = np.nan
        self._stamps_ns[:] = 0

    def update(self, source_index: int, message: Message, now_ns: int) -> JointSample | None:
        """Take a message of one source; return a sample in policy units once every joint is known.

        Its stamp is the oldest of its parts'. A message without a stamp counts as measured at `now_ns`.

        Raises:
            InputError: names and positions differ in length, no joint is ours, or a value is not finite.
        """
        source = self._profile.joint_states[source_index]
        if len(message.name) != len(message.position):
            raise InputError(
                f"'{source.topic}' carries {len(message.name)} names and {len(message.position)} positions; "
                "check the joint_states source"
            )
        self._seen[source_index] = tuple(message.name)
        found = self._profile.order(list(message.name), source)
        ours = np.array([self._profile.joint_names.index(name) for name in found])
        theirs = np.fromiter(found.values(), dtype=np.int64)
        positions = np.asarray(message.position, dtype=np.float64)[theirs]
        if not np.all(np.isfinite(positions)):
            broken = [name for name, value in zip(found, positions, strict=True) if not np.isfinite(value)]
            raise InputError(
                f"'{source.topic}' gives NaN or infinite positions for {', '.join(broken)}; check the arm's driver"
            )
        self._positions[ours] = positions
        has_velocities = len(message.velocity) == len(message.name)
        self._velocities[ours] = np.asarray(message.velocity)[theirs] if has_velocities else np.nan
        self._stamps_ns[ours] = stamp_to_ns(message.header.stamp) or now_ns
        return None if self.missing else self._sample()

    def _sample(self) -> JointSample:
        zero = self._profile.to_policy(np.zeros_like(self._positions))
        velocities = self._profile.to_policy(self._velocities) - zero  # rates have no offset
        return JointSample(
            int(self._stamps_ns.min()),
            self._profile.to_policy(self._positions),
            velocities if np.all(np.isfinite(velocities)) else None,
            self._stamps_ns.copy(),
        )
