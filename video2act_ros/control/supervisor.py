"""Who moves the arm in each tick, and whether it may: run state, watchdog, policy and arm together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from video2act_ros.control.arm_motion import ArmMotion
from video2act_ros.control.command import Command
from video2act_ros.control.external import ExternalSource
from video2act_ros.control.following import SAG_RAD, Following
from video2act_ros.control.policy_motion import PolicyMotion
from video2act_ros.control.problem import Problem
from video2act_ros.control.run_state import EMERGENCY_STOP, RunState, Source
from video2act_ros.control.status import LoopMetrics
from video2act_ros.control.watchdog import Watchdog
from video2act_ros.core.errors import describe_error
from video2act_ros.core.motion import MotionState, Vector
from video2act_ros.core.other_clock import FUTURE_TOLERANCE_S
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.thresholds import Outcome
from video2act_ros.core.types import NS_PER_S, FloatArray, JointSample, RunMode, seconds_to_ns

_Result = TypeVar("_Result")

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
    bridge_s: float = 0.04
    first_epoch: int = 0
    replay: bool = False


class Supervisor:
    """Decides in every tick what the arm does. Driven by explicit time; the control loop guards it."""

    def __init__(self, profile: RobotProfile, settings: ControlSettings) -> None:
        self._settings = settings
        self._period_ns = seconds_to_ns(settings.period_s)
        self.policy = PolicyMotion(
            profile, settings.splice, settings.average_decay, settings.blend_s, settings.first_epoch
        )
        self.arm = ArmMotion(
            profile, settings.period_s, settings.start_speed, settings.reach_rad, settings.bridge_s
        )
        self.following = Following(profile, settings.period_s, self.arm.lead_ns / NS_PER_S)
        self.watchdog = Watchdog(profile)
        self.state = RunState(settings.first_epoch)
        self.metrics = LoopMetrics()
        self.joints: JointSample | None = None
        self.stop_pressed = False  # the emergency stop topic's last value
        self.would_be: Command | None = None
        self._external = ExternalSource(settings.external_timeout_s)
        self._obstacles: tuple[str, ...] = ()  # what would refuse to engage; known in shadow
        self._unproven: dict[int, str] = {}  # command outputs whose driver nobody has vouched for
        self.stalled = ""  # why this process cannot see its inputs, in words
        self._joint_state_age_s = profile.thresholds.joint_state_age_s.stop
        self._rest_at: MotionState | None = (
            None  # where a held arm's set-point goes; decided in the tick before
        )
        self._let_go_at: FloatArray | None = None  # (J,), measured when the last command had gone out
        self._command: Command | None = None
        self._failure: Exception | None = None
        self._now_ns: int | None = None

    @property
    def reason(self) -> str:
        """The run state's reason; in shadow also what is in the way of engaging now; what stands still comes first."""
        if self.stalled and self.stalled not in self.state.reason and self.state.mode is not RunMode.IDLE:
            return "; ".join(filter(None, (self.stalled, self.state.reason)))
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
        problems = (*self._robot_problems(now_ns), *self._policy_problems(now_ns), *self._apart(now_ns))
        refusals = (*self._refusals(problems), *self._out_of_reach())
        was_sending = self._take_arm(refusals, now_ns)
        refusals = self.state.engage(refusals, now_ns)
        if not refusals and self.state.epoch != self.policy.epoch:
            self._begin_to_drive(was_sending, now_ns)
        return refusals

    def move_to_start(self, now_ns: int) -> tuple[tuple[str, ...], float]:
        """Begin the slow way to the start pose; return every reason why not, and its duration [s]."""
        if self._settings.replay:
            return (_REPLAY,), 0.0
        refusals = (*self._refusals(self._robot_problems(now_ns)), *self._unseen())
        was_sending = self._take_arm(refusals, now_ns)
        refusals = self.state.begin_move(refusals, now_ns)
        if refusals:
            return refusals, 0.0
        self._begin_to_drive(was_sending, now_ns)
        return (), self.arm.begin_move()

    def external(self, positions: Vector, now_ns: int, stamp_ns: int = 0) -> str | None:
        """Let an external source drive to `positions` (J,), stamped so (0: not); return why not, or None."""
        wrong = self._external.wrong_stamp(stamp_ns, now_ns) or self.watchdog.impossible_target(positions)
        if wrong is not None or not self.state.may_drive:
            return wrong
        taking_over = self.state.source is Source.POLICY
        if taking_over and (far := self.arm.far(positions, self.arm.positions)) is not None:
            return f"external command {far.format('the commanded pose')}; move its source to the arm's pose first"
        self._external.add(positions, now_ns)
        return None

    def demand_proof(self, outputs: Mapping[int, str]) -> None:
        """Take which command outputs, by index, have a listener that nobody has vouched for, and why, in words."""
        self._unproven = dict(outputs)

    def begin_episode(self, now_ns: int, why: str = "") -> int:
        """Forget all chunks, the arm may stand elsewhere; return the new epoch."""
        self.arm.may_stand_elsewhere(now_ns)
        self.following.forget_commands()
        self.watchdog.on_episode(now_ns)
        epoch = self.state.begin_episode(now_ns)
        self.policy.raise_epoch(epoch, now_ns, why, self.state.episode_stamp_ns)
        return epoch

    def raise_epoch(self, now_ns: int, why: str = "") -> int:
        """Forget all chunks; return the new epoch."""
        epoch = self.state.raise_epoch(now_ns)
        self.policy.raise_epoch(epoch, now_ns, why, self.state.episode_stamp_ns)
        return epoch

    # -- the tick -----------------------------------------------------------------------------------

    def tick(self, now_ns: int, missed: int = 0) -> Command | None:
        """Return the command for this tick, or None while idle or in shadow, when nothing is sent.

        In fault, emergency stop, braking and hold the command comes from the arm's own motion alone, before anything
        else is looked at. Whatever fails elsewhere, in any mode, brakes the arm in the same tick and is kept as the
        `failure`.

        Args:
            now_ns: the present time, of the clock that stamps commands.
            missed: how many ticks before this one sent nothing although something was to be sent.
        """
        self.would_be = self._command = None
        if self.state.mode is RunMode.IDLE:
            return None
        if self.state.sending and not self.state.driven:
            self._command = self.arm.step(now_ns, self._rest_at, missed)
            self._aside(lambda: self._judge(now_ns))
        else:
            target = self._aside(lambda: self._judge(now_ns))
            if not self.state.sending:
                return None
            self._command = self.arm.step(now_ns, target if self.state.driven else None, missed)
        self._aside(lambda: self._remember(now_ns))
        return self._command

    def brake(self, now_ns: int, missed: int = 0) -> Command | None:
        """Return the command of a tick that could not be decided: one period of braking, whoever drove.

        Needs neither the state of anything else nor a lock.
        """
        if not self.state.sending:
            return None
        if self._command is None or self._command.stamp_ns != now_ns:
            self._command = self.arm.step(now_ns, None, missed)
        return self._command

    def take_failure(self) -> Exception | None:
        """Return once what failed beside the arm's own motion; None: nothing."""
        failure, self._failure = self._failure, None
        return failure

    def _aside(self, work: Callable[[], _Result]) -> _Result | None:
        """Do what the arm's own motion does not need; None where that fails, and nobody drives the arm then."""
        try:
            return work()
        except Exception as error:  # noqa: BLE001  the arm must brake whatever has failed
            self.failed(error)
            return None

    def failed(self, error: Exception) -> None:
        """Take that something failed which the arm's own motion does not need: nobody drives the arm any more."""
        self._failure, self._rest_at = error, None
        self.state.give_way(f"a control tick failed: {describe_error(error)}")

    def _judge(self, now_ns: int) -> MotionState | None:
        """Follow inputs and time; return where whoever drives wants the arm, None for a hold."""
        due_ns = now_ns + self.arm.lead_ns
        if self.state.ending:
            self._end(now_ns)
            return None
        self._watch_clock(now_ns)
        if self.state.sending and self.state.mode is not RunMode.ENGAGED:
            self.policy.stand(now_ns)
        else:
            slow = self.state.slow or self.following.proving
            self.policy.advance(now_ns, self._settings.slow_scale if slow else 1.0)
        self._choose_source(now_ns)
        target = self.policy.target(due_ns)
        self.policy.hand_out(due_ns)
        problems = self._problems(now_ns, target)
        self.state.update(problems, self.arm.stopped, self.arm.settled)
        if not self.state.sending:
            self._show(now_ns, problems)
            return None
        return self._wanted(now_ns, due_ns, target)

    def _end(self, now_ns: int) -> None:
        """Follow an arm that brakes for good: let it go once it stands, or keep its set-point near it."""
        self.state.update((), self.arm.stopped, self.arm.settled)
        if not self.state.sending:
            self._let_go(now_ns)
            return
        self._watch_clock(now_ns)
        self.policy.stand(now_ns)
        self.policy.hand_out(now_ns + self.arm.lead_ns)
        self._choose_source(now_ns)
        list(self._following_problems(now_ns))
        self._stay_near(now_ns)

    def _show(self, now_ns: int, problems: tuple[Problem, ...]) -> None:
        """Nothing is sent: tell what would be, and what is in the way of engaging."""
        self._let_go(now_ns)
        target = self.policy.target(now_ns + self._period_ns)
        good = not any(problem.outcome is not Outcome.SLOW for problem in problems)
        self.would_be = Command(now_ns, target) if good and target is not None else None
        self._obstacles = (*self._refusals(problems), *self._out_of_reach())

    def _let_go(self, now_ns: int) -> None:
        """Take that nothing is sent any more."""
        if self._let_go_at is None and self.joints is not None:
            self._let_go_at = self.joints.positions
        self.following.clear()
        self._rest_at = None
        self.watchdog.on_command(None, now_ns)

    def _wanted(self, now_ns: int, due_ns: int, target: MotionState | None) -> MotionState | None:
        """Return where whoever drives wants the arm; None for a hold. `target` is what the policy wants."""
        if self.state.moving:
            return self._move_on()
        if self.state.mode is not RunMode.ENGAGED:
            self._stay_near(now_ns)
            return None
        self._rest_at = None
        self.arm.drive_on()
        self.following.prove_again(self.arm.positions, self._fresh_joints(now_ns))
        if self.state.source is Source.EXTERNAL:
            return self._external.target(now_ns)
        self.metrics.drive(now_ns, self.policy.newest)
        return target

    def _stay_near(self, now_ns: int) -> None:
        """Let a held arm's set-point follow an arm that was put elsewhere or does not do what it is told."""
        joints = self._fresh_joints(now_ns)
        if self.arm.remeasure(joints):
            self.policy.forget_sent()
            self.following.forget_commands()
        self._rest_at = self.following.stand_at(joints, self.arm.positions, self.arm.stopped)

    def _remember(self, now_ns: int) -> None:
        """Keep the newest command for those who compare with it later."""
        if self.state.sending:
            self._let_go_at = None
        due_ns = now_ns + self.arm.lead_ns
        self.following.record(due_ns, self.arm.positions)
        self.policy.record(due_ns, self.arm.positions)
        self.watchdog.on_command(self.arm.positions, now_ns)

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

    def _fresh_joints(self, now_ns: int) -> JointSample | None:
        """Return the newest measured pose unless it is too old, or too doubtful, to stand for where the arm is."""
        joints = self.joints
        if (
            joints is None
            or self.watchdog.doubts_pose(now_ns)
            or (now_ns - joints.stamp_ns) / NS_PER_S > self._joint_state_age_s
        ):
            return None
        return joints

    # -- judgement ----------------------------------------------------------------------------------

    def _problems(self, now_ns: int, target: MotionState | None) -> tuple[Problem, ...]:
        """Return what is wrong with all that the motion of this tick depends on."""
        state = self.state
        problems = self._robot_problems(now_ns)
        if state.sending:
            problems = (*problems, *self._following_problems(now_ns))
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
        problems = self.watchdog.robot_problems(now_ns, self.joints)
        return (*problems, Problem(Outcome.HOLD, self.stalled)) if self.stalled else problems

    def _following_problems(self, now_ns: int) -> Iterator[Problem]:
        """Yield how the arm fails to do what it is told; nothing while it may stand elsewhere."""
        if self.arm.elsewhere:
            return
        yield from self.following.problems(self._fresh_joints(now_ns), self.arm.positions)
        if self.following.proving:
            why = "; ".join(
                ("slow until the arm has been seen to follow its commands", *self._unproven.values())
            )
            yield Problem(Outcome.SLOW, why)

    def _apart(self, now_ns: int) -> Iterator[Problem]:
        """Yield that a driven arm's set-point is still on its way to the arm."""
        joints = self._fresh_joints(now_ns)
        if self.state.sending and self.following.retreating and joints is not None:
            gap = float(self.arm.distances(joints.positions).max())
            yield Problem(
                Outcome.HOLD,
                f"the arm's set-point is {gap:.2f} rad from its measured pose and on its way there; engage again in a "
                "moment, and check its driver",
            )

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

    def _unseen(self) -> Iterator[str]:
        """Yield that the arm has not been measured since it may have been put elsewhere."""
        if self.joints is not None and self.arm.unseen(self.joints):
            yield "no joint state of this episode yet; try again in a moment, and check the robot driver"

    def _out_of_reach(self) -> tuple[str, ...]:
        """Return why the first command would be too far from the measured pose.

        Judged by the beginning of the newest chunk, for that is where an arm that stands is taken over.
        """
        first = self.policy.first
        if first is None or self.joints is None:
            return ()
        far = self.arm.far(first, self.joints.positions)
        return () if far is None else (f"first command {far.format('the measured pose')}; {_TO_START}",)

    def _take_arm(self, refusals: tuple[str, ...], now_ns: int) -> bool:
        """Stand at the measured pose before anything is sent; return whether something is sent already.

        An arm that was let go a moment ago, and is where it was then, stands at its driver's set-point, from which
        load keeps it a little away: that set-point stays, for to begin at the measured pose would be a leap.
        """
        if self.state.sending:
            return True
        if not refusals and self.state.may_be_taken and self.joints is not None:
            self.following.clear()
            if not (self.arm.let_go_lately(now_ns) and self._unmoved(self.joints)):
                self.arm.take(self.joints.positions)
        return False

    def _unmoved(self, joints: JointSample) -> bool:
        """Whether the arm is where it was let go, near its last set-point: nobody else has moved it."""
        if self._let_go_at is None or self.arm.distances(joints.positions).max() > SAG_RAD:
            return False
        return self.arm.unmoved(self._let_go_at, joints.positions)

    def _begin_to_drive(self, was_sending: bool, now_ns: int) -> None:
        """Take that commands go out in a new epoch."""
        self.policy.raise_epoch(self.state.epoch, now_ns, episode_ns=self.state.episode_stamp_ns)
        self._external.clear()
        self._rest_at = None
        if self.joints is None:
            return
        if not was_sending:
            self.policy.take_arm()
        self.following.prove(tuple(self._unproven), self.arm.positions, self.joints.positions)
