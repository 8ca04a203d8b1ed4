"""How one chunk takes over from another: smooth to the second derivative, after what was really sent."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from video2act_ros.control.chunk_curve import ChunkCurve
from video2act_ros.control.jet import ONE, Jet, smooth_step
from video2act_ros.control.timeline import Timeline
from video2act_ros.core.types import NS_PER_S, seconds_to_ns

NAMES = ("shoulder", "elbow", "gripper")
MS = 1_000_000
QUIET = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def wander(rng, horizon):
    """Return (horizon, 3) positions of a plausible motion: a random walk of bounded velocity."""
    return np.cumsum(rng.uniform(-0.05, 0.05, (horizon, 3)), axis=0) + rng.uniform(-0.3, 0.3, 3)


def rows(state):
    return np.stack((state.positions, state.velocities, state.accelerations))


def assert_derivatives(line, time_ns, gap_ns=1000):
    """Velocities and accelerations are the slopes of what they derive from, measured over 2 µs."""
    before, here, after = (rows(line.sample(time_ns + step * gap_ns)) for step in (-1, 0, 1))
    slopes = (after - before) / (2 * gap_ns / NS_PER_S)
    np.testing.assert_allclose(slopes[0], here[1], atol=1e-3)
    np.testing.assert_allclose(slopes[1], here[2], atol=0.5, rtol=1e-3)  # half a gap at a jump of jerk


def assert_no_step(line, time_ns):
    """Nothing changes within 2 ns by more than a jerk of 1e6 per s³ explains."""
    left, right = (rows(line.sample(time_ns + side)) for side in (-1, 1))
    np.testing.assert_allclose(left, right, atol=2e-3)


@given(
    a=st.tuples(*[st.floats(-2.0, 2.0)] * 3), b=st.tuples(*[st.floats(-2.0, 2.0)] * 3), t=st.floats(-0.3, 0.3)
)
def test_jets_follow_the_rules_of_calculus(a, b, t):
    """Sum, product, quotient and chain rule to the second order: differences at t agree with the jets."""

    def jets(time):
        return [
            Jet(c[0] + c[1] * time + c[2] * time**2, c[1] + 2.0 * c[2] * time, 2.0 * c[2]) for c in (a, b)
        ]

    def expression(time):
        x, y = jets(time)
        return x * y + smooth_step(x) * (ONE - y) * (y * y + ONE).reciprocal()

    gap = 1e-5
    before, here, after = (expression(t + step * gap) for step in (-1, 0, 1))
    assert (after.value - before.value) / (2 * gap) == pytest.approx(here.first, abs=1e-3)
    assert (after.first - before.first) / (2 * gap) == pytest.approx(here.second, abs=2e-2)


@QUIET
@given(seed=st.integers(0, 2**32 - 1), horizon=st.integers(1, 30))
def test_a_chunk_is_a_twice_differentiable_curve_through_its_actions(make_chunk, seed, horizon):
    """Actions are met exactly; the last one is reached standing and kept; no knot is a step."""
    values = wander(np.random.default_rng(seed), horizon)
    curve = ChunkCurve(make_chunk(1.0, values))
    for index, action in enumerate(values):
        np.testing.assert_allclose(curve.at(seconds_to_ns(1.0) + index * 50 * MS)[0], action, atol=1e-9)
        left, right = (curve.at(seconds_to_ns(1.0) + index * 50 * MS + side) for side in (-1, 1))
        if index > 0:
            np.testing.assert_allclose(left, right, atol=1e-3)
    end_ns = curve.chunk.end_ns
    np.testing.assert_allclose(curve.at(end_ns)[1], 0.0, atol=1e-9)
    for late_ms in (49.9999, 50.0, 60.0, 5000.0):
        late = curve.at(end_ns + round(late_ms * MS))
        np.testing.assert_allclose(late[0], values[-1], atol=1e-9)
        np.testing.assert_allclose(late[1:], 0.0, atol=1e-2)


@QUIET
@given(
    seed=st.integers(0, 2**32 - 1),
    splice=st.sampled_from(["blend", "ensemble", "rtc"]),
    interval_ms=st.integers(20, 400),
    horizon=st.integers(8, 64),
)
def test_no_splice_is_a_step_in_what_is_sent(make_chunk, seed, splice, interval_ms, horizon):
    """Position, velocity and acceleration go on across splices, knots, fades and chunk ends."""
    rng = np.random.default_rng(seed)
    line = Timeline(splice, decay=0.7, blend_s=0.16)
    now_ns, corners = NS_PER_S, []
    while now_ns < 2 * NS_PER_S:
        sent_ns = now_ns + int(rng.integers(0, 20 * MS))
        before = line.sample(sent_ns)
        # A fast clock on another machine stamps ahead; a chunk that begins a motion then only stands at first.
        ahead_s = rng.uniform(-0.1, 0.0 if before is None else 0.04)
        chunk = make_chunk(now_ns / NS_PER_S + ahead_s, wander(rng, horizon))
        now_ns += round(interval_ms * MS * rng.uniform(0.5, 1.5))
        if line.newest is not None and chunk.stamp_ns <= line.newest.stamp_ns:
            continue  # such a one is refused before
        line.add(chunk, sent_ns)
        if before is not None:
            np.testing.assert_allclose(rows(line.sample(sent_ns)), rows(before), atol=1e-7)
        corners += [chunk.stamp_ns + index * chunk.step_ns for index in range(horizon + 2)]
        corners += [sent_ns + length * MS for length in (80, 160)] + [chunk.end_ns - 160 * MS]
        until_ns = min(now_ns, line.newest.end_ns - 1000)
        corners = [time_ns for time_ns in corners if time_ns > sent_ns]
        for time_ns in [time_ns for time_ns in corners if time_ns < until_ns][::3]:
            assert_no_step(line, time_ns)
        if sent_ns + 1000 < until_ns:
            assert_derivatives(line, int(rng.integers(sent_ns + 1000, until_ns)))


@pytest.mark.parametrize("splice", ["blend", "ensemble", "rtc"])
def test_a_chunk_takes_over_after_what_was_sent(make_chunk, splice):
    """Commands are due after their tick: the fade begins at the newest one handed out, not before it."""
    line = Timeline(splice)
    line.add(make_chunk(0.0, [0.0] * 40), 0)
    line.add(make_chunk(0.1, [1.0] * 40), seconds_to_ns(0.2), sent_ns=seconds_to_ns(0.25))
    assert np.all(line.sample(seconds_to_ns(0.25)).positions == 0.0)
    assert 0.0 < line.sample(seconds_to_ns(0.26)).positions[0] < 0.9


@QUIET
@given(
    age_ms=st.integers(0, 900),
    splice=st.sampled_from(["replace", "blend", "ensemble", "rtc"]),
    ahead_ms=st.integers(0, 40),
)
def test_actions_whose_time_has_passed_are_never_executed(make_chunk, age_ms, splice, ahead_ms):
    """However late a chunk arrives, nothing of its skipped actions shows, and their number is told."""
    line = Timeline(splice)
    line.add(make_chunk(9.0, [0.0] * 60), seconds_to_ns(9.5))
    now_ns = seconds_to_ns(10.0) + age_ms * MS
    skipped = -(-(age_ms + ahead_ms) // 50)
    values = np.zeros(60)
    values[: max(skipped - 3, 0)] = 100.0  # a spline reaches a little past a neighbour
    line.add(make_chunk(10.0, values), now_ns, sent_ns=now_ns + ahead_ms * MS)
    assert line.take_seam().actions_skipped == skipped
    for late_ms in range(ahead_ms, 1500, 7):
        assert np.all(np.abs(line.sample(now_ns + late_ms * MS).positions) < 5.0)


def test_a_seam_tells_how_far_the_chunks_lay_apart(make_chunk):
    """Jumps of position, velocity and acceleration at the splice, skipped actions and the effective horizon."""
    times = np.arange(60) * 0.05
    line = Timeline("blend")
    line.add(make_chunk(0.0, 0.5 * times), 0)
    assert line.take_seam() is None
    line.add(make_chunk(0.3, 0.25 + times**2), seconds_to_ns(0.42))
    seam = line.take_seam()
    assert seam.position_jump == pytest.approx(abs(0.25 + 0.12**2 - 0.21), abs=1e-6)
    assert seam.velocity_jump == pytest.approx(0.5 - 0.24, abs=1e-6)
    assert seam.acceleration_jump == pytest.approx(2.0, abs=1e-6)
    assert seam.actions_skipped == 3
    assert seam.effective_horizon_s == pytest.approx(0.42)
    assert line.take_seam() is None


def test_no_seam_outlives_its_epoch(make_chunk):
    """What happened before a reset is not counted after it."""
    line = Timeline("blend")
    line.add(make_chunk(0.0, [0.0] * 40), 0)
    line.add(make_chunk(0.1, [0.0] * 40), seconds_to_ns(0.2))
    line.clear()
    assert line.take_seam() is None
