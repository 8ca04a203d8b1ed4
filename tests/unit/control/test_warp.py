"""Slow motion keeps the path and changes its speed without a step."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from video2act_ros.control.timeline import Timeline
from video2act_ros.control.warp import TimeWarp
from video2act_ros.core.types import NS_PER_S, seconds_to_ns

NAMES = ("shoulder", "elbow", "gripper")
MS = 1_000_000
START_NS = 1_700_000_000 * NS_PER_S  # the ROS clock counts from 1970
WANTED = st.lists(st.tuples(st.integers(1, 400), st.floats(-1.0, 2.0)), min_size=1, max_size=12)
QUIET = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def run(warp, changes):
    """Tick through `changes` (ticks of 10 ms, wanted scale); yield each tick's time."""
    now_ns = START_NS
    for ticks, wanted in changes:
        for _ in range(ticks):
            warp.advance(now_ns, wanted)
            yield now_ns
            now_ns += 10 * MS


def test_at_full_speed_chunk_time_is_real_time():
    """Without slow motion nothing changes, to the nanosecond."""
    warp = TimeWarp()
    assert warp.virtual_ns(START_NS + 7) == START_NS + 7
    for now_ns in run(warp, [(200, 1.0)]):
        assert warp.virtual_ns(now_ns + 3) == now_ns + 3
        assert warp.virtual_ns(now_ns - 20 * NS_PER_S) == now_ns - 20 * NS_PER_S
    assert warp.scale == 1.0


@QUIET
@given(changes=WANTED)
def test_chunk_time_rises_at_a_scale_between_a_tenth_and_one(changes):
    """Whatever is wanted when: no jump, never backwards, never faster than real time."""
    warp, before = TimeWarp(), None
    for now_ns in run(warp, changes):
        virtual_ns, scale = warp.virtual_ns(now_ns), warp.scale
        assert 0.1 - 1e-9 <= scale <= 1.0 + 1e-9
        if before is not None:
            assert MS - 2 <= virtual_ns - before[0] <= 10 * MS + 2
            assert abs(scale - before[1]) < 0.04  # 10 ms at most 0.9 * 8 / e per second
        before = virtual_ns, scale


@QUIET
@given(changes=WANTED, look_back_ms=st.integers(0, 2000))
def test_the_past_stays_where_it_was(changes, look_back_ms):
    """An observation's chunk time is the same, however long afterwards its chunk arrives."""
    warp, seen = TimeWarp(), {}
    for now_ns in run(warp, changes):
        seen[now_ns] = warp.virtual_ns(now_ns)
        earlier_ns = max(now_ns - look_back_ms // 10 * 10 * MS, START_NS)
        assert abs(warp.virtual_ns(earlier_ns) - seen[earlier_ns]) <= 1


@pytest.mark.parametrize(("wanted", "expected"), [(0.3, 0.3), (0.0, 0.1), (5.0, 1.0), (float("nan"), 0.1)])
def test_the_wanted_scale_is_reached_within_bounds(wanted, expected):
    """A second later the scale is there; nonsense means slow."""
    warp = TimeWarp()
    list(run(warp, [(1, 1.0), (120, wanted)]))
    assert warp.scale == pytest.approx(expected, abs=2e-3)


@QUIET
@given(changes=WANTED, seed=st.integers(0, 2**32 - 1))
def test_a_slowed_arm_follows_the_same_path(make_chunk, changes, seed):
    """Positions are those of the chunk at the chunk time; velocities and accelerations their derivatives."""
    rng = np.random.default_rng(seed)
    warp, line = TimeWarp(), Timeline()
    start_s = START_NS / NS_PER_S
    values = np.cumsum(rng.uniform(-0.03, 0.03, (900, 3)), axis=0)
    line.add(make_chunk(start_s, values), START_NS)

    def state(time_ns):
        return warp.real(line.sample(warp.virtual_ns(time_ns)), time_ns)

    for tick, now_ns in enumerate(run(warp, changes)):
        if tick % 29 == 0:
            travelled = (warp.virtual_ns(now_ns) - START_NS) / NS_PER_S
            assert 0.0 <= travelled <= tick * 0.01 + 1e-9
            before, here, after = (state(now_ns + offset * 100_000) for offset in (1, 2, 3))
            gap_s = 2e-4
            slope = (after.positions - before.positions) / gap_s
            bend = (after.velocities - before.velocities) / gap_s
            np.testing.assert_allclose(slope, here.velocities, atol=2e-3)
            np.testing.assert_allclose(bend, here.accelerations, atol=0.2, rtol=2e-2)


def test_a_chunk_observed_in_slow_motion_skips_only_what_was_executed(make_chunk):
    """At half speed, half of the latency's actions are skipped."""
    warp = TimeWarp()
    *_, now_ns = run(warp, [(1, 1.0), (400, 0.5)])
    observed_ns = now_ns - 200 * MS
    line = Timeline()
    line.add(make_chunk(warp.virtual_ns(observed_ns) / NS_PER_S, np.arange(40.0)), warp.virtual_ns(now_ns))
    state = line.sample(warp.virtual_ns(now_ns))
    assert state.positions[0] == pytest.approx(2.0, abs=1e-3)  # 100 ms of 50 ms steps
    np.testing.assert_allclose(warp.real(state).velocities, 10.0, rtol=1e-3)


def test_chunk_time_stands_while_the_arm_is_held():
    """It coasts for a tenth of a second, then stands; afterwards it goes on smoothly from there."""
    warp = TimeWarp()
    *_, now_ns = run(warp, [(50, 1.0)])
    held_ns = warp.virtual_ns(now_ns)
    virtual, scales = [], []
    for tick in range(1, 401):
        if tick <= 300:
            warp.stand(now_ns + tick * 10 * MS)
        else:
            warp.advance(now_ns + tick * 10 * MS, 1.0)
        virtual.append(warp.virtual_ns(now_ns + tick * 10 * MS))
        scales.append(warp.scale)
    assert np.all(np.diff(virtual) >= 0)
    assert np.abs(np.diff(scales)).max() < 0.08  # 10 ms at most 20 / e per second
    assert abs(virtual[299] - virtual[100]) < 1000
    assert virtual[100] == pytest.approx(held_ns + 110 * MS, abs=MS)
    assert scales[100] == pytest.approx(0.0, abs=1e-6)
    assert scales[340] == pytest.approx(1.0, abs=5e-3)


def test_one_that_begins_standing_does_not_coast():
    """An arm that is taken at rest has no way to go on."""
    warp = TimeWarp(scale=0.0)
    for tick in range(20):
        warp.stand(START_NS + tick * 10 * MS)
        assert warp.virtual_ns(START_NS + tick * 10 * MS) == START_NS


def test_a_backward_clock_begins_anew():
    """Chunk time follows the clock back; the scale goes on from where it was."""
    warp = TimeWarp()
    *_, now_ns = run(warp, [(1, 1.0), (30, 0.2)])
    scale = warp.scale
    warp.advance(now_ns - 10 * NS_PER_S, 0.2)
    assert warp.virtual_ns(now_ns - 10 * NS_PER_S) == now_ns - 10 * NS_PER_S
    assert warp.scale == pytest.approx(scale)
    assert seconds_to_ns(1.0) == NS_PER_S
