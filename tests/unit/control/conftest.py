"""A two-joint arm with a gripper, and chunks for it."""

import numpy as np
import pytest
from shared_configs import THRESHOLDS

from video2act_ros.control.limiter import JointLimits
from video2act_ros.control.loop import ControlLoop, ControlSettings
from video2act_ros.core.input_report import InputCheck, InputReport, InputValue
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.thresholds import Threshold
from video2act_ros.core.types import ActionChunk, JointSample, RunMode, seconds_to_ns

NAMES = ("shoulder", "elbow", "gripper")
PERIOD_S = 0.02


def graded(profile, **changes):
    """Return a profile with other thresholds."""
    thresholds = profile.thresholds.model_copy(update=changes)
    return profile.model_copy(update={"thresholds": thresholds})


def ns(time_s):
    return seconds_to_ns(time_s)


def chunk(stamp_s, values, *, step_s=0.05, epoch=0, latent_s=None, names=NAMES, bundle_id="b", sequence=0):
    """Return a chunk whose every joint follows `values` (H,) or (H, J)."""
    values = np.asarray(values, dtype=np.float64)
    positions = values if values.ndim == 2 else np.repeat(values[:, None], len(names), axis=1)
    return ActionChunk(
        stamp_ns=ns(stamp_s),
        sequence=sequence,
        epoch=epoch,
        step_s=step_s,
        joint_names=names,
        positions=positions,
        image_stamps_ns=(ns(stamp_s),),
        latent_stamp_ns=ns(stamp_s if latent_s is None else latent_s),
        bundle_id=bundle_id,
    )


def joints(stamp_s, positions=(0.0, 0.0, 0.0)):
    return JointSample(stamp_ns=ns(stamp_s), positions=np.array(positions, dtype=np.float64))


def report(stamp_s, *, system="system1", camera="cam_high", **values_s):
    """Return an input report of a synchronised clock; without values the camera's image is new, moving and bright."""
    values_s = values_s or {"image_age": 0.05, "image_frozen": 0.0, "image_dark": 0.0}
    values_s = {"clock_ahead": 0.0, "clock_behind": 0.0} | values_s
    rows = tuple(
        InputValue(InputCheck(name), "" if name.startswith("clock") else camera, value_s)
        for name, value_s in values_s.items()
    )
    return InputReport(ns(stamp_s), system, rows)


@pytest.fixture
def profile():
    joint = {
        "position_min": -2.0,
        "position_max": 2.0,
        "velocity_max": 2.0,
        "acceleration_max": 8.0,
        "jerk_max": 2000.0,
        "start": 0.0,
    }
    gripper = joint | {
        "position_min": 0.0,
        "position_max": 0.04,
        "velocity_max": 0.08,
        "acceleration_max": 0.4,
    }
    return RobotProfile.model_validate(
        {
            "name": "test",
            "joints": [
                joint | {"name": "shoulder"},
                joint | {"name": "elbow"},
                gripper | {"name": "gripper", "gripper": True},
            ],
            "cameras": [{"name": "cam_high", "topic": "cam_high"}],
            "joint_states": [{"topic": "joint_states"}],
            "commands": [{"topic": "command", "type": "joint_trajectory", "joints": NAMES}],
            "thresholds": THRESHOLDS
            | {"image_age_s": 0.3, "joint_state_age_s": 0.1, "latent_age_s": 1.0, "chunk_age_s": 0.5},
        }
    )


@pytest.fixture
def make_chunk():
    return chunk


@pytest.fixture
def make_joints():
    return joints


@pytest.fixture
def make_report():
    return report


