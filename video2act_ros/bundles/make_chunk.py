"""A chunk of a loaded policy, with all that is needed to compute it again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.stages import Stages
from video2act_ros.core.types import ActionChunk, LatentPair, Observation
from video2act_ros.system1.realtime_chunking import Prefix

if TYPE_CHECKING:
    from video2act_ros.bundles.load import LoadedPolicy


@dataclass(frozen=True, slots=True)
class ChunkBasis:
    """What one chunk is computed from: nothing else shapes it, beside the policy.

    Args:
        observation: newest synchronised images and joints, with the instruction.
        latents: newest update of System 2.
        previous: the observation one control step earlier, for a policy that looks at two.
        prefix: what the leading actions shall be; None where the chunk begins freely.
        seed: of the sampler's noise.
    """

    observation: Observation
    latents: LatentPair
    previous: Observation | None
    prefix: Prefix | None
    seed: int

    def positions(self, loaded: LoadedPolicy, stages: Stages) -> NDArray[np.float64]:
        """Return the policy's chunk (H, J) float64 in policy units; `stages` takes the intermediate results."""
        return loaded.policy.predict(
            self.observation,
            self.latents,
            loaded.instructions[self.observation.instruction],
            seed=self.seed,
            previous=self.previous,
            prefix=self.prefix,
            stages=stages,
        )


def make_chunk(loaded: LoadedPolicy, basis: ChunkBasis, sequence: int, epoch: int) -> ActionChunk:
    """Return the chunk that the policy makes of `basis`, and what it was made of."""
    start_s, stages = time.monotonic(), Stages()
    positions = basis.positions(loaded, stages)
    section, cameras = loaded.section, loaded.section.policy.images.cameras
    observation, previous, prefix = basis.observation, basis.previous, basis.prefix
    no_rows = np.zeros((0, len(section.joint_names)))
    return ActionChunk(
        stamp_ns=observation.stamp_ns,
        sequence=sequence,
        epoch=epoch,
        step_s=section.policy.action_step_s,
        joint_names=section.joint_names,
        positions=positions,
        instruction=observation.instruction,
        bundle_id=loaded.bundle_id,
        features_id=section.features_id,
        seed=basis.seed,
        image_stamps_ns=_image_stamps_ns(observation, cameras),
        joint_stamp_ns=observation.joint_stamp_ns,
        joints=observation.joints,
        previous_image_stamps_ns=_image_stamps_ns(previous, cameras),
        previous_joint_stamp_ns=0 if previous is None else previous.joint_stamp_ns,
        previous_joints=np.zeros(0) if previous is None else previous.joints,
        latent_sequence=basis.latents.sequence,
        latent_stamp_ns=basis.latents.stamp_ns,
        compute_time_s=time.monotonic() - start_s,
        committed=0 if prefix is None else prefix.frozen,
        prefix=no_rows if prefix is None else prefix.frozen_positions,
        guidance=no_rows if prefix is None else prefix.positions,
        checksums=stages.checksums,
    )


def _image_stamps_ns(observation: Observation | None, cameras: tuple[str, ...]) -> tuple[int, ...]:
    return () if observation is None else tuple(observation.image_stamps_ns[name] for name in cameras)
