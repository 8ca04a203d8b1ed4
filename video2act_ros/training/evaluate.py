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
from video2act_ros.training.execution import Execution, OpenLoop, Streaming
from video2act_ros.training.motion_log import MotionLog, MotionQuality

CONTROL_PERIOD_S = 0.02


@dataclass(frozen=True, slots=True)
class Timing:
    """When each system starts and how long it takes [s]; multiples of the control period.

    `blocking` is the released robot script: both systems in turn, then the whole chunk open loop.
    """

    system1_period_s: float = 0.24
    system1_latency_s: float = 0.08
    system2_period_s: float = 0.4
    system2_latency_s: float = 0.12
    splice: str = "ensemble"
    average_decay: float = 0.8
    blind: bool = False
    blocking: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """One episode's end."""

    seed: int
    success: bool
    duration_s: float
    motion: MotionQuality


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
        self._arm = ~np.array([joint.gripper for joint in profile.joints])

    def run(self, seed: int) -> Outcome:
        """Run one episode from reset to success or time limit."""
        episode = self._episode
        episode.reset(seed)
        config = self._encoder.encoder.config
        history: FrameHistory[PreparedFrame] = FrameHistory(
            config.frame_period_s, config.window_frames, prepare=self._encoder.encoder.prepare_frame
        )
        execution, log = self._execution(), MotionLog(self._arm, CONTROL_PERIOD_S)
        frame_ticks = round(config.frame_period_s / CONTROL_PERIOD_S)
        waiting: list[_Pending] = []
        latents: LatentPair | None = None
        for tick in range(round(episode.task.time_limit_s / CONTROL_PERIOD_S)):
            now_ns = seconds_to_ns(tick * CONTROL_PERIOD_S)
            for pending in [item for item in waiting if item.due_ns <= now_ns]:
                waiting.remove(pending)
                if isinstance(pending.value, LatentPair):
                    latents = pending.value
                else:
                    execution.add(pending.value, now_ns)
            if tick % frame_ticks == 0:
                seen = self._observe(now_ns, wrist=False)
                history.add(CameraFrame(config.camera, now_ns, seen.images[config.camera]))
            waiting += self._infer(tick, history, latents, execution, busy=bool(waiting))
            command, measured = execution.command(now_ns), episode.joints()
            log.add(now_ns, command, measured, execution.observed_ns)
            if episode.step(command):
                break
        return Outcome(seed, episode.succeeded, (tick + 1) * CONTROL_PERIOD_S, log.quality())

    def _execution(self) -> Execution:
        timing, joints = self._timing, self._episode.joints()
        if timing.blocking:
            return OpenLoop(joints)
        return Streaming(self._profile, joints, CONTROL_PERIOD_S, timing.splice, timing.average_decay)

    def _infer(
        self,
        tick: int,
        history: FrameHistory[PreparedFrame],
        latents: LatentPair | None,
        execution: Execution,
        busy: bool,
    ) -> list[_Pending]:
        """Begin what is due at this tick; return it with the time when it will be ready."""
        timing, now_ns = self._timing, seconds_to_ns(tick * CONTROL_PERIOD_S)
        latency1_ns, latency2_ns = map(seconds_to_ns, (timing.system1_latency_s, timing.system2_latency_s))
        if timing.blocking:
            if busy or not execution.wants_chunk:
                return []
            chunk = self._act(self._observe(now_ns, wrist=True), self._look(history, tick), tick, execution)
            return [_Pending(now_ns + latency1_ns + latency2_ns, chunk)]
        begun: list[_Pending] = []
        if latents is not None and self._due(tick, timing.system1_period_s):
            chunk = self._act(self._observe(now_ns, wrist=True), latents, tick, execution)
            begun.append(_Pending(now_ns + latency1_ns, chunk))
        if self._due(tick, timing.system2_period_s):
            begun.append(_Pending(now_ns + latency2_ns, self._look(history, tick)))
        return begun

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

    def _act(
        self, observation: Observation, latents: LatentPair, tick: int, execution: Execution
    ) -> ActionChunk:
        language = self._policy.instructions[self._instruction]
        positions = self._policy.policy.predict(observation, latents, language)
        step_s = self._policy.section.policy.action_step_s
        return ActionChunk(observation.stamp_ns, tick, 0, step_s, self._profile.joint_names, positions)


def evaluate(loop: ClosedLoop, seeds: Iterable[int]) -> Iterator[Outcome]:
    """Yield the outcome of each seed's episode, in order."""
    torch.set_num_threads(1)
    for seed in seeds:
        yield loop.run(seed)
