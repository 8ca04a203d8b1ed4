"""Plans: what was sent, then what will be sent, in rows that System 1 can freeze."""

import numpy as np
import pytest

from video2act_ros.control.plan import PlanHistory
from video2act_ros.control.timeline import Timeline
from video2act_ros.control.warp import TimeWarp
from video2act_ros.core.types import NS_PER_S, seconds_to_ns

NAMES = ("shoulder", "elbow", "gripper")
TICK_NS = seconds_to_ns(0.02)
START_NS = 100 * NS_PER_S


@pytest.fixture
def line(make_chunk):
    line = Timeline("rtc")
    times = np.arange(60) * 0.05
    line.add(make_chunk(100.0, np.sin(2.0 * times), epoch=3), START_NS)
    return line


def drive(history, line, ticks, offset=0.0):
    """Send `ticks` commands as the loop does, `offset` off the timeline; return the present time."""
    for tick in range(ticks):
        due_ns = START_NS + (tick + 1) * TICK_NS
        history.record(due_ns, line.sample(due_ns).positions + offset)
    return START_NS + ticks * TICK_NS - TICK_NS


def test_rows_are_what_was_sent_then_what_will_be_sent(line):
    """The past is the commands, not what the timeline would have given; the future is the timeline."""
    history = PlanHistory()
    now_ns = drive(history, line, 50, offset=0.01)
    plan = history.plan(now_ns, line, 0.04)
    assert plan.epoch == 3
    assert plan.joint_names == NAMES
    assert plan.stamp_ns == now_ns + TICK_NS - seconds_to_ns(0.5)
    assert plan.committed == 13
    np.testing.assert_array_equal(plan.prefix, plan.positions[:13])
    for index, row in enumerate(plan.positions):
        due_ns = plan.stamp_ns + index * plan.step_ns
        sent = index < plan.committed
        np.testing.assert_allclose(
            row, line.sample(due_ns).positions + (0.01 if sent else 0.0), atol=3e-4 if sent else 1e-12
        )
    assert 0 <= line.newest.end_ns - plan.end_ns < plan.step_ns


def test_a_short_past_gives_a_short_plan(line):
    """Just engaged, a plan begins with the first command."""
    history = PlanHistory()
    plan = history.plan(drive(history, line, 3), line, 0.04)
    assert plan.stamp_ns == START_NS + TICK_NS
    assert plan.committed == 2


def test_without_commands_or_chunks_there_is_no_plan(line):
    """In shadow, after a gap, after a clear, past the newest chunk and after a reset nothing is to be continued."""
    history = PlanHistory()
    assert history.plan(START_NS, line, 0.04) is None
    now_ns = drive(history, line, 30)
    assert history.plan(now_ns, line, 0.04) is not None
    assert history.plan(now_ns + seconds_to_ns(0.2), line, 0.04) is None
    assert history.plan(now_ns, Timeline(), 0.04) is None
    line.clear()
    assert history.plan(now_ns, line, 0.04) is None
    history.clear()
    assert history.plan(now_ns, line, 0.04) is None


def test_a_gap_or_a_backward_clock_begins_the_memory_anew(line):
    """Commands on both sides of a gap are not one motion."""
    history = PlanHistory()
    now_ns = drive(history, line, 30)
    for stamp_ns in (now_ns + seconds_to_ns(0.3), START_NS):
        history.record(stamp_ns, np.zeros(3))
        plan = history.plan(stamp_ns, line, 0.04)
        assert (plan.stamp_ns, plan.committed) == (stamp_ns, 1)


def test_slow_motion_gives_no_plan_and_its_lag_is_kept_afterwards(make_chunk):
    """A chunk knows nothing of slow motion; after it the plan is again what will be sent."""
    warp, history, line = TimeWarp(), PlanHistory(), Timeline()
    line.add(make_chunk(100.0, np.linspace(0.0, 1.0, 150)), START_NS)
    plans = []
    for tick in range(260):
        now_ns = START_NS + tick * TICK_NS
        warp.advance(now_ns, 0.5 if 100 <= tick < 150 else 1.0)
        due_ns = now_ns + TICK_NS
        history.record(due_ns, line.sample(warp.virtual_ns(due_ns)).positions)
        plans.append(history.plan(now_ns, line, 0.04, warp))
    assert all(plan is not None for plan in plans[:100])
    assert all(plan is None for plan in plans[103:150])
    plan = plans[-1]
    assert START_NS + 259 * TICK_NS - warp.virtual_ns(START_NS + 259 * TICK_NS) > seconds_to_ns(0.3)
    steps = np.diff(plan.positions[:-15], axis=0)  # the chunk ends standing
    np.testing.assert_allclose(steps, 0.04 / 0.05 / 149, atol=1e-6)
