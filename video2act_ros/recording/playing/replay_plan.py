"""What a replay publishes and when: the messages of a bag on one clock that steps only where it says so."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from video2act_ros.core.errors import BagError, InputError
from video2act_ros.core.types import NS_PER_S, seconds_to_ns
from video2act_ros.recording.reading.bag import RawMessage
from video2act_ros.recording.reading.streams import RobotBag

STEP_NS = NS_PER_S  # stamps against the time of receipt; the control loop takes the same for a step
GAP_NS = 2 * NS_PER_S  # without any camera or joint state
_SETTLING_NS = NS_PER_S // 5  # after a step, messages from before it may still come in

_STAMP_AT = 4  # a header's stamp follows the four bytes that name the encoding
RUN_STATE = "run_state"


@dataclass(frozen=True, slots=True)
class ReplayMessage:
    """One message, to be published when the replay's clock shows `clock_ns`."""

    clock_ns: int
    raw: RawMessage


@dataclass(frozen=True, slots=True)
class EpisodeBegin:
    """The clock shows `clock_ns` from here on, after a step or not, and a new episode begins; says why."""

    clock_ns: int
    reason: str


ReplayEvent = ReplayMessage | EpisodeBegin


def stamp_of(data: bytes) -> int:
    """Return the header stamp [ns] of a serialized message whose first field is a Header."""
    order = "<" if data[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", data, _STAMP_AT)
    return int(seconds * NS_PER_S + nanoseconds)


class ReplayPlan:
    """Reads a bag in order. Its clock is the time of receipt, shifted to the stamps' clock where those differ.

    An episode begins where the recording began one, where the stamps' clock stepped, and after a time in which
    nothing was recorded, which is skipped. Messages stamped on the other side of a step are left out.
    """

    def __init__(
        self, robot: RobotBag, start_s: float = 0.0, duration_s: float = 0.0, also: tuple[str, ...] = ()
    ) -> None:
        """Make a plan.

        Args:
            robot: the bag, which stays open while the plan is used.
            start_s: begin so long after the bag's begin.
            duration_s: how much of the bag; 0: to its end.
            also: further topics that are wanted where the bag holds them.

        Raises:
            BagError: a camera or a joint is missing, or nothing lies in that part of the bag.
        """
        self._robot = robot
        bag = self._bag = robot.bag
        self.cameras = {name: robot.camera_source(name) for name in robot.profile.camera_names}
        self.joint_states = tuple(robot.topic(source.topic) for source in robot.profile.joint_states)
        next(robot.joint_samples())  # every joint of this robot is there
        self._inputs = {*(source.topic for source in self.cameras.values()), *self.joint_states}
        self._run_state = robot.topic(RUN_STATE)
        self._also = frozenset(robot.topic(name) for name in also if robot.holds(name))
        self._from_ns = bag.start_ns + seconds_to_ns(start_s)
        self._to_ns = bag.end_ns + 1
        if duration_s > 0:
            self._to_ns = min(self._to_ns, self._from_ns + seconds_to_ns(duration_s))
        self.skipped = 0  # messages left out
        if self._from_ns >= self._to_ns:
            raise BagError(
                f"bag {bag.path} lasts {(bag.end_ns - bag.start_ns) / NS_PER_S:.1f} s, it cannot be replayed from "
                f"{start_s:g} s on; choose an earlier start"
            )

    @property
    def start_ns(self) -> int:
        """When the first message that counts may have been received."""
        return self._from_ns

    @property
    def published(self) -> frozenset[str]:
        """Topics of the bag that the plan's messages come from."""
        return frozenset(self._inputs) | self._also

    @property
    def also(self) -> frozenset[str]:
        """The further topics that the bag holds."""
        return self._also

    def events(self) -> Iterator[ReplayEvent]:
        """Give what is to be done, in order; the first event begins an episode.

        Raises:
            BagError: the file is damaged where it is read, or holds no camera image or joint state there.
        """
        clock = _Clock()
        episode: int | None = None
        for raw in self._robot.raw_messages(self.published | {self._run_state}, self._from_ns, self._to_ns):
            if raw.topic == self._run_state:
                seen = self._episode(raw, episode)
                if episode not in (None, seen) and clock.started:
                    yield EpisodeBegin(clock.show(raw.time_ns), f"episode {seen} of the recording")
                episode = seen
            elif raw.topic in self._inputs:
                try:
                    reason = clock.follow(raw)
                except (struct.error, IndexError) as error:  # too short for a header
                    self._bag.skip(raw.topic, raw.time_ns, error)
                    continue
                if reason is None:
                    self.skipped += 1
                    continue
                if reason:
                    yield EpisodeBegin(clock.show(raw.time_ns), reason)
                yield ReplayMessage(clock.show(raw.time_ns), raw)
            if raw.topic in self._also and clock.started:
                yield ReplayMessage(clock.show(raw.time_ns), raw)
        if not clock.started:
            raise BagError(
                f"bag {self._bag.path} holds no camera image or joint state in this part; choose another"
            )

    def _episode(self, raw: RawMessage, before: int | None) -> int | None:
        """Return the episode that a run state tells; the one before where it cannot be decoded."""
        try:
            return int(self._bag.decode(raw).episode)
        except InputError as error:
            self._bag.skip(raw.topic, raw.time_ns, error)
            return before


class _Clock:
    """Shows the recording's time: that of receipt, moved to the stamps' clock."""

    def __init__(self) -> None:
        self._offset_ns = 0
        self._newest_ns: int | None = None  # receipt of the newest input
        self._stepped_ns = 0  # receipt of the input that showed a step
        self._lag_ns: dict[str, int] = {}  # how old each topic's newest message was when it was received

    @property
    def started(self) -> bool:
        """Whether an input was seen."""
        return self._newest_ns is not None

    def show(self, time_ns: int) -> int:
        """Return the clock's time at a time of receipt."""
        return time_ns + self._offset_ns

    def follow(self, raw: RawMessage) -> str | None:
        """Take an input; return why an episode begins with it, "" where none does, None to leave it out."""
        stamp_ns = stamp_of(raw.data) or self.show(raw.time_ns)
        before_ns, self._newest_ns = self._newest_ns, raw.time_ns
        lag_ns = self.show(raw.time_ns) - stamp_ns
        if before_ns is None:
            self._move(raw, stamp_ns, lag_ns)
            return "the replay begins"
        gap_ns = raw.time_ns - before_ns
        if abs(lag_ns - self._lag_ns.get(raw.topic, 0)) > STEP_NS:
            if raw.time_ns - self._stepped_ns < _SETTLING_NS and self._stepped_ns:
                return None
            self._stepped_ns = raw.time_ns
            self._move(raw, stamp_ns, lag_ns)
            return (
                f"the stamps in the bag step by {(self._lag_ns.get(raw.topic, 0) - lag_ns) / NS_PER_S:+.2f} s"
            )
        self._lag_ns[raw.topic] = lag_ns
        if gap_ns > GAP_NS:
            return f"nothing was recorded for {gap_ns / NS_PER_S:.1f} s, which are skipped"
        return ""

    def _move(self, raw: RawMessage, stamp_ns: int, lag_ns: int) -> None:
        """Set the clock so that this message is as old as its topic's messages were before."""
        usual_ns = self._lag_ns.get(raw.topic, 0)
        if abs(lag_ns - usual_ns) > STEP_NS:
            self._offset_ns = stamp_ns + usual_ns - raw.time_ns
            lag_ns = usual_ns
        self._lag_ns[raw.topic] = lag_ns
