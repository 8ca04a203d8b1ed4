"""Who moves the arm in each tick, and whether it may: run state, watchdog, policy and arm together."""

from __future__ import annotations

from dataclasses import dataclass

from video2act_ros.control.arm_motion import ArmMotion
from video2act_ros.control.chunk_check import FUTURE_TOLERANCE_S
from video2act_ros.control.command import Command
from video2act_ros.control.external import ExternalSource
from video2act_ros.control.policy_motion import PolicyMotion
from video2act_ros.control.problem import Problem
from video2act_ros.control.run_state import EMERGENCY_STOP, RunState, Source
from video2act_ros.control.status import LoopMetrics
from video2act_ros.control.watchdog import Watchdog
from video2act_ros.core.motion import MotionState, Vector
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.thresholds import Outcome
from video2act_ros.core.types import NS_PER_S, JointSample, RunMode, seconds_to_ns

CLOCK_STEP_S = 1.0  # forwards within one tick; a busy machine does not delay a tick by that much
_REPLAY = "this stack replays a bag and never drives an arm; start one without replay for that"
_TO_START = "call move_to_start (`video2act move-to-start`) or bring the arm there by hand"


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """How the loop runs; the command node's parameters of the same names say more."""

    period_s: float
    splice: str = "ensemble"
    average_decay: float = 0.8
    blend_s: float = 0.08
    reach_rad: float = 0.5
    slow_scale: float = 0.4
    start_speed: float = 0.15
    external_timeout_s: float = 0.25
    first_epoch: int = 0
    replay: bool = False


