"""Random targets for the limiter, sound and broken ones, and the judge of what it makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from video2act_ros.control.joint_limits import JointLimits, Vector
from video2act_ros.control.limiter import Limiter
from video2act_ros.core.motion import MotionState

KINDS = ("smooth", "noise", "jumps", "broken", "ends", "nonsense", "mixed")
PERIODS_S = (0.005, 0.01, 0.02)
_SLACK = 1e-6  # rounding, as a share of each limit
_POSITION_SLACK = 1e-9  # rounding, in policy units
_JUMP_TICKS = 29
_BRAKE_TICKS = 25  # every so many ticks the way to rest is judged


@dataclass(frozen=True, slots=True)
class SoakResult:
    """What came of a stream: ticks of the limiter, times its joints, and values outside the limits."""

    ticks: int
    joint_ticks: int
    violations: int


def random_limits(rng: np.random.Generator, joints: int) -> JointLimits:
    """Return joints whose ranges and rates differ by orders of magnitude."""
    low = rng.uniform(-3.0, 0.0, joints)
    velocity = 10.0 ** rng.uniform(-1.0, 1.0, joints)
    acceleration = velocity * 10.0 ** rng.uniform(0.0, 1.5, joints)
    jerk = acceleration * 10.0 ** rng.uniform(0.3, 2.3, joints)
    return JointLimits(low, low + 10.0 ** rng.uniform(-1.5, 0.7, joints), velocity, acceleration, jerk)


class TargetStream:
    """Makes up what a policy may ask for; `kind` is one of `KINDS`."""

    def __init__(self, rng: np.random.Generator, limits: JointLimits, kind: str, period_s: float) -> None:
        joints = len(limits.velocity_max)
        self._rng, self._limits, self._kind, self._period_s = rng, limits, kind, period_s
        self._centre = (limits.position_min + limits.position_max) / 2.0
        self._reach = limits.position_max - limits.position_min
        self._swing = self._reach * rng.choice([0.05, 0.2, 0.5, 0.6])
        self._phase = rng.uniform(0.0, 6.0, joints)
        self._rate = 10.0 ** rng.uniform(-0.5, 1.3, joints)
        self._held = MotionState.at_rest(self._centre)

    def targets(self, ticks: int) -> Iterator[MotionState | None]:
        """Yield `ticks` targets."""
        for tick in range(ticks):
            if tick % _JUMP_TICKS == 0:
                way = self._reach * self._rng.uniform(-0.7, 0.7, len(self._reach))
                self._held = MotionState.at_rest(self._centre + way)
            yield self._target(self._kind, tick)

    def _target(self, kind: str, tick: int) -> MotionState | None:
        if kind == "mixed":
            kind = str(self._rng.permutation(KINDS[:-1])[0]) if tick % 17 == 0 else KINDS[tick // 17 % 6]
        if kind == "smooth":
            return self._smooth(tick)
        if kind == "noise":
            return self._noise()
        if kind == "jumps":
            return self._held
        if kind == "broken":
            return self._broken(tick)
        if kind == "ends":
            return self._end(tick)
        noise = self._noise()
        return MotionState(self._smooth(tick).positions, 9.0 * noise.velocities, noise.accelerations)

    def _smooth(self, tick: int) -> MotionState:
        angle = self._phase + self._rate * tick * self._period_s
        way = self._swing * np.sin(angle)
        return MotionState(
            self._centre + way, self._swing * self._rate * np.cos(angle), -way * self._rate * self._rate
        )

    def _noise(self) -> MotionState:
        draws = self._rng.normal(0.0, 1.0, (3, len(self._reach)))
        limits = self._limits
        return MotionState(
            self._centre + 0.6 * self._reach * draws[0],
            limits.velocity_max * draws[1],
            limits.acceleration_max * draws[2],
        )

    def _broken(self, tick: int) -> MotionState | None:
        """Return NaN, infinity, a huge value, nothing, or something sound."""
        choice = self._rng.integers(7)
        smooth = self._smooth(tick)
        if choice < 4:
            values = np.array(smooth.positions)
            values[self._rng.integers(len(values))] = (np.nan, np.inf, -1e300, 1e12)[choice]
            return MotionState(values, smooth.velocities, smooth.accelerations)
        if choice == 4:
            return MotionState(smooth.positions, smooth.velocities * np.nan, smooth.accelerations)
        return None if choice == 5 else smooth

    def _end(self, tick: int) -> MotionState:
        """Return a target that runs at full speed into one end of the range, or stands there."""
        limits = self._limits
        up = tick // 60 % 2 == 1
        end, sign = (limits.position_max, 1.0) if up else (limits.position_min, -1.0)
        if tick // 20 % 3 == 0:
            return MotionState.at_rest(end)
        back = (19 - tick % 20) * self._period_s * limits.velocity_max
        return MotionState(end - sign * back, sign * limits.velocity_max, np.zeros_like(end))


def count_violations(outputs: Vector, limits: JointLimits, period_s: float) -> int:
    """Count positions (N, J) outside the limits, and differences over the period outside those of the rates."""
    low = outputs < limits.position_min - _POSITION_SLACK
    high = outputs > limits.position_max + _POSITION_SLACK
    count = int(np.sum(~np.isfinite(outputs) | low | high))
    rates = outputs
    for most in (limits.velocity_max, limits.acceleration_max, limits.jerk_max):
        rates = np.diff(rates, axis=0) / period_s
        count += int(np.sum(~(np.abs(rates) <= most * (1.0 + _SLACK))))
    return count


def run_stream(seed: int, kind: str, joints: int, ticks: int) -> SoakResult:
    """Drive a limiter with random limits and one stream from rest; judge its outputs and its ways to rest."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    limits, period_s = random_limits(rng, joints), float(rng.choice(PERIODS_S))
    limiter = Limiter(limits, period_s)
    limiter.reset(rng.uniform(limits.position_min, limits.position_max))
    outputs = [limiter.positions] * 3  # it stood still before
    violations = 0
    for tick, target in enumerate(TargetStream(rng, limits, kind, period_s).targets(ticks)):
        outputs.append(limiter.step(target).positions)
        if tick % _BRAKE_TICKS == 0:
            way = [state.positions for _, state in limiter.braking(period_s)]
            rest = way[-1:] * 3  # the exact end comes less than a period after the point before it
            violations += count_violations(np.array(outputs[-3:] + way[:-1]), limits, period_s)
            violations += count_violations(np.array(rest), limits, period_s) if rest else 0
    violations += count_violations(np.array(outputs), limits, period_s)
    return SoakResult(ticks, ticks * joints, violations)
