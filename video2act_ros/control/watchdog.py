"""Which inputs are too old, missing or wrong to act on, and how grave that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from video2act_ros.control.joint_ranges import JointRanges
from video2act_ros.control.plausibility import InputPublishers, MeasuredJoints, SecondPublisher
from video2act_ros.control.problem import Problem, graded
from video2act_ros.control.report_watch import ReportWatch
from video2act_ros.core.input_report import InputReport
from video2act_ros.core.motion import Vector
from video2act_ros.core.other_clock import FUTURE_TOLERANCE_S, is_other_clock, other_clock_words
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.thresholds import Outcome, Threshold
from video2act_ros.core.types import NS_PER_S, ActionChunk, JointSample

_DEAF_S = 0.5  # so long may a listener be away while commands are sent: discovery is not instant


@dataclass(frozen=True, slots=True)
class InputAges:
    """Ages of what the next command would rest on [s]; None where there is no such input.

    `chunk_s`, `joint_state_s` and `latent_s` count from now, so that what has died shows as soon as its
    threshold passes. `image_s` and `observed_latent_s` say how old those inputs were when the newest
    chunk's observation was taken.
    """

    chunk_s: float | None = None
    joint_state_s: float | None = None
    image_s: tuple[float, ...] = ()
    latent_s: float | None = None
    observed_latent_s: float | None = None

    @classmethod
    def at(cls, now_ns: int, chunk: ActionChunk | None, joints: JointSample | None) -> InputAges:
        """Measure the ages at `now_ns`."""
        joint_state_s = None if joints is None else (now_ns - joints.stamp_ns) / NS_PER_S
        if chunk is None:
            return cls(joint_state_s=joint_state_s)
        latent_ns = chunk.latent_stamp_ns
        return cls(
            chunk_s=(now_ns - chunk.stamp_ns) / NS_PER_S,
            joint_state_s=joint_state_s,
            image_s=tuple((chunk.stamp_ns - stamp_ns) / NS_PER_S for stamp_ns in chunk.image_stamps_ns),
            latent_s=(now_ns - latent_ns) / NS_PER_S if latent_ns else None,
            observed_latent_s=(chunk.stamp_ns - latent_ns) / NS_PER_S if latent_ns else None,
        )


class Watchdog:
    """Compares what the arm depends on with the robot profile's thresholds.

    Driven by explicit time; not thread-safe: the control loop guards it.
    """

    def __init__(self, profile: RobotProfile) -> None:
        self._thresholds = profile.thresholds
        self._reports = ReportWatch(profile)
        self._measured = MeasuredJoints(profile)
        self._ranges = JointRanges(profile)
        self._publishers = InputPublishers(profile)
        self._others: dict[str, str] = {}  # command topics that somebody else publishes: who
        self._others_since_ns: dict[str, int] = {}
        self._deaf_since_ns: dict[str, int] = {}  # why no driver takes the commands of an output
        self._missing_joints: tuple[str, ...] = ()
        self._now_ns = 0  # of the newest judgement

    def on_report(self, report: InputReport) -> None:
        """Take what one system sees of its own inputs; that of an unknown system is an InputError."""
        self._reports.add(report)

    def on_joints(self, sample: JointSample, now_ns: int) -> bool:
        """Take a measured pose that arrived at `now_ns`; return whether it may be believed."""
        return self._measured.take(sample, now_ns)

    def doubts_pose(self, now_ns: int) -> bool:
        """Return whether the believed pose may be another's: nothing must move the arm towards it.

        So while samples are refused, for of two sources in turn nobody knows the true one, and while several nodes
        publish what concerns the arm.
        """
        return self._measured.refusing(now_ns) or self._publishers.of_arm

    def on_command(self, positions: Vector | None, now_ns: int) -> None:
        """Take the command (J,) that goes to the arm in this tick, or that none does."""
        self._measured.command(positions, now_ns)

    def on_episode(self, now_ns: int) -> None:
        """Take that an episode begins at `now_ns`: the arm may be put elsewhere."""
        self._measured.expect_elsewhere(now_ns)

    def impossible_target(self, positions: Vector) -> str | None:
        """Return why an external command (J,) cannot be meant, as with another unit; None where it can."""
        where = self._ranges.impossible(positions)
        return None if where is None else f"external command wants {where}"

    def on_second_publishers(self, seconds: Iterable[SecondPublisher], now_ns: int) -> None:
        """Take on which topics of inputs more than one node publishes now."""
        self._publishers.take(seconds, now_ns)

    def on_other_publishers(self, others: Mapping[str, str], now_ns: int) -> None:
        """Take on which command topics somebody else publishes now: who, and the remedy, in words."""
        self._others = dict(others)
        self._others_since_ns = {topic: self._others_since_ns.get(topic, now_ns) for topic in others}

    def on_deaf_outputs(self, reasons: Iterable[str], now_ns: int) -> None:
        """Take why no driver listens to some command outputs now, one text per output."""
        self._deaf_since_ns = {text: self._deaf_since_ns.get(text, now_ns) for text in reasons}

    def on_missing_joints(self, reasons: tuple[str, ...]) -> None:
        """Take why joints have not been measured yet, in words; empty: all have."""
        self._missing_joints = reasons

    @property
    def deaf(self) -> tuple[str, ...]:
        """Why no driver takes the commands of some outputs."""
        return tuple(self._deaf_since_ns)

    @property
    def others(self) -> tuple[str, ...]:
        """What forbids to begin, whoever drives then, in words, as of the newest judgement.

        Where somebody else publishes commands or inputs, one reason per topic; images that are none of now.
        """
        commands = (self._other_text(topic) for topic in self._others)
        return (*commands, *self._publishers.texts, *self._reports.implausible(self._now_ns))

    def _other_text(self, topic: str) -> str:
        return f"another publisher on {topic}: {self._others[topic]}"

    def forget(self, now_ns: int) -> None:
        """Drop every report and sample: after a step of the clock to `now_ns` their stamps mean nothing."""
        self._reports.clear()
        self._measured.forget()
        self._publishers.begin_anew(now_ns)
        self._others_since_ns = dict.fromkeys(self._others_since_ns, now_ns)
        self._deaf_since_ns = dict.fromkeys(self._deaf_since_ns, now_ns)

    def robot_problems(self, now_ns: int, joints: JointSample | None) -> tuple[Problem, ...]:
        """Return what is wrong with the arm itself, whoever drives it: joint states, command topics.

        Args:
            now_ns: the present time.
            joints: the newest sample that was believed.
        """
        self._now_ns = now_ns
        implausible = tuple(self._measured.problems(now_ns))
        return (
            *implausible,
            *self._robot(now_ns, joints, explained=bool(implausible)),
            *self._other_publishers(now_ns),
            *self._publishers.problems(now_ns, of_arm=True),
            *self._deaf_outputs(now_ns),
        )

    def policy_problems(
        self, now_ns: int, chunk: ActionChunk | None, missing: str = "check System 1"
    ) -> tuple[Problem, ...]:
        """Return what is wrong with what the policy sees and says.

        Args:
            now_ns: the present time.
            chunk: the newest chunk of this epoch.
            missing: what to say where that is missing or too old.
        """
        ages = InputAges.at(now_ns, chunk, None)
        with_latents = chunk is not None and bool(chunk.latent_stamp_ns)
        return (
            *self._policy(ages, missing),
            *self._publishers.problems(now_ns, of_arm=False),
            *self._reports.problems(now_ns, with_latents),
        )

    def _robot(self, now_ns: int, joints: JointSample | None, *, explained: bool) -> Iterator[Problem]:
        """Yield that the pose is unknown, old or stamped wrongly; `explained`: why none is believed is told already."""
        age_s = InputAges.at(now_ns, None, joints).joint_state_s
        remedy = "check the robot driver"
        if explained and (age_s is None or age_s > self._thresholds.joint_state_age_s.stop):
            yield Problem(Outcome.HOLD, "so the measured pose is unknown")
        elif age_s is None:
            why = "; ".join(self._missing_joints) or remedy
            yield Problem(Outcome.HOLD, f"no joint state yet; {why}")
        elif (words := self._wrong_stamp(now_ns, age_s)) is not None:
            yield Problem(Outcome.HOLD, words)
        else:
            yield from _too_old("joint state", self._thresholds.joint_state_age_s, age_s, remedy)

    def _wrong_stamp(self, now_ns: int, age_s: float) -> str | None:
        if age_s <= self._thresholds.joint_state_age_s.stop and age_s >= -FUTURE_TOLERANCE_S:
            return None
        return self._measured.stamp_words(now_ns, age_s)

    def _other_publishers(self, now_ns: int) -> Iterator[Problem]:
        for topic, since_ns in self._others_since_ns.items():
            lasting_s = (now_ns - since_ns) / NS_PER_S
            outcome = self._thresholds.second_publisher_s.outcome(lasting_s)
            if outcome is not None:
                yield Problem(outcome, self._other_text(topic))

    def _deaf_outputs(self, now_ns: int) -> Iterator[Problem]:
        for text, since_ns in self._deaf_since_ns.items():
            if (now_ns - since_ns) / NS_PER_S > _DEAF_S:
                yield Problem(Outcome.HOLD, text)

    def _policy(self, ages: InputAges, missing: str) -> Iterator[Problem]:
        limits, late = self._thresholds, False
        if ages.chunk_s is None:
            yield Problem(Outcome.HOLD, f"no chunk of this epoch yet; {missing}")
        else:
            late = limits.chunk_age_s.outcome(ages.chunk_s) is not None
            yield from _too_old("chunk of this epoch", limits.chunk_age_s, ages.chunk_s, missing)
        name = "camera image of the newest chunk"
        for age_s in sorted({max(ages.image_s), min(ages.image_s)} if ages.image_s else ()):
            yield from _too_old(name, limits.image_age_s, age_s, "check the cameras")
        # The latents of a chunk that is late itself tell nothing about System 2 any more.
        latent_s = ages.observed_latent_s if late else ages.latent_s
        if latent_s is not None:
            name = "latents of the newest chunk"
            yield from _too_old(name, limits.latent_age_s, latent_s, "check System 2")


def _too_old(name: str, threshold: Threshold, age_s: float, remedy: str) -> Iterator[Problem]:
    if is_other_clock(age_s):
        yield Problem(Outcome.HOLD, f"{name} {other_clock_words(age_s, 'its source')}")
        return
    if age_s < -FUTURE_TOLERANCE_S:
        text = f"{name} stamped {-age_s:.2f} s in the future; synchronise the clocks"
        yield Problem(Outcome.HOLD, text)
        return
    text = "{name} too old ({value:.2f} s, limit {limit:g} s); {remedy}"
    problem = graded(threshold, age_s, text, name=name, remedy=remedy)
    if problem is not None:
        yield problem
