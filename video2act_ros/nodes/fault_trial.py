"""One trial: drive the simulated arm, break something, see it stop in time and go on afterwards."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from std_srvs.srv import Trigger

from video2act_msgs.msg import RunState
from video2act_ros.control.stop_check import STILL_RAD
from video2act_ros.nodes.demo_node import StackFailure
from video2act_ros.nodes.fault_bench import Bench
from video2act_ros.nodes.fault_catalogue import Fault

FAST_RAD_S = 0.3  # a fault begins while some arm joint is faster
STEP_S = 30.0
ENGAGE_S = 60.0  # on a loaded machine chunks are often too old to engage on
PATIENCE_S = 3.0  # beyond the bound, so that a late stop is measured and not merely missed
TOLD_S = 3.0  # /diagnostics comes once a second
RECOVERY_S = 120.0  # a restarted system loads its libraries and its model
LOOK_S = 2.0  # after engaging, in which nothing may move: longer than until the first commands would move it
DRIVEN_COMMANDS = 25
DRIVEN_CHUNKS = 2
NO_REACTION = "none"


@dataclass(frozen=True, slots=True)
class FaultResult:
    """What became of one fault; durations in seconds.

    `outcome` is the gravest seen: slow, hold, fault or driver_hold; `refused` where nothing moved, as it should;
    `none` where nothing reacted. `stopped_within_s` counts from the fault to the measured standstill; None where
    the arm did not stop.
    """

    name: str
    outcome: str
    stopped_within_s: float | None
    bound_s: float
    limit_violations: int
    reason_reported: str
    recovered: bool
    detail: str = ""  # what was judged, for people

    @property
    def passed(self) -> bool:
        """Whether the arm stopped in time or slowed down, within its limits, said why, and recovered."""
        in_time = self.outcome == "slow" or (
            self.stopped_within_s is not None and self.stopped_within_s <= self.bound_s
        )
        reacted = self.outcome != NO_REACTION and bool(self.reason_reported)
        return in_time and reacted and self.limit_violations == 0 and self.recovered


def run_trial(fault: Fault, bench: Bench, seed: int) -> FaultResult:
    """Reset the simulation to `seed`, engage, break it in mid-motion, measure, undo, and drive on.

    A fault that `refuses` is made first, and nothing may move when the arm is engaged.

    Raises:
        StackFailure: the stack did not even get as far as a moving arm.
    """
    if fault.refuses:
        return _run_refusal(fault, bench, seed)
    node, watch = bench.node, bench.watch
    node.prepare(seed, STEP_S)
    with node.changed:
        watch.begin()
    node.engage(ENGAGE_S)
    bound_s = fault.bound_s(node.profile)
    with fault.action(bench) as begin:
        node.wait_for(lambda: watch.engaged and watch.stop.speed > FAST_RAD_S, STEP_S, "the arm to move fast")
        called_s = time.time()
        started_s = begin() or called_s
        why = fault.says if fault.operated else ""
        stood_s = _wait_for_stop(bench, started_s, bound_s, why)
        reason = _wait_for_reason(bench, called_s, fault.says)
        outcome = _outcome(bench, called_s, stood_s)
    stopped_s = None if stood_s is None else round(stood_s - started_s, 3)
    return _finish(fault, bench, outcome, stopped_s, reason)


def _run_refusal(fault: Fault, bench: Bench, seed: int) -> FaultResult:
    """Break something in shadow, engage, and see that the arm stays where it is; undo, and drive."""
    node, watch = bench.node, bench.watch
    node.prepare(seed, STEP_S)
    with fault.action(bench) as begin:
        begin()
        node.prepare(seed, RECOVERY_S)  # a command node that was started anew needs a chunk, too
        with node.changed:
            watch.begin()
        asked_s = time.time()
        answer = node.call(node.engage_client, Trigger.Request())
        refused = not answer.success and bool(re.search(fault.says, answer.message, re.IGNORECASE))
        node.reached(lambda: watch.stop.travel > STILL_RAD, LOOK_S)
        with node.changed:
            given_up = watch.reason(asked_s, fault.says)
            moved = watch.stop.travel > STILL_RAD
    outcome = "refused" if not moved and (refused or given_up) else NO_REACTION
    reason = answer.message if not answer.success else given_up or "it was engaged"
    return _finish(fault, bench, outcome, None if moved else 0.0, reason)


def _finish(
    fault: Fault, bench: Bench, outcome: str, stopped_within_s: float | None, reason: str
) -> FaultResult:
    """Drive the arm again, let it go, and put everything together."""
    watch = bench.watch
    obstacle = _recover(bench)
    watch.commands.recording = False
    if obstacle is None:
        bench.node.disengage(STEP_S)
    return FaultResult(
        name=fault.name,
        outcome=outcome,
        stopped_within_s=stopped_within_s,
        bound_s=round(fault.bound_s(bench.node.profile), 3),
        limit_violations=watch.violations,
        reason_reported=reason,
        recovered=obstacle is None,
        detail=watch.detail if obstacle is None else f"{watch.detail}; not recovered: {obstacle}",
    )


def _wait_for_stop(bench: Bench, started_s: float, bound_s: float, why: str) -> float | None:
    """Wait until the arm stands because it was told to, for a reason that matches `why`, or because nobody commands it.

    Return when. A standstill before the hold is told is the motion's own pause and does not count.
    """
    node, watch = bench.node, bench.watch

    def stood_s() -> float | None:
        if not bench.commanding:
            return watch.stop.stood_at_s(started_s)
        told_s = watch.stopped_s(started_s, why)
        return None if told_s is None else watch.stop.stood_at_s(told_s)

    node.reached(lambda: stood_s() is not None, bound_s + PATIENCE_S)
    with node.changed:
        return stood_s()


def _wait_for_reason(bench: Bench, started_s: float, pattern: str) -> str:
    """Return the expected reason; failing that whatever the run state said last."""
    watch = bench.watch
    bench.node.reached(lambda: watch.reason(started_s, pattern) is not None, TOLD_S)
    with bench.node.changed:
        expected, any_ = watch.reason(started_s, pattern), watch.reason(started_s, ".")
    return expected or any_ or ""


def _outcome(bench: Bench, started_s: float, stood_s: float | None) -> str:
    if not bench.commanding:
        return "driver_hold" if stood_s is not None else NO_REACTION
    with bench.node.changed:
        seen = bench.watch.since(started_s)
    states = {item.state for item in seen}
    if RunState.FAULT in states:
        return "fault"
    if RunState.HOLDING in states:
        return "hold"
    return "slow" if any(item.slow for item in seen) else NO_REACTION


def _recover(bench: Bench) -> str | None:
    """Re-engage where that is needed; return what keeps the arm from being driven by new chunks, None: nothing."""
    node, watch = bench.node, bench.watch
    undone_s = time.time()
    deadline_s = time.monotonic() + RECOVERY_S
    try:
        node.wait_for(lambda: bool(watch.since(undone_s)), RECOVERY_S, "the command node")
        chunks, commands = node.chunks, watch.commands.commands

        def released() -> bool:
            return watch.states[-1].state in (RunState.FAULT, RunState.SHADOW)

        def driven() -> bool:
            enough = (
                node.chunks >= chunks + DRIVEN_CHUNKS
                and watch.commands.commands >= commands + DRIVEN_COMMANDS
            )
            return watch.engaged and enough

        while not driven():
            if released():
                node.call(node.disengage_client, Trigger.Request())
                node.engage(RECOVERY_S)
                node.wait_for(lambda: not released(), STEP_S, "the arm to be engaged")
                chunks, commands = node.chunks, watch.commands.commands
            left_s = deadline_s - time.monotonic()
            node.wait_for(lambda: driven() or released(), left_s, "the arm to be driven again")
    except StackFailure as error:
        with node.changed:
            state = watch.states[-1] if watch.states else None
        return f"{error} ({state.state}: {state.reason})" if state is not None else str(error)
    return None
