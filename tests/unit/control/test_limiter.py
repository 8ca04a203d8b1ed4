"""The limiter: limits on the differences of its outputs, exact tracking, braking."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruckig import ControlInterface, InputParameter, Ruckig, Trajectory

from video2act_ros.control.braking import Brake, stoppable_speed
from video2act_ros.control.limiter import JointLimits, Limiter
from video2act_ros.control.soak import KINDS, count_violations, run_stream
from video2act_ros.core.errors import ConfigurationError, InputError
from video2act_ros.core.motion import MotionState

PERIOD_S = 0.02
SEED = st.integers(0, 2**32 - 1)


def one_joint(low=-2.0, high=2.0, velocity=1.0, acceleration=4.0, jerk=80.0):
    return JointLimits(*(np.array([value]) for value in (low, high, velocity, acceleration, jerk)))


def rest(*positions):
    return MotionState.at_rest(np.array(positions))


def sine(amplitude, rate, time_s, phase=0.0, centre=0.0):
    """Return the exact motion of a sine, all joints alike or by phase."""
    angle = rate * time_s + np.atleast_1d(phase)
    way = amplitude * np.sin(angle)
    return MotionState(centre + way, amplitude * rate * np.cos(angle), -rate * rate * way)


def drive(limiter, targets):
    """Return the outputs (N, J) after three of the start."""
    outputs = [limiter.positions] * 3 + [limiter.step(target).positions for target in targets]
    return np.array(outputs)


@pytest.mark.parametrize("kind", KINDS)
def test_no_stream_of_targets_makes_it_leave_a_limit(kind):
    """Over 100,000 random ticks in all, every difference and every way to rest obeys all four limits."""
    results = [run_stream(seed, kind, joints=1, ticks=600) for seed in range(24)]
    assert sum(result.violations for result in results) == 0
    assert sum(result.ticks for result in results) * len(KINDS) >= 100_000


@pytest.mark.parametrize("kind", KINDS)
def test_many_joints_at_once_stay_within_their_own_limits(kind):
    """Joints with very different limits do not disturb each other."""
    assert run_stream(100, kind, joints=16, ticks=400).violations == 0


@settings(max_examples=25, deadline=None)
@given(seed=SEED, kind=st.sampled_from(KINDS))
def test_no_random_stream_makes_it_leave_a_limit(seed, kind):
    """As above, with limits and targets that hypothesis looks for: any joint, any period."""
    assert run_stream(seed, kind, joints=4, ticks=120).violations == 0


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(
        st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 3), min_size=5, max_size=40
    ),
    start=st.floats(-2.0, 2.0),
)
def test_any_floats_at_all_are_survived(values, start):
    """Any three doubles as a target, such as denormals and 1e308: the outputs stay within the limits."""
    limits = one_joint()
    limiter = Limiter(limits, PERIOD_S)
    limiter.reset(np.array([start]))
    outputs = drive(limiter, [MotionState(*(np.array([v]) for v in value)) for value in values])
    assert count_violations(outputs, limits, PERIOD_S) == 0


@pytest.mark.parametrize("period_s", [0.005, 0.01, 0.02])
def test_a_feasible_path_is_followed_exactly(period_s):
    """Where the limits allow the target, the output is the target: no lag and no added jerk."""
    limits = JointLimits(*(np.full(8, value) for value in (-2.0, 2.0, 1.5, 15.0, 400.0)))
    limiter = Limiter(limits, period_s)
    swing = np.linspace(0.05, 0.3, 8)
    path = []
    for time_s in np.arange(1, round(3.0 / period_s)) * period_s:
        s, c = np.sin(3.0 * time_s), np.cos(3.0 * time_s)
        path.append(
            MotionState(swing * s**3, swing * 9.0 * s * s * c, swing * 27.0 * s * (2.0 * c * c - s * s))
        )
    limiter.reset(np.zeros(8))
    outputs = drive(limiter, path)[3:]
    np.testing.assert_array_equal(outputs, np.array([state.positions for state in path]))


def test_joints_are_limited_one_by_one():
    """A gripper that cannot follow does not hold up the arm."""
    limits = JointLimits(*(np.array([value] * 2) for value in (-2.0, 2.0, 1.5, 15.0, 400.0)))
    limiter = Limiter(limits, PERIOD_S)
    limiter.reset(np.array([0.0, -1.0]))
    time_s = np.arange(1, 60) * PERIOD_S
    path = 0.3 * time_s**3 / (1.0 + time_s**2)
    rates = np.gradient(path, PERIOD_S), np.gradient(np.gradient(path, PERIOD_S), PERIOD_S)
    for index in range(len(time_s) - 2):
        target = MotionState(
            *(np.array([v[index], u]) for v, u in zip((path, *rates), (1.0, 0, 0), strict=True))
        )
        limiter.step(target)
        assert limiter.positions[0] == path[index]
    assert -1.0 < limiter.positions[1] < 1.0


def test_a_far_target_is_reached_without_overshoot():
    """After a jump of the target the output arrives in the least time, exactly, and stays."""
    limits = one_joint()
    limiter = Limiter(limits, PERIOD_S)
    limiter.reset(np.array([-1.0]))
    outputs = drive(limiter, [rest(1.0)] * 140)[2:, 0]
    assert np.all(np.diff(outputs) >= -1e-12)
    assert outputs[-1] == 1.0
    least_s = 2.0 / 1.0 + 1.0 / 4.0 + 4.0 / 80.0  # way / v + v / a + a / j
    assert np.argmax(outputs == 1.0) * PERIOD_S <= least_s + 3 * PERIOD_S
    assert limiter.stopped


def test_a_moving_target_is_caught_up_and_met():
    """A target that jumps and goes on moving is caught, without lag from then on."""
    limits = JointLimits(*(np.full(8, value) for value in (-2.0, 2.0, 1.5, 15.0, 400.0)))
    phase = np.linspace(0.0, 6.0, 8)
    limiter = Limiter(limits, PERIOD_S)
    limiter.reset(np.linspace(-1.0, 1.0, 8))
    path = [sine(0.4, 2.0, k * PERIOD_S, phase) for k in range(1, 150)]
    outputs = drive(limiter, path)
    np.testing.assert_array_equal(outputs[-60:], np.array([state.positions for state in path[-60:]]))
    assert count_violations(outputs, limits, PERIOD_S) == 0


@pytest.mark.parametrize(
    "broken", [None, rest(np.nan), rest(np.inf), MotionState(*np.array([[0], [0], [np.nan]]))]
)
def test_without_a_target_it_brakes_and_stays(broken):
    """No target, or one that is not finite, decelerates to an exact standstill."""
    limits = one_joint()
    limiter = Limiter(limits, PERIOD_S)
    limiter.reset(np.array([-1.0]))
    start = drive(limiter, [rest(1.5)] * 40)
    assert limiter.velocities[0] == pytest.approx(1.0, rel=1e-3)
    after_s, end = limiter.braking(PERIOD_S)[-1]
    stop = drive(limiter, [broken] * int(np.ceil(after_s / PERIOD_S)))[3:]
    assert limiter.stopped
    assert count_violations(np.concatenate([start, stop]), limits, PERIOD_S) == 0
    np.testing.assert_allclose(limiter.positions, end.positions, atol=1e-12)
    np.testing.assert_array_equal(drive(limiter, [broken] * 5), limiter.positions * np.ones((8, 1)))


def test_the_way_to_rest_obeys_the_limits():
    """`braking` continues the outputs within all limits, in its own steps, to an exact rest; empty at rest."""
    limits = JointLimits(
        *(np.array(v) for v in ([-2.0, 0.0], [2.0, 1.0], [1.0, 2.0], [4.0, 20.0], [80.0, 300.0]))
    )
    limiter = Limiter(limits, PERIOD_S)
    limiter.reset(np.array([-1.0, 0.2]))
    assert limiter.braking(PERIOD_S) == ()
    outputs = drive(limiter, [rest(2.0, 1.0)] * 12)
    way = limiter.braking(PERIOD_S)
    np.testing.assert_allclose([after_s for after_s, _ in way[:-1]], PERIOD_S * np.arange(1, len(way)))
    assert way[-2][0] < way[-1][0] <= way[-2][0] + PERIOD_S
    positions = [state.positions for _, state in way]
    assert count_violations(np.array([*outputs, *positions[:-1]]), limits, PERIOD_S) == 0
    assert not np.any(way[-1][1].velocities)
    assert not np.any(way[-1][1].accelerations)
    for (_, state), (_, after) in zip(limiter.braking(0.001), limiter.braking(0.001)[1:], strict=False):
        assert np.all(
            np.abs(after.accelerations - state.accelerations) <= limits.jerk_max * 0.001 * (1 + 1e-9)
        )
    assert len(limiter.braking(60.0)) == 1


def test_braking_from_full_speed_towards_a_limit_stays_inside():
    """Aimed at the end of the range and beyond, with any velocity, the joint can stop before it at every tick."""
    limits = one_joint(high=0.7)
    for wanted in (rest(0.7), rest(50.0), MotionState(*np.array([[0.7], [1.0], [4.0]]))):
        limiter = Limiter(limits, PERIOD_S)
        limiter.reset(np.array([-0.5]))
        for _ in range(120):
            limiter.step(wanted)
            way = limiter.braking(0.005)
            assert all(state.positions[0] <= 0.7 + 1e-9 for _, state in way)
        assert limiter.positions[0] == pytest.approx(0.7, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=SEED)
@example(seed=4100)  # comes to rest at the limit, a rounding beyond it
def test_a_pose_outside_the_limits_only_moves_inwards(seed):
    """A measured pose beyond a limit is no excuse to go further, nor for a jump back."""
    rng = np.random.default_rng(seed)
    limits = one_joint()
    limiter = Limiter(limits, PERIOD_S)
    limiter.reset(np.array([2.0 + rng.uniform(0.001, 0.5)]))
    targets = [
        None if rng.random() < 0.3 else MotionState(*rng.normal(0.0, [[2.0], [1.0], [4.0]]))
        for _ in range(60)
    ]
    outputs = drive(limiter, targets)[:, 0]
    outside = outputs[1:] > 2.0 + 1e-10
    assert np.all(np.diff(outputs)[outside] <= 1e-10)
    free = one_joint(low=-9.0, high=9.0)
    assert count_violations(outputs[:, None], free, PERIOD_S) == 0
    assert drive(limiter, [rest(0.0)] * 200)[-1, 0] == 0.0


def test_reset_stands_still_at_the_given_pose():
    """After `reset` nothing of the earlier motion or target is left; a broken pose is refused."""
    limiter = Limiter(one_joint(), PERIOD_S)
    limiter.reset(np.array([0.0]))
    drive(limiter, [rest(1.0)] * 10)
    assert not limiter.stopped
    limiter.reset(np.array([0.5]))
    assert limiter.stopped
    assert limiter.step(None).positions[0] == 0.5
    assert limiter.state.accelerations[0] == 0.0
    for pose in ([np.nan], [0.0, 0.0]):
        with pytest.raises(InputError, match="1 finite positions"):
            limiter.reset(np.array(pose))


@settings(max_examples=60, deadline=None)
@given(seed=SEED)
def test_the_brake_is_the_quickest_and_ends_at_rest(seed):
    """The closed form agrees with the planner's velocity interface in time and place."""
    rng = np.random.default_rng(seed)
    limits = one_joint(velocity=1.5, acceleration=10.0 ** rng.uniform(0, 1.5), jerk=10.0 ** rng.uniform(1, 3))
    velocities = rng.uniform(-1.5, 1.5, 1)
    accelerations = rng.uniform(-1.0, 1.0, 1) * limits.acceleration_max
    brake = Brake.of(velocities, accelerations, limits)
    given, plan = InputParameter(1), Trajectory(1)
    given.control_interface = ControlInterface.Velocity
    given.current_velocity, given.current_acceleration = velocities.tolist(), accelerations.tolist()
    given.max_acceleration, given.max_jerk = limits.acceleration_max.tolist(), limits.jerk_max.tolist()
    Ruckig(1).calculate(given, plan)
    assert brake.durations_s[0] == pytest.approx(plan.duration, abs=1e-6)
    times_s = np.linspace(0.0, plan.duration, 200)
    expected = np.array([plan.at_time(t)[0][0] for t in times_s])
    np.testing.assert_allclose([brake.at(t)[0, 0] for t in times_s], expected, atol=1e-7)
    stop, turn = brake.extent()
    assert stop[0] == pytest.approx(expected[-1], abs=1e-7)
    furthest = expected[np.argmax(np.abs(expected))]
    assert max(abs(stop[0]), abs(turn[0])) == pytest.approx(abs(furthest), abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(distance=st.floats(1e-6, 5.0), acceleration=st.floats(0.05, 50.0), jerk=st.floats(0.5, 5000.0))
def test_the_stoppable_speed_uses_the_whole_distance(distance, acceleration, jerk):
    """Braking from it ends exactly at the distance: neither beyond (unsafe) nor short of it (slow)."""
    limits = one_joint(acceleration=acceleration, jerk=jerk)
    speed = stoppable_speed(np.array([distance]), limits)
    assert Brake.of(speed, np.zeros(1), limits).extent()[0][0] == pytest.approx(distance, rel=1e-9)


def test_impossible_limits_are_refused():
    """A profile error shows at configure."""
    with pytest.raises(ConfigurationError, match="position_min"):
        one_joint(low=1.0, high=1.0)
    for wrong in ({"velocity": 0.0}, {"acceleration": -1.0}, {"jerk": 0.0}, {"jerk": np.inf}):
        with pytest.raises(ConfigurationError, match="positive"):
            one_joint(**wrong)


def test_limits_come_in_policy_units(profile):
    """A gripper's range of 0.04 m becomes 1, and its rates scale alike."""
    bounds = JointLimits.of(profile)
    assert bounds.position_max[2] == pytest.approx(1.0)
    assert bounds.velocity_max[2] == pytest.approx(2.0)
    assert bounds.jerk_max[2] == pytest.approx(2000.0 / 0.04)


def test_commands_leave_the_servos_some_speed(profile):
    """`command_speed` scales the velocity limits of commands and nothing else."""
    slower = profile.model_copy(update={"command_speed": 0.5})
    whole, commands = JointLimits.of(slower), JointLimits.of_commands(slower)
    np.testing.assert_allclose(commands.velocity_max, 0.5 * whole.velocity_max)
    np.testing.assert_array_equal(commands.acceleration_max, whole.acceleration_max)
