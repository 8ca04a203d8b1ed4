import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from video2act_ros.control.jet import Jet, smooth_step
from video2act_ros.control.timeline import Timeline
from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.types import NS_PER_S, seconds_to_ns


def timeline(**options):
    return Timeline(**options)


def at(line, time_s):
    value = line.sample(seconds_to_ns(time_s))
    return None if value is None else value.positions[0]


def test_actions_are_due_from_the_observation_stamp(make_chunk):
    """Action i stands at stamp + i step, however late the chunk arrives: passed actions are skipped."""
    line = timeline()
    line.add(make_chunk(10.0, np.arange(20.0)), seconds_to_ns(10.1))
    for index in range(20):
        assert at(line, 10.0 + 0.05 * index) == pytest.approx(index)
    assert at(line, 10.125) == pytest.approx(2.5)


def test_past_the_last_action_there_is_nothing(make_chunk):
    """An exhausted timeline says so; it never repeats the last action by itself."""
    line = timeline()
    line.add(make_chunk(10.0, [0.0, 1.0]), seconds_to_ns(10.0))
    assert at(line, 10.05) == pytest.approx(1.0)
    assert at(line, 10.051) is None
    assert timeline().sample(0) is None


def test_steady_motion_has_no_ripple_and_ends_standing(make_chunk):
    """Cubics are reproduced, with their derivatives, up to the stop at the last action."""
    times = np.arange(40) * 0.05
    line = timeline()
    line.add(make_chunk(0.0, 3.0 * times**2 - times), seconds_to_ns(0.0))
    for time in np.linspace(0.0, 1.2, 23):
        state = line.sample(seconds_to_ns(time))
        assert state.positions[0] == pytest.approx(3.0 * time**2 - time, abs=1e-6)
        assert state.velocities[0] == pytest.approx(6.0 * time - 1.0, abs=1e-4)
        assert state.accelerations[0] == pytest.approx(6.0, abs=1e-2)
    end = line.sample(seconds_to_ns(times[-1]))
    np.testing.assert_allclose(end.positions, 3.0 * times[-1] ** 2 - times[-1])
    np.testing.assert_allclose(end.velocities, 0.0, atol=1e-9)


def test_a_cleared_timeline_has_nothing(make_chunk):
    """After a reset nothing from before it is executed."""
    line = timeline()
    line.add(make_chunk(10.0, [1.0] * 8), seconds_to_ns(10.0))
    line.clear()
    assert line.newest is None
    assert at(line, 10.1) is None


def test_replace_takes_the_newest_at_once(make_chunk):
    """From the moment a chunk arrives it stands alone; the limiter makes a motion of the step."""
    line = timeline(splice="replace")
    line.add(make_chunk(0.0, [0.0] * 40), 0)
    line.add(make_chunk(0.1, [1.0] * 40), seconds_to_ns(0.2))
    assert at(line, 0.2) == pytest.approx(1.0)


@pytest.mark.parametrize("splice", ["blend", "rtc"])
def test_a_fade_leaves_only_the_newest(make_chunk, splice):
    """Once faded in, the newest chunk stands alone."""
    line = timeline(splice=splice, blend_s=0.08 if splice == "blend" else 0.16)
    line.add(make_chunk(0.0, [0.0] * 40), 0)
    line.add(make_chunk(0.1, [1.0] * 40), seconds_to_ns(0.2))
    assert at(line, 0.2) == pytest.approx(0.0)
    assert 0.0 < at(line, 0.22) < at(line, 0.26) < 1.0
    assert at(line, 0.28) == pytest.approx(1.0)


def test_ensemble_weighs_older_chunks_by_decay(make_chunk):
    """Three overlapping chunks combine as 1 : decay : decay²."""
    line = timeline(splice="ensemble", decay=0.5, blend_s=0.0)
    for index, value in enumerate([4.0, 2.0, 1.0]):
        line.add(make_chunk(0.1 * index, [value] * 40), seconds_to_ns(0.1 * index))
    assert at(line, 0.5) == pytest.approx((1.0 * 1 + 0.5 * 2 + 0.25 * 4) / 1.75)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    splice=st.sampled_from(["blend", "ensemble", "rtc"]),
    interval_s=st.floats(0.03, 0.4),
    horizon=st.integers(8, 64),
)
def test_the_spliced_curve_is_continuous_and_between_its_chunks(
    make_chunk, seed, splice, interval_s, horizon
):
    """However chunks disagree and whenever they arrive, the curve never steps or leaves their range."""
    rng = np.random.default_rng(seed)
    line = timeline(splice=splice, decay=0.6, blend_s=0.08)
    now_ns, arrival_ns, previous = 0, 0, None
    while now_ns < NS_PER_S:
        if line.sample(now_ns) is None:
            previous = None
        if now_ns >= arrival_ns:
            stamp_s = now_ns / NS_PER_S - 0.02
            line.add(make_chunk(stamp_s, np.full(horizon, rng.uniform(-1.0, 1.0))), now_ns)
            arrival_ns = now_ns + seconds_to_ns(interval_s * rng.uniform(0.5, 1.5))
        value = line.sample(now_ns)
        if value is not None:
            assert np.all(np.abs(value.positions) <= 1.0 + 1e-9)
            if previous is not None:
                assert abs(value.positions[0] - previous) < (0.3 if splice == "rtc" else 0.15)
            previous = value.positions[0]
        now_ns += 2_000_000


@given(st.floats(-1.0, 2.0))
def test_smooth_step_is_monotonic_and_symmetric(fraction):
    """The fade starts and ends flat and has no bump."""
    here, other, after = (smooth_step(Jet(f)).value for f in (fraction, 1.0 - fraction, fraction + 0.01))
    assert 0.0 <= here <= 1.0
    assert here + other == pytest.approx(1.0)
    assert after >= here


def test_an_unknown_splice_mode_lists_the_valid_ones():
    """A wrong parameter is refused with the choices."""
    with pytest.raises(ConfigurationError, match="replace, blend, ensemble, rtc"):
        timeline(splice="mix")
