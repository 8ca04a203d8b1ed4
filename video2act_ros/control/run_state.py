"""Who may move the arm: idle, shadow, engaged, holding, fault; and the epoch that all parts follow."""

from __future__ import annotations

from enum import Enum

from video2act_ros.control.problem import Problem, describe, worst
from video2act_ros.core.thresholds import Outcome
from video2act_ros.core.types import RunMode

EMERGENCY_STOP = "emergency stop"

_DRIVING = (RunMode.ENGAGED, RunMode.HOLDING)
_SETTLING = "the inputs are good again; coming to rest before going on"
_SHADOW = "not engaged; call the engage service"


class Source(str, Enum):
    """Who drives while the arm is driven; the names are those of the RunState message."""

    POLICY = "policy"
    EXTERNAL = "external"


class _Leaving(Enum):
    """What the arm does before it is let go."""

    NO = 0
    MOVING = 1  # to the start pose
    BRAKING = 2


class RunState:
    """The run state machine and the epoch's owner.

    idle → shadow at `start`; shadow → holding at `engage`, then engaged as soon as inputs are good;
    engaged ⇄ holding as they come and go; back to shadow after `disengage`, once the arm stands.
    shadow → holding → shadow for the way to the start pose. `fault` is latched: only `engage` and
    `disengage` leave it, and an emergency stop only `disengage`. Not thread-safe: the control loop guards it.
    """

    def __init__(self, epoch: int = 0) -> None:
        self._mode = RunMode.IDLE
        self._reason = "not active"
        self._epoch = epoch
        self._epoch_stamp_ns = 0
        self._episode = 0
        self._episode_stamp_ns = 0
        self._leaving = _Leaving.NO
        self._afterwards = _SHADOW  # reason of the shadow that braking ends in
        self._source = Source.POLICY
        self._slow = False
        self._emergency = False
        self._holds_arm = False  # what a fault found: commands were being sent
        self._version = 0

    @property
    def mode(self) -> RunMode:
        """What the control loop is doing."""
        return self._mode

    @property
    def reason(self) -> str:
        """Why the mode is not `engaged`, or why it is slow, in words; empty while engaged at full speed."""
        return self._reason

    @property
    def epoch(self) -> int:
        """Raised whenever what was computed so far must not be executed."""
        return self._epoch

    @property
    def epoch_stamp_ns(self) -> int:
        """When the epoch began; nothing observed before it is executed."""
        return self._epoch_stamp_ns

    @property
    def episode(self) -> int:
        """How many episodes have begun."""
        return self._episode

    @property
    def episode_stamp_ns(self) -> int:
        """When the episode began; frames from before it are forgotten."""
        return self._episode_stamp_ns

    @property
    def version(self) -> int:
        """Changes with every change of mode, epoch, source, slowness or emergency stop."""
        return self._version

    @property
    def sending(self) -> bool:
        """True while commands go to the arm."""
        return self._mode in _DRIVING or (self._mode is RunMode.FAULT and self._holds_arm)

    @property
    def moving(self) -> bool:
        """True on the way to the start pose."""
        return self._leaving is _Leaving.MOVING

    @property
    def driven(self) -> bool:
        """True while somebody's motion is wanted: the policy's, an external source's, or the way to the start pose."""
        return self._mode is RunMode.ENGAGED or self.moving

    @property
    def ending(self) -> bool:
        """True while the arm brakes or stands for good: in a fault that holds it, or before it is let go."""
        return self.sending and (self._mode is RunMode.FAULT or self._leaving is _Leaving.BRAKING)

    @property
    def may_drive(self) -> bool:
        """True while the policy or an external source may move the arm."""
        return self._mode in _DRIVING and self._leaving is _Leaving.NO

    @property
    def may_be_taken(self) -> bool:
        """True while nothing of the state's own forbids to take an arm to which nothing is sent."""
        return self._mode is not RunMode.IDLE and not self._emergency and not self.sending

    @property
    def slow(self) -> bool:
        """True while a problem asks for slow motion."""
        return self._slow

    @property
    def emergency_stop(self) -> bool:
        """True from an emergency stop until the arm was disengaged."""
        return self._emergency

    @property
    def source(self) -> Source:
        """Who drives."""
        return self._source

    def start(self, reason: str = _SHADOW) -> None:
        """Leave idle: compute, show, command nothing."""
        self._set(RunMode.SHADOW, reason, emergency=False)

    def stop(self) -> None:
        """Go idle at once; call it when the arm stands or nothing is sent."""
        self._set(RunMode.IDLE, "not active", emergency=False)

    def engage(self, refusals: tuple[str, ...], now_ns: int) -> tuple[str, ...]:
        """Take the arm unless there are `refusals`; return why not (empty: taken)."""
        if self._mode is RunMode.IDLE:
            return ("the command node is not active",)
        if self._emergency:
            return (f"{EMERGENCY_STOP}; disengage first, then engage",)
        if self.moving:
            return ("moving to the start pose; wait until the state is shadow again, or disengage",)
        if self.may_drive:
            return ()
        if refusals:
            return refusals
        self.raise_epoch(now_ns)
        self._set(RunMode.HOLDING, "engaged; waiting for the first chunk of this epoch")
        return ()

    def begin_move(self, refusals: tuple[str, ...], now_ns: int) -> tuple[str, ...]:
        """Take the arm for the way to the start pose unless there are `refusals`; return why not."""
        if self._mode is not RunMode.SHADOW:
            return (
                f"the state is {self._mode.value}; moving to the start pose begins in shadow: disengage first",
            )
        if refusals:
            return refusals
        self.raise_epoch(now_ns)
        self._set(RunMode.HOLDING, "moving to the start pose", leaving=_Leaving.MOVING)
        return ()

    def move_on(self, progress: float) -> None:
        """Tell how far the way to the start pose is done, 0 to 1."""
        self._reason = f"moving to the start pose ({progress:.0%})"

    def release(self, reason: str, afterwards: str = _SHADOW) -> None:
        """Brake for `reason`; `update` turns to shadow, with the reason `afterwards`, once the arm stands."""
        self._afterwards = afterwards
        self._set(RunMode.HOLDING, reason, leaving=_Leaving.BRAKING)

    def disengage(self) -> None:
        """Begin to brake; `update` turns to shadow once the arm stands."""
        if self.sending:
            self.release("disengaging")
        elif self._mode is RunMode.FAULT:
            self.start()

    def fault(self, reason: str) -> None:
        """Brake and stay until engaged anew or disengaged; an arm that was not driven is not taken."""
        if self._mode is not RunMode.IDLE and not self._emergency:
            self._holds_arm = self.sending
            self._set(RunMode.FAULT, reason)

    def give_way(self, reason: str) -> None:
        """Fault because something failed that the arm's own motion does not need.

        What brakes for good already keeps its own reason and its way out.
        """
        if self._mode is not RunMode.FAULT and self._leaving is not _Leaving.BRAKING:
            self.fault(reason)

    def stop_at_once(self) -> None:
        """Brake and stay until disengaged: the emergency stop."""
        if self._mode is not RunMode.IDLE:
            self._holds_arm = self.sending
            self._set(RunMode.FAULT, EMERGENCY_STOP, emergency=True)

    def take_source(self, source: Source) -> None:
        """Take who drives."""
        self._version += source is not self._source
        self._source = source

    def raise_epoch(self, now_ns: int) -> int:
        """Invalidate everything observed so far; return the new epoch."""
        self._epoch += 1
        self._epoch_stamp_ns = now_ns
        self._version += 1
        return self._epoch

    def begin_episode(self, now_ns: int) -> int:
        """Invalidate everything observed so far, frame histories too; return the new epoch."""
        self._episode += 1
        self._episode_stamp_ns = now_ns
        return self.raise_epoch(now_ns)

    def update(self, problems: tuple[Problem, ...], stopped: bool, settled: bool) -> None:
        """Follow the inputs: the gravest problem decides. A hold ends at rest, never in mid-braking.

        Args:
            problems: what is wrong in this tick with all that the motion depends on.
            stopped: whether the commanded motion has come to a standstill.
            settled: whether it has been at a standstill for long enough to go on.
        """
        outcome = worst(problems)
        if self._leaving is _Leaving.BRAKING:
            if stopped:
                self.start(self._afterwards)
        elif self._mode not in _DRIVING:
            return
        elif outcome is Outcome.FAULT:
            self.fault(describe(problems))
        elif self.moving:
            if outcome is Outcome.HOLD:
                why = f"the way to the start pose was given up: {describe(problems)}"
                self.release(why, why)
        elif outcome is Outcome.HOLD:
            self._set(RunMode.HOLDING, describe(problems))
        elif self._mode is RunMode.ENGAGED or settled:
            self._set(RunMode.ENGAGED, describe(problems), slow=outcome is Outcome.SLOW)
        else:
            self._set(RunMode.HOLDING, _SETTLING)

    def _set(
        self,
        mode: RunMode,
        reason: str,
        leaving: _Leaving = _Leaving.NO,
        slow: bool = False,
        emergency: bool | None = None,
    ) -> None:
        emergency = self._emergency if emergency is None else emergency
        new, old = (mode, slow, emergency), (self._mode, self._slow, self._emergency)
        self._version += new != old
        self._mode, self._reason, self._leaving = mode, reason, leaving
        self._slow, self._emergency = slow, emergency
