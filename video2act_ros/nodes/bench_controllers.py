"""Measures what drivers make of our messages: the output of a robot's controllers against the profile's limits."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video2act_ros.control.loop import Command, ControlLoop, ControlSettings
from video2act_ros.core.config import CommandConfig
from video2act_ros.core.errors import InputError
from video2act_ros.core.input_report import InputCheck, InputReport, InputValue
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import NS_PER_S, ActionChunk, JointSample, RunMode, seconds_to_ns
from video2act_ros.core.whole_files import write_json
from video2act_ros.ros.command_inputs import CommandReader
from video2act_ros.ros.command_outputs import CommandConverter
from video2act_ros.sim.controlled_robot import ControlledRobot
from video2act_ros.sim.trajectory_controller import StartFrom

Array = NDArray[np.float64]

LIMIT = 1.1
"""Largest speed and acceleration of a controller's output, as a share of the profile's limits."""

PHASES = ("move_to_start", "motion", "hold", "disengage", "stop", "killed")
START_S = 1000.0  # of the bench's clock
SENDING_S = 4e-4  # from a tick to the arrival of its messages on a quiet machine
CHUNK_PERIOD_S, CHUNK_STEP_S, CHUNK_STEPS = 0.25, 0.05, 40
THINKING_S = 0.1  # from a chunk's observation to its arrival
PATIENCE_S = 60.0  # of the bench's clock, for what has to happen


@dataclass(frozen=True, slots=True)
class ControllerSetup:
    """A robot's controllers: how fast they are updated, how late the joints and the messages are."""

    rate_hz: float
    start_from: StartFrom
    lag_s: float  # of every joint behind its controller
    late_s: float  # messages arrive later by a random time up to this, in order
    splice_at_stamp: bool = False

    def describe(self) -> str:
        """Return the set-up in words."""
        return (
            f"{self.rate_hz:g} Hz from the {self.start_from} state, joints {1e3 * self.lag_s:g} ms behind, "
            f"messages up to {1e3 * self.late_s:g} ms late"
        )


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """The output of a robot's controllers of one kind in one phase.

    Speed and acceleration are differences at the controllers' own rate, as shares of each joint's limits.
    """

    profile: str
    output: str  # type of the command outputs
    setup: ControllerSetup
    phase: str
    speed: float  # largest
    acceleration: float  # largest
    acceleration_rms: float  # of the joint that has most
    largest: float  # acceleration of the joint with the largest share, in the robot's units per s²
    joint: str  # which that is
    refused: int  # messages

    @property
    def judged(self) -> bool:
        """Whether it has to keep to the limits: a trajectory controller's output is a motion that we ask for.

        What follows plain set-points steps from one to the next; how hard depends on its own rate alone.
        """
        return self.output == "joint_trajectory"

    @property
    def within(self) -> bool:
        """Whether speed and acceleration keep to the limits and no message was refused."""
        return self.speed <= LIMIT and self.acceleration <= LIMIT and not self.refused


@dataclass(frozen=True, slots=True)
class ControllerBenchOptions:
    """What `video2act bench-controllers` was asked for: every combination is one trial, all with the same seed."""

    rates_hz: tuple[float, ...]
    starts: tuple[StartFrom, ...]
    lags_s: tuple[float, ...]
    lates_s: tuple[float, ...]
    seed: int
    splice_at_stamp: bool = False

    def setups(self) -> tuple[ControllerSetup, ...]:
        """Return the combinations."""
        combined = product(self.rates_hz, self.starts, self.lags_s, self.lates_s)
        return tuple(
            ControllerSetup(rate_hz, start, lag_s, late_s, self.splice_at_stamp)
            for rate_hz, start, lag_s, late_s in combined
        )


def with_outputs(profile: RobotProfile, output: str) -> RobotProfile:
    """Return the robot as if all its command outputs were of the type `output`; as it is where that is empty."""
    if not output:
        return profile
    changes: dict[str, object] = {"type": output}
    if output == "forward_position":
        changes["names"] = {}
    commands = tuple(item.model_copy(update=changes) for item in profile.commands)
    return profile.model_copy(update={"commands": commands})


