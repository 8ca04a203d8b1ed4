"""The control loop: newest chunks and joint states in, one joint command per tick out."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from video2act_ros.control.chunk_check import Refusal
from video2act_ros.control.command import Command
from video2act_ros.control.plausibility import SecondPublisher
from video2act_ros.control.run_state import Source
from video2act_ros.control.status import LoopMetrics, LoopStatus
from video2act_ros.control.supervisor import ControlSettings, Supervisor
from video2act_ros.control.watchdog import InputAges
from video2act_ros.core.errors import InputError
from video2act_ros.core.input_report import InputReport
from video2act_ros.core.motion import Vector
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.safe_source import SAFE_SOURCE, SAFE_SOURCE_WORDS
from video2act_ros.core.types import ActionChunk, JointSample, RunMode

__all__ = ["Command", "ControlLoop", "ControlSettings"]


class ControlLoop:
    """The supervisor behind one lock; driven by explicit time.

    `on_…` and the requests come from callback threads, `tick` from the control thread. The lock is held
    for well under a millisecond and never over input or output. Should a callback keep it all the same, the tick brakes
    without it.
    """

    def __init__(self, profile: RobotProfile, settings: ControlSettings) -> None:
        self._count = len(profile.joints)
        self._lock = threading.Lock()
        self._patience_s = 0.5 * settings.period_s
        self._standing = threading.Event()
        self._standing.set()
        self._supervisor = Supervisor(profile, settings)
        self._bundles: dict[str, str] = {}  # what each system runs
        self._instruction = ""

    @property
    def metrics(self) -> LoopMetrics:
        """What was measured since the start."""
        return self._supervisor.metrics

    def start(self, now_ns: int) -> None:
        """Go from idle to shadow with fresh measurements, in a new episode."""
        with self._lock:
            self._supervisor.start(now_ns)

    def stop(self) -> None:
        """Go idle; `disengage` and `wait_until_standing` first."""
        with self._lock:
            self._supervisor.state.stop()
            self._standing.set()

    # -- inputs -------------------------------------------------------------------------------------

    def on_joints(self, sample: JointSample, now_ns: int | None = None) -> None:
        """Take the newest measured pose, if it may be believed; a sample of the wrong size is an InputError.

        Args:
            sample: what was measured.
            now_ns: when it arrived; None: when it was stamped.
        """
        if sample.positions.shape != (self._count,):
            raise InputError(f"a joint sample needs {self._count} positions, got {sample.positions.shape}")
        with self._lock:
            if self._supervisor.watchdog.on_joints(sample, sample.stamp_ns if now_ns is None else now_ns):
                self._supervisor.joints = sample

    def on_chunk(self, chunk: ActionChunk, now_ns: int) -> Refusal | None:
        """Splice a chunk in; return None, or the reason why it is refused."""
        with self._lock:
            core = self._supervisor
            refusal = core.policy.add(chunk, now_ns)
            if refusal is None:
                refusal = self._follow_bundle("system1", chunk.bundle_id, now_ns)
            if refusal is not None:
                core.metrics.chunks_refused += 1
                return refusal
            core.metrics.chunks_accepted += 1
            seam = core.policy.take_seam()
            if seam is not None and core.state.mode is RunMode.ENGAGED:
                core.metrics.seams.add(seam)
            return None

    def on_unreadable_chunk(self, text: str) -> None:
        """Take that a chunk came which is none, so that the reason of a hold can tell."""
        with self._lock:
            self._supervisor.policy.refused(text)
            self._supervisor.metrics.chunks_refused += 1

    def on_report(self, report: InputReport) -> None:
        """Take what a system sees of its own inputs."""
        with self._lock:
            self._supervisor.watchdog.on_report(report)

    def on_other_publishers(self, others: Mapping[str, str], now_ns: int) -> None:
        """Take on which command topics somebody else publishes now: who, and the remedy, in words."""
        with self._lock:
            self._supervisor.watchdog.on_other_publishers(others, now_ns)

    def on_second_publishers(self, seconds: Iterable[SecondPublisher], now_ns: int) -> None:
        """Take on which topics of inputs more than one node publishes now."""
        with self._lock:
            self._supervisor.watchdog.on_second_publishers(seconds, now_ns)

    def on_deaf_outputs(self, reasons: Iterable[str], now_ns: int) -> None:
        """Take why no driver listens to some command outputs now, one text per output."""
        with self._lock:
            self._supervisor.watchdog.on_deaf_outputs(reasons, now_ns)

    def on_unproven_outputs(self, outputs: Mapping[int, str]) -> None:
        """Take which command outputs, by index, have only a listener that nobody vouches for, and why, in words."""
        with self._lock:
            self._supervisor.demand_proof(outputs)

    def on_stall(self, reason: str) -> None:
        """Take why this process cannot see its inputs or move the arm now, in words; empty: it can.

        Needs no lock: whoever keeps that may be what stands still.
        """
        self._supervisor.stalled = reason

    def on_missing_joints(self, reasons: tuple[str, ...]) -> None:
        """Take why joints have not been measured yet, in words; empty: all have."""
        with self._lock:
            self._supervisor.watchdog.on_missing_joints(reasons)

    def on_external(self, positions: Vector, now_ns: int, stamp_ns: int = 0) -> str | None:
        """Let an external source drive to `positions` (J,), finite, in policy units; return why not, or None.

        It takes over only an arm that is driven already, from within reach. In shadow nothing happens.
        A command older than `external_timeout_s` by its stamp is refused; one without a stamp (0) counts as new.
        """
        with self._lock:
            return self._supervisor.external(positions, now_ns, stamp_ns)

    def on_bundle(self, system: str, bundle_id: str, now_ns: int) -> bool:
        """Take which bundle `system` runs; return whether it is another one, so that a new epoch began."""
        with self._lock:
            return self._follow_bundle(system, bundle_id, now_ns) is not None

    def on_emergency_stop(self, pressed: bool) -> None:
        """Take the emergency stop topic's value: true brakes at once and forbids to engage while it lasts.

        Repeated, it does not latch again what was disengaged meanwhile and is not driven.
        """
        with self._lock:
            core = self._supervisor
            repeated, core.stop_pressed = core.stop_pressed and pressed, pressed
            if pressed and (not repeated or core.state.may_drive or core.state.moving):
                core.state.stop_at_once()

    # -- requests -----------------------------------------------------------------------------------

    def engage(self, now_ns: int) -> tuple[str, ...]:
        """Take the arm from its measured pose, or return every reason why not.

        It holds there until the first chunk of the new epoch arrives.
        """
        with self._lock:
            refusals = self._supervisor.engage(now_ns)
            if not refusals:
                self._standing.clear()
            return refusals

    def move_to_start(self, now_ns: int) -> tuple[tuple[str, ...], float]:
        """Begin the slow way to the start pose, from shadow; it ends there.

        Returns:
            Every reason why not, and about how long it takes [s].
        """
        with self._lock:
            refusals, duration_s = self._supervisor.move_to_start(now_ns)
            if not refusals:
                self._standing.clear()
            return refusals, duration_s

    def disengage(self) -> None:
        """Brake within the limits, then send nothing more."""
        with self._lock:
            self._supervisor.state.disengage()

    def emergency_stop(self) -> None:
        """Brake within the limits at once; only `disengage` and then `engage` lead back."""
        with self._lock:
            self._supervisor.state.stop_at_once()

    def fault(self, reason: str) -> None:
        """Brake and hold until engaged anew."""
        with self._lock:
            self._supervisor.state.fault(reason)

    def new_episode(self, now_ns: int) -> int:
        """Forget all chunks; an engaged arm holds, from where it is measured next. Return the epoch."""
        with self._lock:
            return self._supervisor.begin_episode(now_ns)

    def set_instruction(self, instruction: str, now_ns: int) -> int:
        """Change what System 1 is asked to do; nothing planned for another instruction is executed."""
        with self._lock:
            if instruction != self._instruction:
                self._instruction = instruction
                self._supervisor.raise_epoch(now_ns)
            return self._supervisor.state.epoch

    def wait_until_standing(self, timeout_s: float) -> bool:
        """Block until no command is sent any more (see `disengage`); False when that takes too long."""
        return self._standing.wait(timeout_s)

    # -- what it does and tells ---------------------------------------------------------------------

    def tick(self, now_ns: int, missed: int = 0) -> Command | None:
        """Return the command for this tick, or None while idle or in shadow, when nothing is sent.

        `missed` is how many ticks before this one sent nothing although something was to be sent.
        """
        if not self._lock.acquire(timeout=self._patience_s):
            return self._supervisor.brake(now_ns, missed)
        try:
            command = self._supervisor.tick(now_ns, missed)
        except Exception as error:  # noqa: BLE001  the arm must brake whatever has failed
            command = self._supervisor.brake(now_ns, missed)
            self._supervisor.failed(error)
        finally:
            self._lock.release()
        if command is None:
            self._standing.set()
        return command

    def take_failure(self) -> Exception | None:
        """Return once what failed in the last ticks beside the arm's own motion; None: nothing."""
        return self._supervisor.take_failure()

    def would_be(self) -> Command | None:
        """Return what this tick would have sent had the loop been engaged; None unless in shadow."""
        with self._lock:
            return self._supervisor.would_be

    def plan(self, now_ns: int) -> ActionChunk | None:
        """Return what was sent and what will be, for real-time chunking; None unless the policy drives."""
        with self._lock:
            core = self._supervisor
            driving = core.state.mode is RunMode.ENGAGED and core.state.source is Source.POLICY
            return core.policy.plan(now_ns) if driving else None

    def status(self, now_ns: int) -> LoopStatus:
        """Return the run state and the ages of the inputs at `now_ns`."""
        with self._lock:
            core = self._supervisor
            state = core.state
            return LoopStatus(
                mode=state.mode,
                reason=self._reason(),
                source=state.source,
                speed_scale=core.policy.scale,
                emergency_stop=state.emergency_stop or core.stop_pressed,
                epoch=state.epoch,
                epoch_stamp_ns=state.epoch_stamp_ns,
                episode=state.episode,
                episode_stamp_ns=state.episode_stamp_ns,
                instruction=self._instruction,
                version=state.version,
                ages=InputAges.at(now_ns, core.policy.newest, core.joints),
                execution_horizon_s=core.policy.horizon_s(now_ns),
                sending=state.sending,
                warnings=(*core.watchdog.others, *core.watchdog.deaf),
            )

    def _reason(self) -> str:
        """Return the run state's reason, and in every state that no policy moves the arm where that is so."""
        unpolicied = SAFE_SOURCE_WORDS if self._bundles.get("system1") == SAFE_SOURCE else ""
        return "; ".join(filter(None, (self._supervisor.reason, unpolicied)))

    def _follow_bundle(self, system: str, bundle_id: str, now_ns: int) -> Refusal | None:
        """Begin a new epoch when `system` runs another bundle than before; say so."""
        before, self._bundles[system] = self._bundles.get(system, bundle_id), bundle_id
        if before == bundle_id:
            return None
        self._supervisor.raise_epoch(now_ns)
        return Refusal(f"bundle '{bundle_id}' replaces '{before}': a new epoch began", routine=True)