class Bench:
    """A loop with a clock, a robot that stands where it is told, cameras, and a policy that is fed by hand."""

    def __init__(self, profile, **options):
        self.profile, self.make_chunk = profile, chunk
        self.loop = ControlLoop(profile, ControlSettings(period_s=PERIOD_S, **options))
        self.time_s = 100.0
        self.measured = np.zeros(3)
        self.measuring = self.seeing = True
        self.blocked = False  # the arm does not follow
        self.commands = []
        self.loop.start(self.now_ns)

    @property
    def now_ns(self):
        return seconds_to_ns(self.time_s)

    @property
    def status(self):
        return self.loop.status(self.now_ns)

    @property
    def mode(self):
        return self.status.mode

    @property
    def reason(self):
        return self.status.reason

    def chunk(self, values, **options):
        values = np.asarray(values, dtype=np.float64)
        if values.ndim == 1:  # every joint follows as far as it can
            values = np.clip(values[:, None], [-2.0, -2.0, 0.0], [2.0, 2.0, 1.0])
        options = {"epoch": self.status.epoch, "stamp_s": self.time_s} | options
        return self.loop.on_chunk(chunk(options.pop("stamp_s"), values, **options), self.now_ns)

    def hold_still(self):
        """Give a chunk that stays where the arm is."""
        return self.chunk(np.repeat(self.measured[None], 30, axis=0))

    def see(self, **options):
        self.loop.on_report(report(self.time_s, **options))
        self.loop.on_report(report(self.time_s, system="system2", frame_gap=0.1))

    def tick(self, count=1):
        """Advance by whole periods; return the last command."""
        command = None
        for _ in range(count):
            self.time_s += PERIOD_S
            if self.seeing:
                self.see()
            if self.measuring:
                self.loop.on_joints(joints(self.time_s, self.measured))
            command = self._take(self.loop.tick(self.now_ns))
        return command

    def tick_after(self, missed):
        """Let ticks pass without one; return the command of the next."""
        self.time_s += (missed + 1) * PERIOD_S
        self.see()
        self.loop.on_joints(joints(self.time_s, self.measured))
        return self._take(self.loop.tick(self.now_ns, missed))

    def _take(self, command):
        if command is not None:
            self.commands.append(command)
            self.measured = self.measured if self.blocked else command.state.positions
        return command

    def tick_until(self, condition, limit=2000, **each):
        """Tick until `condition()`; return how many ticks that took."""
        for count in range(limit):
            if condition():
                return count
            self.tick()
        raise AssertionError(f"not reached in {limit} ticks: {self.mode} {self.reason}")

    def engage(self):
        self.tick()
        self.hold_still()
        assert self.loop.engage(self.now_ns) == ()
        self.tick()

    def drive(self, speed=1.0, ticks=20):
        """Engage and move both arm joints at `speed`."""
        self.engage()
        self.chunk(self.measured[0] + np.arange(60) * 0.05 * speed)
        self.tick(ticks)

    def tick_until_engaged(self):
        """Let the arm come to rest and go on."""
        return self.tick_until(lambda: self.mode is RunMode.ENGAGED, 40)

    def at_rest(self):
        return not np.any(self.commands[-1].state.velocities)

    def assert_within_limits(self):
        limits = JointLimits.of(self.profile)
        positions = np.array([command.state.positions for command in self.commands])
        velocities = np.diff(positions, axis=0) / PERIOD_S
        accelerations = np.diff(velocities, axis=0) / PERIOD_S
        jerks = np.diff(accelerations, axis=0) / PERIOD_S
        assert np.all(np.abs(velocities) <= limits.velocity_max * (1 + 1e-6))
        assert np.all(np.abs(accelerations) <= limits.acceleration_max * (1 + 1e-6) + 1e-6)
        assert np.all(np.abs(jerks) <= limits.jerk_max * (1 + 1e-6) + 1e-3)


@pytest.fixture
def make_bench(profile):
    return lambda profile=profile, **options: Bench(profile, **options)


@pytest.fixture
def bench(make_bench):
    return make_bench()


@pytest.fixture(name="graded")
def graded_fixture():
    return graded


@pytest.fixture
def make_patient(profile):
    """Make a bench whose chunks may be two seconds old."""
    return lambda **options: Bench(graded(profile, chunk_age_s=Threshold(hold=2.0)), **options)


@pytest.fixture
def patient(make_patient):
    return make_patient()
