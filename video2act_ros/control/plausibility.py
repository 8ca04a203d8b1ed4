"""What is measured and sent, judged before it is believed: joint states, and who else publishes inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from video2act_ros.control.frozen_joints import FrozenJoints
from video2act_ros.control.joint_jumps import JointJumps, Jump
from video2act_ros.control.joint_ranges import JointRanges
from video2act_ros.control.problem import Problem, graded
from video2act_ros.control.spell import Spell
from video2act_ros.core.motion import Vector
from video2act_ros.core.other_clock import is_other_clock, other_clock_words
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import NS_PER_S, JointSample


@dataclass(frozen=True, slots=True)
class SecondPublisher:
    """Another node on a topic that one alone should publish on: who, and the remedy, in words.

    `of_arm`: it matters whoever drives, as that of joint states; else only while the policy drives.
    """

    topic: str
    text: str
    of_arm: bool


class InputPublishers:
    """For how long several nodes have been publishing on an input's topic. Not thread-safe."""

    def __init__(self, profile: RobotProfile) -> None:
        self._threshold = profile.thresholds.second_input_publisher_s
        self._seconds: dict[str, SecondPublisher] = {}
        self._since_ns: dict[str, int] = {}

    def take(self, seconds: Iterable[SecondPublisher], now_ns: int) -> None:
        """Take all that is seen of second publishers now."""
        self._seconds = {second.topic: second for second in seconds}
        self._since_ns = {topic: self._since_ns.get(topic, now_ns) for topic in self._seconds}

    def begin_anew(self, now_ns: int) -> None:
        """Count from `now_ns`: the clock was stepped."""
        self._since_ns = dict.fromkeys(self._since_ns, now_ns)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every second publisher in words, however new."""
        return tuple(second.text for second in self._seconds.values())

    @property
    def of_arm(self) -> bool:
        """Whether one of them matters whoever drives."""
        return any(second.of_arm for second in self._seconds.values())

    def problems(self, now_ns: int, *, of_arm: bool) -> Iterator[Problem]:
        """Yield those that last, of the arm or of the policy."""
        for topic, second in self._seconds.items():
            outcome = self._threshold.outcome((now_ns - self._since_ns[topic]) / NS_PER_S)
            if outcome is not None and second.of_arm is of_arm:
                yield Problem(outcome, second.text)


class MeasuredJoints:
    """Decides which joint samples are believed, and what is wrong with those that arrive.

    A sample that lies where a joint cannot be (`JointRanges`), or farther from the one before than it can move
    (`JointJumps`), is not believed: the newest one that is stays, and grows old. Driven by explicit time; not
    thread-safe.
    """

    def __init__(self, profile: RobotProfile) -> None:
        self._thresholds = profile.thresholds
        self._names = profile.joint_names
        self._topics = _topics(profile)
        self._ranges = JointRanges(profile)
        self._jumps = JointJumps(profile)
        self._frozen = FrozenJoints(profile)
        self._refusing = Spell()
        self._why = ""  # why the newest refused sample was, in words
        self._arrived_ns: int | None = None
        self._stamp_ns: int | None = None
        self._stamp_since_ns = 0  # when the newest sample with another stamp arrived

    def take(self, sample: JointSample, now_ns: int) -> bool:
        """Judge a sample that arrived at `now_ns`; return whether it is believed."""
        if sample.stamp_ns != self._stamp_ns:
            self._stamp_ns, self._stamp_since_ns = sample.stamp_ns, now_ns
        self._arrived_ns = now_ns
        if (where := self._ranges.impossible(sample.positions)) is not None:
            self._refuse(f"measured {where}", now_ns)
            return False
        believed = self._jumps.believe(sample, now_ns)
        if self._jumps.jump is not None:
            self._refuse(self._words(self._jumps.jump), now_ns)
        if believed:
            self._frozen.measure(sample)
        return believed

    def _refuse(self, why: str, now_ns: int) -> None:
        self._why = why
        self._refusing.note(now_ns)

    def command(self, positions: Vector | None, now_ns: int) -> None:
        """Take the command (J,) that is sent at `now_ns`, or that none is."""
        if positions is None:
            self._frozen.let_go()
        else:
            self._frozen.command(positions, now_ns)

    def expect_elsewhere(self, now_ns: int) -> None:
        """Take that an episode begins: the arm may be put elsewhere."""
        self._jumps.expect_elsewhere(now_ns)
        self._refusing.end()
        self._frozen.let_go()

    def forget(self) -> None:
        """Forget every sample: the clock was stepped."""
        self._jumps.forget()
        self._frozen.let_go()
        self._refusing.end()
        self._arrived_ns = self._stamp_ns = None

    def refusing(self, now_ns: int) -> bool:
        """Return whether samples were refused lately."""
        return self._refusing.lasting_s(now_ns) is not None

    def problems(self, now_ns: int) -> Iterator[Problem]:
        """Yield what is wrong with the positions that arrive."""
        if (lasting_s := self._refusing.lasting_s(now_ns)) is not None:
            outcome = self._thresholds.joint_jump_s.outcome(lasting_s)
            if outcome is not None:
                yield Problem(outcome, self._why)
        text = (
            "measured {joints} unchanged to the last bit for {value:.2f} s although commanded to move by more (limit "
            "{limit:g} s); check servos, encoders and driver, or free the arm; disengage, then engage"
        )
        problem = graded(
            self._thresholds.joint_frozen_s, self._frozen.lasting_s, text, joints=self._frozen.words
        )
        if problem is not None:
            yield problem

    def stamp_words(self, now_ns: int, age_s: float) -> str | None:
        """Return what is wrong with the stamps of samples that do arrive, where their `age_s` is no delay; or None."""
        if is_other_clock(age_s):
            return f"joint states are {other_clock_words(age_s, 'their driver')}"
        limit_s = self._thresholds.joint_state_age_s.stop
        if self._arrived_ns is None or (now_ns - self._arrived_ns) / NS_PER_S > limit_s:
            return None
        if (self._arrived_ns - self._stamp_since_ns) / NS_PER_S > limit_s:
            return f"joint states keep coming with one stamp, {age_s:.2f} s old; let their driver stamp each anew"
        return None

    def _words(self, jump: Jump) -> str:
        name, topic = self._names[jump.joint], self._topics[jump.joint]
        remedy = f"let one driver alone publish on {topic}, and check it"
        if jump.gap_s < 0:
            return f"joint states on {topic} run back in time by {-jump.gap_s:.3f} s; {remedy}"
        return (
            f"measured {name} jumps from {jump.before:.2f} to {jump.after:.2f} within {jump.gap_s:.3f} s, faster than "
            f"it can move; {remedy}"
        )


def _topics(profile: RobotProfile) -> tuple[str, ...]:
    """Return the topics that carry each joint."""
    sources = tuple(zip(profile.joint_states, profile.carried_joints, strict=True))
    return tuple(
        " or ".join(source.topic for source, carried in sources if name in carried)
        for name in profile.joint_names
    )
