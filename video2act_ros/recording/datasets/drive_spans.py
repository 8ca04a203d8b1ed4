"""The parts of a recording in which an arm was driven: what becomes the episodes of a dataset."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

from video2act_ros.core.errors import BagError
from video2act_ros.core.types import NS_PER_S, RunMode
from video2act_ros.recording.reading.streams import RobotBag, RunRecord, Timed

PAUSE_NS = NS_PER_S // 2  # a shorter hold belongs to the episode
LABEL_NS = NS_PER_S  # a success is told at most so long after the arm was let go
EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class DriveSpan:
    """One part: from the first to the last run state that tells that the arm is driven.

    `start_ns` and `end_ns` are on the stamps' clock, `received_…` on the recorder's. `success` is None where the
    recording tells nothing about it. `changes` holds (stamp [ns], whether an external source drives).
    """

    start_ns: int
    end_ns: int
    received_from_ns: int
    received_to_ns: int
    episode: int
    instruction: str
    success: bool | None = None
    changes: tuple[tuple[int, bool], ...] = ()

    def is_external(self, stamp_ns: int) -> bool:
        """Return whether an external source drove the arm at a time."""
        index = bisect_right(self.changes, (stamp_ns, True)) - 1
        return self.changes[max(index, 0)][1] if self.changes else False


def find_spans(robot: RobotBag) -> tuple[DriveSpan, ...]:
    """Return every part in which the arm was driven; all of a bag without run states.

    Another episode, another instruction, or an arm that was not driven for longer than half a second ends one.

    Raises:
        BagError: the arm was never driven.
    """
    if not robot.holds("run_state"):
        bag = robot.bag
        return (DriveSpan(bag.start_ns, bag.end_ns, bag.start_ns, bag.end_ns, 0, ""),)
    spans = tuple(_spans(robot))
    if not spans:
        raise BagError(f"the arm was never engaged in bag {robot.bag.path}; record while it is driven")
    return _labelled(robot, spans)


def _spans(robot: RobotBag) -> Iterator[DriveSpan]:
    span: DriveSpan | None = None
    for record in robot.run_states():
        if record.value.state != RunMode.ENGAGED.value:
            continue
        if span is not None and _continues(span, record):
            span = _extended(span, record)
            continue
        if span is not None:
            yield span
        span = _begun(record)
    if span is not None:
        yield span


def _begun(record: Timed[RunRecord]) -> DriveSpan:
    state = record.value
    change = (state.stamp_ns, state.source == EXTERNAL)
    return DriveSpan(
        state.stamp_ns,
        state.stamp_ns,
        record.time_ns,
        record.time_ns,
        state.context.episode,
        state.context.instruction,
        changes=(change,),
    )


def _continues(span: DriveSpan, record: Timed[RunRecord]) -> bool:
    context = record.value.context
    return (
        (span.episode, span.instruction) == (context.episode, context.instruction)
        and record.time_ns - span.received_to_ns <= PAUSE_NS
        and 0 <= record.value.stamp_ns - span.end_ns <= PAUSE_NS
    )


def _extended(span: DriveSpan, record: Timed[RunRecord]) -> DriveSpan:
    external = record.value.source == EXTERNAL
    changes = span.changes
    if changes[-1][1] != external:
        changes = (*changes, (record.value.stamp_ns, external))
    return replace(span, end_ns=record.value.stamp_ns, received_to_ns=record.time_ns, changes=changes)


def _labelled(robot: RobotBag, spans: tuple[DriveSpan, ...]) -> tuple[DriveSpan, ...]:
    """Give each span the success that was told in it or shortly after it, before the next one."""
    if not robot.holds("task_success"):
        return spans
    told_ns = [item.time_ns for item in robot.task_success() if item.value]
    ends_ns = [*(span.received_from_ns for span in spans[1:]), robot.bag.end_ns + 1]
    return tuple(
        replace(
            span,
            success=any(
                span.received_from_ns <= time_ns < min(end_ns, span.received_to_ns + LABEL_NS)
                for time_ns in told_ns
            ),
        )
        for span, end_ns in zip(spans, ends_ns, strict=True)
    )
