"""Who may move the arm: idle, shadow, engaged, holding, fault; and the epoch that all parts follow."""

from __future__ import annotations

from video2act_ros.core.types import RunMode

_DRIVING = (RunMode.ENGAGED, RunMode.HOLDING)


class RunState:
    """The run state machine and the epoch's owner.

    idle → shadow at `start`; shadow → holding at `engage`, then engaged as soon as inputs are good;
    engaged ⇄ holding as they come and go; back to shadow after `disengage`, once the arm stands.
    `fault` is latched: only `engage` and `disengage` leave it. Not thread-safe: the control loop guards it.
    """

    def __init__(self, epoch: int = 0) -> None:
        self._mode = RunMode.IDLE
        self._reason = "not active"
        self._epoch = epoch
        self._epoch_stamp_ns = 0
        self._episode = 0
        self._episode_stamp_ns = 0
        self._releasing = False
        self._holds_arm = False  # what a fault found: commands were being sent
        self._version = 0

    @property
    def mode(self) -> RunMode:
        """What the control loop is doing."""
        return self._mode

    @property
    def reason(self) -> str:
        """Why the mode is not `engaged`, in words; empty while engaged."""
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
        """Changes with every change of mode or epoch."""
        return self._version

    @property
    def sending(self) -> bool:
        """True while commands go to the arm."""
        return self._mode in _DRIVING or (self._mode is RunMode.FAULT and self._holds_arm)

    @property
    def releasing(self) -> bool:
        """True while the arm brakes after `disengage`."""
        return self._releasing

    def start(self) -> None:
        """Leave idle: compute, show, command nothing."""
        self._set(RunMode.SHADOW, "not engaged; call the engage service")

    def stop(self) -> None:
        """Go idle at once; call it when the arm stands or nothing is sent."""
        self._set(RunMode.IDLE, "not active")

    def engage(self, problems: tuple[str, ...], now_ns: int) -> tuple[str, ...]:
        """Take the arm unless there are `problems`; return why not (empty: taken)."""
        if self._mode is RunMode.IDLE:
            return ("the command node is not active",)
        if self._mode in _DRIVING and not self._releasing:
            return ()
        if problems:
            return problems
        self.raise_epoch(now_ns)
        self._set(RunMode.HOLDING, "engaged; waiting for the first chunk of this epoch")
        return ()

    def disengage(self) -> None:
        """Begin to brake; `update` turns to shadow once the arm stands."""
        if self.sending:
            self._set(RunMode.HOLDING, "disengaging", releasing=True)
        elif self._mode is RunMode.FAULT:
            self.start()

    def fault(self, reason: str) -> None:
        """Brake and stay until engaged anew or disengaged; an arm that was not driven is not taken."""
        if self._mode is not RunMode.IDLE:
            self._holds_arm = self.sending
            self._set(RunMode.FAULT, reason)

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

    def update(self, problems: tuple[str, ...], stopped: bool) -> None:
        """Follow the inputs: hold while there are `problems`, drive when there are none.

        Args:
            problems: what is wrong with the inputs in this tick.
            stopped: whether the commanded motion has come to a standstill.
        """
        if self._releasing:
            if stopped:
                self.start()
        elif self._mode in _DRIVING:
            self._set(RunMode.HOLDING if problems else RunMode.ENGAGED, "; ".join(problems))

    def _set(self, mode: RunMode, reason: str, releasing: bool = False) -> None:
        if mode is not self._mode:
            self._version += 1
        self._mode, self._reason, self._releasing = mode, reason, releasing