class Supervisor:
    """Decides in every tick what the arm does. Driven by explicit time; the control loop guards it."""

    def __init__(self, profile: RobotProfile, settings: ControlSettings) -> None:
        self._settings = settings
        self._period_ns = seconds_to_ns(settings.period_s)  # a command is due one period after its tick
        self.policy = PolicyMotion(
            profile, settings.splice, settings.average_decay, settings.blend_s, settings.first_epoch
        )
        self.arm = ArmMotion(profile, settings.period_s, settings.start_speed, settings.reach_rad)
        self.watchdog = Watchdog(profile)
        self.state = RunState(settings.first_epoch)
        self.metrics = LoopMetrics()
        self.joints: JointSample | None = None
        self.stop_pressed = False  # the emergency stop topic's last value
        self.would_be: Command | None = None
        self._external = ExternalSource(settings.external_timeout_s)
        self._obstacles: tuple[str, ...] = ()  # what would refuse to engage; known in shadow
        self._now_ns: int | None = None

    @property
    def reason(self) -> str:
        """The run state's reason; in shadow also what is in the way of engaging now."""
        if self.state.mode is not RunMode.SHADOW or not self._obstacles:
            return self.state.reason
        return f"{self.state.reason}; in the way now: {'; '.join(self._obstacles)}"

    # -- requests -----------------------------------------------------------------------------------

    def start(self, now_ns: int) -> None:
        """Go from idle to shadow in a new episode."""
        self._now_ns = None
        self.begin_episode(now_ns)
        self.metrics = LoopMetrics()
        self.state.start()
        if self.stop_pressed:
            self.state.stop_at_once()

    def engage(self, now_ns: int) -> tuple[str, ...]:
        """Take the arm from its measured pose, or return every reason why not."""
        if self._settings.replay:
            return (_REPLAY,)
        was_sending = self.state.sending
        problems = (*self._robot_problems(now_ns), *self._policy_problems(now_ns))
        refusals = self.state.engage((*self._refusals(problems), *self._out_of_reach()), now_ns)
        if not refusals and self.state.epoch != self.policy.epoch:
            self._take_arm(was_sending, now_ns)
        return refusals

    def move_to_start(self, now_ns: int) -> tuple[tuple[str, ...], float]:
        """Begin the slow way to the start pose; return every reason why not, and its duration [s]."""
        if self._settings.replay:
            return (_REPLAY,), 0.0
        refusals = self.state.begin_move(self._refusals(self._robot_problems(now_ns)), now_ns)
        if refusals:
            return refusals, 0.0
        self._take_arm(False, now_ns)
        return (), self.arm.begin_move()

    def external(self, positions: Vector, now_ns: int) -> str | None:
        """Let an external source drive to `positions` (J,); return why not, or None."""
        if not self.state.may_drive:
            return None
        taking_over = self.state.source is Source.POLICY
        if taking_over and (far := self.arm.far(positions, self.arm.positions)) is not None:
            return f"external command {far.format('the commanded pose')}; move its source to the arm's pose first"
        self._external.add(positions, now_ns)
        return None

    def begin_episode(self, now_ns: int, why: str = "") -> int:
        """Forget all chunks, the arm may stand elsewhere; return the new epoch."""
        self.arm.may_stand_elsewhere(now_ns)
        epoch = self.state.begin_episode(now_ns)
        self.policy.raise_epoch(epoch, now_ns, why)
        return epoch

    def raise_epoch(self, now_ns: int, why: str = "") -> int:
        """Forget all chunks; return the new epoch."""
        epoch = self.state.raise_epoch(now_ns)
        self.policy.raise_epoch(epoch, now_ns, why)
        return epoch

    # -- the tick -----------------------------------------------------------------------------------

    def tick(self, now_ns: int, missed: int = 0) -> Command | None:
        """Return the command for this tick, or None while idle or in shadow, when nothing is sent.

        `missed` is how many ticks before this one sent nothing although something was to be sent.
        """
        self._watch_clock(now_ns)
        self.would_be = None
        state, due_ns = self.state, now_ns + self._period_ns
        if state.mode is RunMode.IDLE:
            return None
        if state.sending and state.mode is not RunMode.ENGAGED:
            self.policy.stand(now_ns)
        else:
            self.policy.advance(now_ns, self._settings.slow_scale if state.slow else 1.0)
        self._choose_source(now_ns)
        target = self.policy.target(due_ns)
        self.policy.hand_out(due_ns)
        problems = self._problems(now_ns, target)
        state.update(problems, self.arm.stopped, self.arm.settled)
        if not state.sending:
            self.arm.let_go()
            good = not any(problem.outcome is not Outcome.SLOW for problem in problems)
            self.would_be = Command(now_ns, target) if good and target is not None else None
            self._obstacles = (*self._refusals(problems), *self._out_of_reach())
            return None
        command = self.arm.step(now_ns, due_ns, self._wanted(now_ns, target), missed)
        self.policy.record(due_ns, command.state.positions)
        return command

    def _wanted(self, now_ns: int, target: MotionState | None) -> MotionState | None:
        """Return where whoever drives wants the arm; None for a hold. `target` is what the policy wants."""
        if self.state.moving:
            return self._move_on()
        if self.state.mode is not RunMode.ENGAGED:
            if self.arm.remeasure(self.joints):
                self.policy.forget_sent()
            return None
        self.arm.drive_on()
        if self.state.source is Source.EXTERNAL:
            return self._external.target(now_ns)
        self.metrics.drive(now_ns, self.policy.newest)
        return target

    def _move_on(self) -> MotionState:
        """Go on to the start pose; let go of the arm there."""
        move = self.arm.start_move
        target = move.step()
        self.state.move_on(move.progress)
        if move.arrived:
            self.state.release("at the start pose", "at the start pose; call the engage service")
        elif move.overdue:
            why = "the start pose was not reached in time; check that start_speed is not too small"
            self.state.release(why, why)
        return target

    def _choose_source(self, now_ns: int) -> None:
        """Hand over to the external source or take back; each in a new epoch."""
        active = self.state.may_drive and self._external.active(now_ns)
        source = Source.EXTERNAL if active else Source.POLICY
        if source is self.state.source:
            return
        self.state.take_source(source)
        self.raise_epoch(now_ns, "" if active else "the external source ended")
        if not active:
            self._external.clear()

    def _watch_clock(self, now_ns: int) -> None:
        """Begin a new episode where the clock was stepped: no stamp can be compared across it."""
        before_ns, self._now_ns = self._now_ns, now_ns
        if before_ns is None:
            return
        step_s = (now_ns - before_ns) / NS_PER_S
        if -FUTURE_TOLERANCE_S <= step_s <= CLOCK_STEP_S:
            return
        self.joints = None
        self._external.clear()
        self.watchdog.forget(now_ns)
        self.policy.step_clock()
        self.begin_episode(now_ns, f"the clock stepped by {step_s:+.2f} s")

    # -- judgement ----------------------------------------------------------------------------------

    def _problems(self, now_ns: int, target: MotionState | None) -> tuple[Problem, ...]:
        """Return what is wrong with all that the motion of this tick depends on."""
        state, tracking = self.state, self.arm.problem(self.joints)
        problems = self._robot_problems(now_ns)
        if tracking is not None and state.sending:
            problems = (*problems, tracking)
        if state.moving or state.source is Source.EXTERNAL:
            return problems
        problems = (*problems, *self._policy_problems(now_ns))
        if target is None:
            used_up = self.policy.newest is not None
            text = "the newest chunk is used up; check System 1's rate"
            return (*problems, Problem(Outcome.HOLD, text)) if used_up else problems
        if state.sending and state.mode is not RunMode.ENGAGED:
            far = self.arm.far(target.positions, self.arm.positions)
            if far is not None:
                text = f"first command {far.format('the arm')}; disengage, then {_TO_START}"
                problems = (*problems, Problem(Outcome.HOLD, text))
        return problems

    def _robot_problems(self, now_ns: int) -> tuple[Problem, ...]:
        return self.watchdog.robot_problems(now_ns, self.joints)

    def _policy_problems(self, now_ns: int) -> tuple[Problem, ...]:
        return self.watchdog.policy_problems(now_ns, self.policy.newest, self.policy.missing)

    def _refusals(self, problems: tuple[Problem, ...]) -> tuple[str, ...]:
        """Return every reason not to take the arm; what only slows is none."""
        texts = [problem.text for problem in problems if problem.outcome is not Outcome.SLOW]
        others = [text for text in (*self.watchdog.others, *self.watchdog.deaf) if text not in texts]
        pressed = (
            [f"{EMERGENCY_STOP}: the topic's last value is true; release it"] if self.stop_pressed else []
        )
        return (*pressed, *texts, *others)

    def _out_of_reach(self) -> tuple[str, ...]:
        """Return why the first command would be too far from the measured pose.

        Judged by the beginning of the newest chunk, for that is where an arm that stands is taken over.
        """
        first = self.policy.first
        if first is None or self.joints is None:
            return ()
        far = self.arm.far(first, self.joints.positions)
        return () if far is None else (f"first command {far.format('the measured pose')}; {_TO_START}",)

    def _take_arm(self, was_sending: bool, now_ns: int) -> None:
        """Begin to send, from the measured pose unless commands went out already."""
        self.policy.raise_epoch(self.state.epoch, now_ns)
        self._external.clear()
        if not was_sending and self.joints is not None:
            self.arm.take(self.joints.positions)
            self.policy.take_arm()
