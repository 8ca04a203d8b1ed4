"""The control loop: newest chunks and joint states in, one joint command per tick out."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video2act_ros.control.limiter import JointLimits, Limiter
from video2act_ros.control.run_state import RunState
from video2act_ros.control.status import LoopMetrics, LoopStatus
from video2act_ros.control.timeline import FUTURE_TOLERANCE_S, Refusal, Timeline
from video2act_ros.control.watchdog import InputAges, Watchdog
from video2act_ros.core.errors import InputError
from video2act_ros.core.motion import MotionState
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import NS_PER_S, ActionChunk, JointSample, RunMode, seconds_to_ns

Vector = NDArray[np.float64]
REST_STEP_S = 60.0  # longer than any braking: only its end is sent
REMEASURE_RAD = 0.3  # after a reset the arm may stand elsewhere; more than any tracking error


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """How the loop runs: tick period, splicing, and how far away the first command may be."""

    period_s: float
    splice: str = "average"
    average_decay: float = 0.8
    blend_s: float = 0.08
    reach_rad: float = 0.5
    first_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """One set-point for the arm: (J,) float64 positions and velocities in policy units.

    From there the arm can come to rest at `rest_positions` (J,) within `rest_after_s`, inside all limits.
    """

    stamp_ns: int
    positions: Vector
    velocities: Vector
    rest_positions: Vector
    rest_after_s: float


class ControlLoop:
    """Composes timeline, watchdog, run state and limiter; driven by explicit time.

    `on_chunk`, `on_joints` and the requests come from callback threads, `tick` from the control thread.
    One lock, held for well under a millisecond and never over input or output, guards all of it.
    """

    def __init__(self, profile: RobotProfile, settings: ControlSettings) -> None:
        self._profile = profile
        self._settings = settings
        self._period_ns = seconds_to_ns(settings.period_s)  # a command is due one period after its tick
        self._arm = ~np.array([joint.gripper for joint in profile.joints])
        self._lock = threading.Lock()
        self._standing = threading.Event()
        self._standing.set()
        self._timeline = Timeline(
            profile.joint_names,
            settings.splice,
            settings.average_decay,
            settings.blend_s,
            settings.first_epoch,
        )
        self._limiter = Limiter(JointLimits.of(profile), settings.period_s)
        self._watchdog = Watchdog(profile.thresholds)
        self._state = RunState(settings.first_epoch)
        self._joints: JointSample | None = None
        self._bundles: dict[str, str] = {}  # what each system runs
        self._instruction = ""
        self._now_ns: int | None = None
        self._reset_ns: int | None = None  # a new episode began; the pose may have changed
        self._used_stamp_ns: int | None = None  # newest chunk that a command depends on
        self._would_be: Command | None = None
        self.metrics = LoopMetrics()

    def start(self, now_ns: int) -> None:
        """Go from idle to shadow with fresh measurements, in a new episode."""
        with self._lock:
            self._begin_episode(now_ns)
            self.metrics = LoopMetrics()
            self._state.start()

    def stop(self) -> None:
        """Go idle; `disengage` and `wait_until_standing` first."""
        with self._lock:
            self._state.stop()
            self._standing.set()

    def on_joints(self, sample: JointSample) -> None:
        """Take the newest measured pose; a sample of the wrong size is an InputError."""
        if sample.positions.shape != (len(self._profile.joints),):
            raise InputError(
                f"a joint sample needs {len(self._profile.joints)} positions, got {sample.positions.shape}"
            )
        with self._lock:
            self._joints = sample

    def on_chunk(self, chunk: ActionChunk, now_ns: int) -> Refusal | None:
        """Splice a chunk in; return None, or the reason why it is refused."""
        with self._lock:
            refusal = self._timeline.add(chunk, now_ns)
            if refusal is None:
                refusal = self._follow_bundle("system1", chunk.bundle_id, now_ns)
            if refusal is not None:
                self.metrics.chunks_refused += 1
                return refusal
            self.metrics.chunks_accepted += 1
            return None

    def on_bundle(self, system: str, bundle_id: str, now_ns: int) -> bool:
        """Take which bundle `system` runs; return whether it is another one, so that a new epoch began."""
        with self._lock:
            return self._follow_bundle(system, bundle_id, now_ns) is not None

    def engage(self, now_ns: int) -> tuple[str, ...]:
        """Take the arm from its measured pose, or return every reason why not.

        It holds there until the first chunk of the new epoch arrives.
        """
        with self._lock:
            was_sending = self._state.sending
            refusals = self._state.engage(self._problems(now_ns) + self._out_of_reach(now_ns), now_ns)
            if refusals or self._state.epoch == self._timeline.epoch:
                return refusals
            self._timeline.raise_epoch(self._state.epoch, now_ns)
            if not was_sending and self._joints is not None:
                self._limiter.reset(self._joints.positions)
            self._standing.clear()
            self._reset_ns = None
            return ()

    def disengage(self) -> None:
        """Brake within the limits, then send nothing more."""
        with self._lock:
            self._state.disengage()

    def fault(self, reason: str) -> None:
        """Brake and hold until engaged anew."""
        with self._lock:
            self._state.fault(reason)

    def new_episode(self, now_ns: int) -> int:
        """Forget all chunks; an engaged arm holds, from where it is measured next. Return the epoch."""
        with self._lock:
            return self._begin_episode(now_ns)

    def set_instruction(self, instruction: str, now_ns: int) -> int:
        """Change what System 1 is asked to do; nothing planned for another instruction is executed."""
        with self._lock:
            if instruction != self._instruction:
                self._instruction = instruction
                self._timeline.raise_epoch(self._state.raise_epoch(now_ns), now_ns)
            return self._state.epoch

    def wait_until_standing(self, timeout_s: float) -> bool:
        """Block until no command is sent any more (see `disengage`); False when that takes too long."""
        return self._standing.wait(timeout_s)

    def would_be(self) -> Command | None:
        """Return what this tick would have sent had the loop been engaged; None unless in shadow."""
        with self._lock:
            return self._would_be

    def status(self, now_ns: int) -> LoopStatus:
        """Return the run state and the ages of the inputs at `now_ns`."""
        with self._lock:
            newest = self._timeline.newest
            horizon_s = 0.0 if newest is None else max((newest.end_ns - now_ns) / NS_PER_S, 0.0)
            ages = InputAges.at(now_ns, newest, self._joints)
            state = self._state
            return LoopStatus(
                mode=state.mode,
                reason=state.reason,
                epoch=state.epoch,
                epoch_stamp_ns=state.epoch_stamp_ns,
                episode=state.episode,
                episode_stamp_ns=state.episode_stamp_ns,
                instruction=self._instruction,
                version=state.version,
                ages=ages,
                execution_horizon_s=horizon_s,
                sending=state.sending,
            )

    def tick(self, now_ns: int) -> Command | None:
        """Return the command for this tick, or None while idle or in shadow, when nothing is sent."""
        with self._lock:
            if self._now_ns is not None and now_ns < self._now_ns - seconds_to_ns(FUTURE_TOLERANCE_S):
                self._joints = None
                self._begin_episode(now_ns)
            self._now_ns = now_ns
            self._would_be = None
            if self._state.mode is RunMode.IDLE:
                return None
            target = self._timeline.sample(now_ns + self._period_ns)
            problems = self._problems(now_ns)
            if target is None and not problems:
                problems = ("the newest chunk is used up; check System 1's rate",)
            self._state.update(problems, self._limiter.stopped)
            if not self._state.sending:
                self._standing.set()
                self._would_be = None if problems or target is None else self._shadow(now_ns, target)
                return None
            return self._drive(now_ns, target)

    def _drive(self, now_ns: int, target: Vector | None) -> Command:
        """Step the limiter towards the target, or to a hold unless engaged."""
        engaged = self._state.mode is RunMode.ENGAGED
        if engaged:
            self._measure(now_ns)
        else:
            self._remeasure()
        wanted = self._motion(now_ns, target) if engaged and target is not None else None
        state = self._limiter.step(wanted)
        way = self._limiter.braking(REST_STEP_S)
        rest_after_s, rest = way[-1] if way else (0.0, state)
        return Command(now_ns, state.positions, state.velocities, rest.positions, rest_after_s)

    def _motion(self, now_ns: int, target: Vector) -> MotionState:
        """Return the target due one period after `now_ns` with its rates, from the samples about it."""
        period_s = self._settings.period_s
        before = self._timeline.sample(now_ns)
        after = self._timeline.sample(now_ns + 2 * self._period_ns)
        before = target if before is None else before
        after = 2.0 * target - before if after is None else after
        velocities = (after - before) / (2.0 * period_s)
        return MotionState(target, velocities, (after - 2.0 * target + before) / period_s**2)

    def _shadow(self, now_ns: int, target: Vector) -> Command:
        previous = self._timeline.sample(now_ns)
        velocities = (
            np.zeros_like(target) if previous is None else (target - previous) / self._settings.period_s
        )
        return Command(now_ns, target, velocities, target, 0.0)

    def _problems(self, now_ns: int) -> tuple[str, ...]:
        return self._watchdog.check(InputAges.at(now_ns, self._timeline.newest, self._joints))

    def _out_of_reach(self, now_ns: int) -> tuple[str, ...]:
        """Name the arm joints whose first command lies too far from the measured pose (grippers may jump)."""
        target = self._timeline.sample(now_ns)
        if target is None or self._joints is None:
            return ()
        distance = np.where(self._arm, np.abs(target - self._joints.positions), 0.0)
        far = [
            f"{name} by {gap:.2f}"
            for name, gap in zip(self._profile.joint_names, distance, strict=True)
            if gap > self._settings.reach_rad
        ]
        if not far:
            return ()
        limit = f"first command further than {self._settings.reach_rad:g} rad from the measured pose"
        return (f"{limit}: {', '.join(far)}; bring the arm to its start pose",)

    def _follow_bundle(self, system: str, bundle_id: str, now_ns: int) -> Refusal | None:
        """Begin a new epoch when `system` runs another bundle than before; say so."""
        before, self._bundles[system] = self._bundles.get(system, bundle_id), bundle_id
        if before == bundle_id:
            return None
        self._timeline.raise_epoch(self._state.raise_epoch(now_ns), now_ns)
        return Refusal(f"bundle '{bundle_id}' replaces '{before}': a new epoch began", routine=True)

    def _begin_episode(self, now_ns: int) -> int:
        self._reset_ns = now_ns
        epoch = self._state.begin_episode(now_ns)
        self._timeline.raise_epoch(epoch, now_ns)
        return epoch

    def _remeasure(self) -> None:
        """After a new episode, hold where the arm stands now if it was put elsewhere (a reset simulation)."""
        joints = self._joints
        if self._reset_ns is None or joints is None or joints.stamp_ns <= self._reset_ns:
            return
        if np.any(np.abs(joints.positions - self._limiter.positions)[self._arm] > REMEASURE_RAD):
            self._limiter.reset(joints.positions)

    def _measure(self, now_ns: int) -> None:
        self._reset_ns = None
        newest = self._timeline.newest
        if newest is None:
            return
        self.metrics.observation_age_s.add((now_ns - newest.stamp_ns) / NS_PER_S)
        if newest.latent_stamp_ns:
            self.metrics.latent_age_s.add((now_ns - newest.latent_stamp_ns) / NS_PER_S)
        if newest.stamp_ns != self._used_stamp_ns:
            self._used_stamp_ns = newest.stamp_ns
            self.metrics.reaction_s.add((now_ns - newest.stamp_ns) / NS_PER_S)
