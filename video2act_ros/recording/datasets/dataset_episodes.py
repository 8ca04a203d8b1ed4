"""Episodes for a dataset: the driven parts of bags, sampled at a rate, each whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from video2act_ros.core.errors import BagError, DatasetError
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import NS_PER_S
from video2act_ros.recording.datasets.drive_spans import DriveSpan, find_spans
from video2act_ros.recording.datasets.observations import (
    Commands,
    Hole,
    Sample,
    Sampler,
    read_commands,
    ticks,
)
from video2act_ros.recording.reading.bag import FORGIVING, Reading, open_bag
from video2act_ros.recording.reading.streams import RobotBag


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What every export needs.

    Args:
        bags: folders, or bare `.mcap` files.
        profile: the recorded robot's.
        rate_hz: samples a second.
        task: instruction of every episode; empty takes the recorded one.
        namespace: of the recorded stack; None finds it.
        reading: how to read the bags.
        partial: also take episodes without a success label, parts between holes, and what a damaged bag gives.
    """

    bags: tuple[Path, ...]
    profile: RobotProfile
    rate_hz: float
    task: str = ""
    namespace: str | None = None
    partial: bool = False
    reading: Reading = FORGIVING

    def __post_init__(self) -> None:
        if not self.bags:
            raise DatasetError("no bag to export; give the folder of one or more")
        if not 0 < self.rate_hz <= 1000:
            raise DatasetError(f"the rate must lie in (0, 1000] Hz, got {self.rate_hz:g}")


@dataclass(slots=True)
class ExportReport:
    """What an export made: episodes and samples, samples between commands and images that were left out, and why.

    `skipped` tells of messages that could not be used, a line for each topic of a bag.
    """

    episodes: int = 0
    frames: int = 0
    seconds: float = 0.0
    external_frames: int = 0
    holes: int = 0
    problems: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SourceEpisode:
    """One driven part of a bag, to be sampled."""

    bag: Path
    robot: RobotBag
    commands: Commands
    span: DriveSpan
    task: str

    def samples(self, rate_hz: float, cameras: tuple[str, ...] | None = None) -> Iterator[Sample | Hole]:
        """Give a sample or a hole for each time; from the first to the last time of the part."""
        return Sampler(self.robot, self.commands, cameras).samples(self.span, ticks(self.span, rate_hz))

    @property
    def name(self) -> str:
        """The part in words."""
        from_s = (self.span.received_from_ns - self.robot.bag.start_ns) / NS_PER_S
        return f"the part of bag {self.bag} from {from_s:.1f} s on"


def source_episodes(options: ExportOptions, report: ExportReport) -> Iterator[SourceEpisode]:
    """Give every driven part of every bag, while its bag is open.

    Raises:
        BagError: a bag cannot be read, or was never driven.
        DatasetError: a part has no instruction or, without `partial`, no success label.
    """
    for path in options.bags:
        with _reading(path, options, report), open_bag(path, options.reading) as bag:
            robot = RobotBag(bag, options.profile, options.namespace)
            for name in options.profile.camera_names:
                robot.camera_source(name)
            commands = read_commands(robot)
            for span in find_spans(robot):
                task = options.task or span.instruction or _chunks_task(robot, span)
                episode = SourceEpisode(path, robot, commands, span, task)
                _check(episode, options)
                yield episode
            report.skipped += [f"{path}: {line}" for line in bag.skipped.told(bag.start_ns)]


def _chunks_task(robot: RobotBag, span: DriveSpan) -> str:
    """Return the instruction that System 1 made a part's chunks for, where no run state names one; empty: none.

    Raises:
        DatasetError: there are several.
    """
    found = {
        item.value.instruction
        for item in robot.chunks(span.received_from_ns, span.received_to_ns + 1)
        if item.value.instruction
    }
    if len(found) > 1:
        raise DatasetError(
            f"the chunks in bag {robot.bag.path} were made for several instructions "
            f"({'; '.join(sorted(found))}), and no run state names one; choose one with --task"
        )
    return next(iter(found), "")


@contextmanager
def _reading(path: Path, options: ExportOptions, report: ExportReport) -> Iterator[None]:
    """With `partial`, go on with the next bag where one is damaged."""
    try:
        yield
    except BagError as error:
        if not options.partial:
            raise
        report.problems.append(f"{path}: {error}")


def _check(episode: SourceEpisode, options: ExportOptions) -> None:
    if not episode.task:
        raise DatasetError(f"{episode.name} names no instruction; give one with --task")
    if episode.span.success is None and not options.partial:
        raise DatasetError(
            f"{episode.name} has no success label, nothing was recorded on task_success; "
            "take it nevertheless with --partial"
        )


def whole_parts(
    episode: SourceEpisode, items: Iterator[Sample | Hole], options: ExportOptions, report: ExportReport
) -> Iterator[tuple[Sample, bool]]:
    """Give the samples of an episode, each with whether a part without holes begins with it.

    Holes before the first and after the last sample are left out.

    Raises:
        DatasetError: there is a hole between two samples and `partial` is not set, or there is no sample.
    """
    hole: Hole | None = None
    first: Hole | None = None
    begun = False
    for item in _readable(items, episode, options, report):
        if isinstance(item, Hole):
            hole = first = item if hole is None else hole
            report.holes += 1
            continue
        if begun and hole is not None:
            text = _told(episode, hole, item.time_ns)
            if not options.partial:
                raise DatasetError(f"{text}; take the parts between holes with --partial")
            report.problems.append(text)
        yield item, not begun or hole is not None
        begun, hole = True, None
    if not begun:
        reason = first.reason if first is not None else "it is too short"
        if not options.partial:
            raise DatasetError(f"{episode.name} gives no sample: {reason}")
        report.problems.append(f"{episode.name} gives no sample: {reason}")


def _readable(
    items: Iterator[Sample | Hole], episode: SourceEpisode, options: ExportOptions, report: ExportReport
) -> Iterator[Sample | Hole]:
    """With `partial`, end an episode where its bag is damaged."""
    with _reading(episode.bag, options, report):
        yield from items


def _told(episode: SourceEpisode, hole: Hole, until_ns: int) -> str:
    length_s, at_s = (until_ns - hole.time_ns) / NS_PER_S, (hole.time_ns - episode.span.start_ns) / NS_PER_S
    return f"{episode.name} has a hole of {length_s:.2f} s at {at_s:.2f} s: {hole.reason}"
