"""Closed-loop evaluation in lock-step: both systems at their own rates and latencies, without the wall clock.

The same frame history, encoder, policy, timeline and limiter as on the robot; only time is simulated, so a
result depends on the seeds alone and not on the machine's load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from video2act_ros.bundles.load import LoadedEncoder, LoadedPolicy
from video2act_ros.control.limiter import JointLimits, Limiter
from video2act_ros.control.timeline import Timeline
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import (
    ActionChunk,
    CameraFrame,
    LatentPair,
    LatentStream,
    LatentTokens,
    Observation,
    seconds_to_ns,
)
from video2act_ros.sim.episode import SimEpisode
from video2act_ros.system2.encoder import PreparedFrame
from video2act_ros.system2.frame_history import FrameHistory

CONTROL_PERIOD_S = 0.02


@dataclass(frozen=True, slots=True)
class Timing:
    """When each system starts and how long it takes [s]; multiples of the control period."""

    system1_period_s: float = 0.24
    system1_latency_s: float = 0.08
    system2_period_s: float = 0.4
    system2_latency_s: float = 0.12
    splice: str = "ensemble"
    average_decay: float = 0.8
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """One episode's end."""

    seed: int
    success: bool
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Pending:
    due_ns: int
    value: LatentPair | ActionChunk


class ClosedLoop:
    """Runs episodes of one simulated robot under one policy and one encoder."""

    def __init__(
        self,
        episode: SimEpisode,
        profile: RobotProfile,
        policy: LoadedPolicy,
        encoder: LoadedEncoder,
        timing: Timing,
        instruction: str,
    ) -> None:
        self._episode, self._profile, self._timing = episode, profile, timing
        self._policy, self._encoder = policy, encoder
        self._instruction = instruction

    def run(self, seed: int) -> Outcome:
        """Run one episode from reset to success or time limit."""
        episode, timing = self._episode, self._timing
        episode.reset(seed)
        config = self._encoder.encoder.config
        history: FrameHistory[PreparedFrame] = FrameHistory(
            config.frame_period_s, config.window_frames, prepare=self._encoder.encoder.prepare_frame
        )
        timeline = Timeline(self._profile.joint_names, timing.splice, timing.average_decay)
        limiter = Limiter(JointLimits.of(self._profile), CONTROL_PERIOD_S)
        limiter.reset(episode.joints())
        frame_ticks = round(config.frame_period_s / CONTROL_PERIOD_S)
        ticks = round(episode.task.time_limit_s / CONTROL_PERIOD_S)
        waiting: list[_Pending] = []
        latents: LatentPair | None = None
        for tick in range(ticks):
            now_ns = seconds_to_ns(tick * CONTROL_PERIOD_S)
            for pending in [item for item in waiting if item.due_ns <= now_ns]:
                waiting.remove(pending)
                if isinstance(pending.value, LatentPair):
                    latents = pending.value
                else:
                    timeline.add(pending.value, now_ns)
            acts = latents is not None and self._due(tick, timing.system1_period_s)
            if acts or tick % frame_ticks == 0:
                observation = self._observe(now_ns, wrist=acts)
                if tick % frame_ticks == 0:
                    history.add(CameraFrame(config.camera, now_ns, observation.images[config.camera]))
                if acts and latents is not None:
                    chunk = self._act(observation, latents, tick)
                    waiting.append(_Pending(now_ns + seconds_to_ns(timing.system1_latency_s), chunk))
            if self._due(tick, timing.system2_period_s):
                pair = self._look(history, tick)
                waiting.append(_Pending(now_ns + seconds_to_ns(timing.system2_latency_s), pair))
            target = timeline.sample(now_ns)
            if episode.step(limiter.step(target).positions):
                break
        return Outcome(seed, episode.succeeded, (tick + 1) * CONTROL_PERIOD_S)

    def _due(self, tick: int, period_s: float) -> bool:
        return tick % round(period_s / CONTROL_PERIOD_S) == 0

    def _observe(self, now_ns: int, wrist: bool) -> Observation:
        cameras = (
            self._policy.section.policy.images.cameras if wrist else (self._encoder.encoder.config.camera,)
        )
        seen = self._episode.observe(cameras)
        stamps = dict.fromkeys(seen.images, now_ns)
        return Observation(now_ns, seen.images, stamps, seen.joints, now_ns, self._instruction)

    def _look(self, history: FrameHistory[PreparedFrame], tick: int) -> LatentPair:
        window = history.window()
        assert window is not None  # the first frame is added at tick 0
        text = self._encoder.instructions[self._instruction]
        features = self._encoder.encoder.update_prepared(window.images, text)
        section = self._encoder.section
        spatial, motion = (
            LatentTokens(
                stream,
                window.stamp_ns,
                tick,
                0,
                np.zeros_like(features[stream]) if self._timing.blind else features[stream],
                section.features_id,
                self._encoder.bundle_id,
                window.stamps_ns,
                self._instruction,
            )
            for stream in (LatentStream.SPATIAL, LatentStream.MOTION)
        )
        return LatentPair(spatial, motion)

    def _act(self, observation: Observation, latents: LatentPair, tick: int) -> ActionChunk:
        language = self._policy.instructions[self._instruction]
        positions = self._policy.policy.predict(observation, latents, language)
        step_s = self._policy.section.policy.action_step_s
        return ActionChunk(observation.stamp_ns, tick, 0, step_s, self._profile.joint_names, positions)


def evaluate(loop: ClosedLoop, seeds: Iterable[int]) -> Iterator[Outcome]:
    """Yield the outcome of each seed's episode, in order."""
    torch.set_num_threads(1)
    for seed in seeds:
        yield loop.run(seed)