def _at_controller_rate(profile: RobotProfile, rate_hz: float) -> RobotProfile:
    """Return the robot with that rate in the profile where a controller writes set-points as they are."""
    commands = tuple(
        item.model_copy(update={"rate_hz": rate_hz}) if item.type == "forward_position" else item
        for item in profile.commands
    )
    return profile.model_copy(update={"commands": commands})


def run_bench_controllers(
    profiles: Sequence[RobotProfile],
    options: ControllerBenchOptions,
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[PhaseRow, ...]:
    """Drive every robot through every set-up.

    Where no output is a `joint_trajectory`, where the controllers start from makes no difference and one start is run.

    Args:
        progress: called with what is being run.
    """
    rows: list[PhaseRow] = []
    for profile in profiles:
        trajectories = any(output.type == "joint_trajectory" for output in profile.commands)
        for setup in options.setups():
            if setup.start_from != options.starts[0] and not trajectories:
                continue
            progress(f"{profile.name}, {setup.describe()}")
            trial = ControllerTrial(profile, setup, options.seed)
            trial.run()
            rows += trial.rows()
    return tuple(rows)


def write_rows(path: Path, rows: Sequence[PhaseRow], options: ControllerBenchOptions) -> None:
    """Write the rows as JSON; times are in seconds, speeds and accelerations shares of the limits."""
    content = [asdict(row) | {"within": row.within} for row in rows]
    passed = all(row.within for row in rows if row.judged)
    write_json(path, {"limit": LIMIT, "passed": passed, "options": asdict(options), "rows": content})


class SmoothPolicy:
    """Makes chunks of slow oscillations that change a little with every chunk and begin where the arm is measured."""

    def __init__(self, profile: RobotProfile, rng: np.random.Generator) -> None:
        self._profile, self._rng = profile, rng
        speed, acceleration = profile.limits("velocity_max"), profile.limits("acceleration_max")
        low, high = profile.limits("position_min"), profile.limits("position_max")
        self._rate = rng.uniform(1.0, 3.0, len(speed))  # rad/s of each oscillation
        width = np.minimum(profile.command_speed * speed / self._rate, acceleration / self._rate**2)
        self._width = np.minimum(0.8 * width, 0.35 * (high - low))
        self._middle = np.clip(profile.limits("start"), low + self._width, high - self._width)
        self._phase = rng.uniform(0.0, 2 * np.pi, len(speed))
        self._sequence = 0

    def chunk(self, now_ns: int, measured: Array, epoch: int) -> ActionChunk:
        """Return a chunk observed at `now_ns` with the arm at `measured` (J,), in policy units."""
        self._phase = self._phase + self._rng.uniform(-0.15, 0.15, len(self._phase))
        self._sequence += 1
        after_s = CHUNK_STEP_S * np.arange(CHUNK_STEPS)[:, None]  # (H, 1)
        now_s = now_ns / NS_PER_S - START_S
        wanted = self._middle + self._width * np.sin(self._rate * (now_s + after_s) + self._phase)
        offset = (measured - wanted[0]) * np.exp(-after_s / 0.5)
        return ActionChunk(
            stamp_ns=now_ns,
            sequence=self._sequence,
            epoch=epoch,
            step_s=CHUNK_STEP_S,
            joint_names=self._profile.joint_names,
            positions=wanted + offset,
            image_stamps_ns=(now_ns,),
            latent_stamp_ns=now_ns,
            bundle_id="bench",
        )


class ControllerTrial:
    """One pass through all phases, in explicit time: loop, messages, controllers and joints of one robot."""

    def __init__(self, profile: RobotProfile, setup: ControllerSetup, seed: int) -> None:
        profile = _at_controller_rate(profile, setup.rate_hz)
        self._profile, self._setup = profile, setup
        self._rng = np.random.default_rng(seed)
        config = CommandConfig()
        period_s = 1.0 / profile.command_rate_hz(config.rate_hz)
        self._period_ns = seconds_to_ns(period_s)
        self._loop = ControlLoop(profile, ControlSettings(period_s=period_s))
        self._outputs = [
            (CommandConverter(profile, output, period_s), CommandReader(output))
            for output in profile.commands
        ]
        start = profile.array("start")
        away = 0.15 * (profile.array("position_max") - profile.array("position_min"))
        inside = (profile.array("position_min"), profile.array("position_max"))
        pose = np.clip(start + np.clip(away, 0.0, 0.4) * self._rng.choice([-1.0, 1.0], len(start)), *inside)
        self._robot = ControlledRobot(
            profile,
            pose,
            np.full(len(pose), setup.lag_s),
            setup.rate_hz,
            start_from=setup.start_from,
            splice_at_stamp=setup.splice_at_stamp,
        )
        self._update_ns = seconds_to_ns(1.0 / setup.rate_hz)
        self._now_ns = seconds_to_ns(START_S)
        self._next_update_ns = self._now_ns + int(self._rng.integers(self._update_ns))
        self._policy = SmoothPolicy(profile, self._rng)
        self._thinking: list[tuple[int, ActionChunk]] = []
        self._next_chunk_ns = 0
        self._messages: list[tuple[int, int, int, Any]] = []  # arrival, number, output, message
        self._number = 0
        self._arrival_ns = [0] * len(profile.commands)
        self._seeing = True
        self.phase = ""
        self.phases: list[str] = []  # of every update
        self.commanded: list[Array] = []  # (J,) in robot units, of every update
        self.refused: list[tuple[str, int, str]] = []  # phase, output, why

    def run(self) -> None:
        """Go through every phase."""
        self._loop.start(self._now_ns)
        self._pass(0.3)
        self.phase = "move_to_start"
        self._ask("move-to-start", self._loop.move_to_start(self._now_ns)[0])
        self._until(lambda: self._mode is RunMode.SHADOW and not self._status.sending, "the start pose")
        self.phase = "motion"
        self._engage()
        self._pass(4.0)
        self._hold()
        self.phase = "motion"
        self._pass(2.0)
        self.phase = "disengage"
        self._loop.disengage()
        self._until(lambda: not self._status.sending, "the end of disengaging")
        self._pass(0.5)
        self.phase = "motion"
        self._engage()
        self._pass(1.5)
        self.phase = "stop"
        self._loop.emergency_stop()
        self._pass(1.0)
        self._loop.disengage()
        self._until(lambda: not self._status.sending, "the end of the emergency stop")
        self.phase = "motion"
        self._engage()
        self._pass(1.5)
        self.phase = "killed"
        self._control_until(self._now_ns + NS_PER_S)

    def rows(self) -> Iterator[PhaseRow]:
        """Return what was measured in each phase, by type of the outputs."""
        for output in dict.fromkeys(output.type for output in self._profile.commands):
            refused = [
                phase for phase, index, _ in self.refused if self._profile.commands[index].type == output
            ]
            for phase in PHASES:
                yield self._row(output, phase, refused.count(phase))

    def _row(self, output: str, phase: str, refused: int) -> PhaseRow:
        profile, period_s = self._profile, self._update_ns / NS_PER_S
        names = [joint for item in profile.commands if item.type == output for joint in item.joints]
        indices = [profile.joint_names.index(name) for name in names]
        during = np.flatnonzero(np.array(self.phases[2:]) == phase)
        positions = np.array(self.commanded)[:, indices]  # (N, K)
        speeds = np.abs(np.diff(positions, axis=0))[1:][during] / period_s
        changes = np.abs(np.diff(positions, 2, axis=0))[during] / period_s**2
        shares = changes / profile.array("acceleration_max")[indices]
        joint = int(np.argmax(shares.max(axis=0)))
        return PhaseRow(
            profile=profile.name,
            output=output,
            setup=self._setup,
            phase=phase,
            speed=round(float((speeds / profile.array("velocity_max")[indices]).max()), 4),
            acceleration=round(float(shares.max()), 4),
            acceleration_rms=round(float(np.sqrt((shares**2).mean(axis=0)).max()), 4),
            largest=round(float(changes[:, joint].max()), 4),
            joint=names[joint],
            refused=refused,
        )

    # -- what happens -------------------------------------------------------------------------------

    @property
    def _status(self) -> Any:
        return self._loop.status(self._now_ns)

    @property
    def _mode(self) -> RunMode:
        return self._loop.status(self._now_ns).mode

    def _engage(self) -> None:
        self._pass(0.6)  # chunks of the present episode arrive
        self._ask("engage", self._loop.engage(self._now_ns))
        self._until(lambda: self._mode is RunMode.ENGAGED, "to be engaged")

    def _hold(self) -> None:
        """Let the arm hold in mid-motion for what cannot be seen, then see again."""
        self.phase = "hold"
        self._seeing = False
        self._until(lambda: self._mode is RunMode.HOLDING, "a hold")
        self._pass(1.0)
        self._seeing = True
        self._until(lambda: self._mode is RunMode.ENGAGED, "to go on")

    def _ask(self, what: str, refusals: Sequence[str]) -> None:
        if refusals:
            raise InputError(f"{what} was refused in the bench: {'; '.join(refusals)}")

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        end_ns = self._now_ns + seconds_to_ns(PATIENCE_S)
        while not condition():
            if self._now_ns > end_ns:
                raise InputError(f"waited in vain for {what}: {self._mode.value}, {self._status.reason}")
            self._tick()

    def _pass(self, duration_s: float) -> None:
        for _ in range(round(seconds_to_ns(duration_s) / self._period_ns)):
            self._tick()

    def _tick(self) -> None:
        self._feed()
        command = self._loop.tick(self._now_ns)
        if command is not None:
            self._send(command)
        self._control_until(self._now_ns + self._period_ns)

    def _feed(self) -> None:
        """Give the loop what it sees at this moment."""
        now_ns, profile = self._now_ns, self._profile
        measured = profile.to_policy(self._robot.measured(now_ns)[0])
        self._loop.on_joints(JointSample(now_ns, measured))
        image_s = 0.05 if self._seeing else 10.0
        self._loop.on_report(_report(now_ns, "system1", profile, image_age=image_s))
        self._loop.on_report(_report(now_ns, "system2", profile, frame_gap=0.1))
        while self._thinking and self._thinking[0][0] <= now_ns:
            self._loop.on_chunk(self._thinking.pop(0)[1], now_ns)
        if now_ns >= self._next_chunk_ns:
            self._next_chunk_ns = now_ns + seconds_to_ns(CHUNK_PERIOD_S)
            chunk = self._policy.chunk(now_ns, measured, self._status.epoch)
            self._thinking.append((now_ns + seconds_to_ns(THINKING_S), chunk))

    def _send(self, command: Command) -> None:
        """Put a tick's messages on their way, each late by a time of its own, none overtaking another."""
        for index, (converter, _) in enumerate(self._outputs):
            late_s = SENDING_S + self._rng.uniform(0.0, self._setup.late_s)
            self._arrival_ns[index] = max(self._arrival_ns[index], self._now_ns + seconds_to_ns(late_s))
            self._number += 1
            item = (self._arrival_ns[index], self._number, index, converter.message(command))
            heapq.heappush(self._messages, item)

    def _control_until(self, end_ns: int) -> None:
        """Let the controllers make every update up to `end_ns`."""
        while self._next_update_ns <= end_ns:
            while self._messages and self._messages[0][0] <= self._next_update_ns:
                arrival_ns, _, index, message = heapq.heappop(self._messages)
                self._deliver(index, message, arrival_ns)
            self.commanded.append(self._robot.update(self._next_update_ns))
            self.phases.append(self.phase)
            self._next_update_ns += self._update_ns
        self._now_ns = end_ns

    def _deliver(self, index: int, message: Any, now_ns: int) -> None:
        _, reader = self._outputs[index]
        try:
            self._robot.receive(index, reader.to_controller(message, now_ns / NS_PER_S, now_ns), now_ns)
        except InputError as error:
            self.refused.append((self.phase, index, str(error)))


def _report(now_ns: int, system: str, profile: RobotProfile, **values_s: float) -> InputReport:
    """Return what a system sees of inputs that are all well, but for `values_s` of its cameras."""
    quiet = {"image_frozen": 0.0, "image_dark": 0.0} if system == "system1" else {}
    rows = [
        InputValue(InputCheck(name), camera, value_s)
        for camera in profile.camera_names
        for name, value_s in (quiet | values_s).items()
    ]
    clocks = [InputValue(check, "", 0.0) for check in (InputCheck.CLOCK_AHEAD, InputCheck.CLOCK_BEHIND)]
    return InputReport(now_ns, system, (*clocks, *rows))
