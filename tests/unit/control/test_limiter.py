import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video2act_ros.control.limiter import JointLimits, Limiter, stoppable_speed
from video2act_ros.core.errors import ConfigurationError

JOINTS = 4


def limits(rng):
    low = rng.uniform(-3.0, 0.0, JOINTS)
    return JointLimits(
        low,
        low + rng.uniform(0.02, 4.0, JOINTS),
        rng.uniform(0.05, 5.0, JOINTS),
        rng.uniform(0.1, 40.0, JOINTS),
    )


def targets(rng, bounds, kind):
    """Yield what a bad policy may ask for: noise, jumps, far outside, NaN, none at all, or a smooth path."""
    reach = bounds.position_max - bounds.position_min
    phase = rng.uniform(0.0, 6.0, JOINTS)
    for tick in range(400):
        if kind == "noise":
            yield rng.normal(0.0, 2.0, JOINTS)
        elif kind == "jumps":
            yield np.where(rng.random(JOINTS) < 0.5, -1e9, 1e9) if tick % 37 == 0 else bounds.position_max
        elif kind == "rails":
            yield bounds.position_max + 1.0 if tick // 50 % 2 else bounds.position_min - 1.0
        elif kind == "broken":
            choice = rng.integers(4)
            yield [None, np.full(JOINTS, np.nan), np.full(JOINTS, np.inf), rng.normal(0.0, 9.0, JOINTS)][
                choice
            ]
        else:
            yield bounds.position_min + reach * (0.5 + 0.6 * np.sin(phase + tick * 0.05))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["noise", "jumps", "rails", "broken", "smooth"]),
    rate_hz=st.sampled_from([20.0, 50.0, 200.0, 1000.0]),
)
def test_no_target_makes_it_leave_a_limit(seed, kind, rate_hz):
    """Position, velocity and acceleration limits hold for every difference of outputs, whatever comes in."""
    rng = np.random.default_rng(seed)
    bounds, period_s = limits(rng), 1.0 / rate_hz
    limiter = Limiter(bounds, period_s)
    previous = rng.uniform(bounds.position_min, bounds.position_max)
    limiter.reset(previous)
    velocity = np.zeros(JOINTS)
    for target in targets(rng, bounds, kind):
        positions = limiter.step(target)
        assert np.all(np.isfinite(positions))
        assert np.all(positions >= bounds.position_min - 1e-9)
        assert np.all(positions <= bounds.position_max + 1e-9)
        new_velocity = (positions - previous) / period_s
        assert np.all(np.abs(new_velocity) <= bounds.velocity_max * (1 + 1e-6) + 1e-9)
        acceleration = (new_velocity - velocity) / period_s
        assert np.all(np.abs(acceleration) <= bounds.acceleration_max * (1 + 1e-6) + 1e-5)
        np.testing.assert_allclose(limiter.velocities, new_velocity, atol=1e-7)
        previous, velocity = positions, new_velocity


@settings(max_examples=60, deadline=None)
@given(distance=st.floats(0.0, 5.0), acceleration=st.floats(0.05, 50.0), period_s=st.floats(0.001, 0.1))
def test_stoppable_speed_uses_the_whole_distance(distance, acceleration, period_s):
    """Braking from it ends exactly at the distance: neither beyond (unsafe) nor short of it (slow)."""
    speed = float(stoppable_speed(np.array([distance]), np.array([acceleration]), period_s)[0])
    covered = 0.0
    while speed > 0.0:
        covered += speed * period_s
        speed -= acceleration * period_s
    assert covered == pytest.approx(distance, rel=1e-6, abs=1e-9)


def test_a_feasible_path_is_followed_without_lag():
    """Where the limits allow the target, the output is the target."""
    bounds = JointLimits(*(np.array([value]) for value in (-2.0, 2.0, 3.0, 10.0)))
    limiter = Limiter(bounds, 0.02)
    limiter.reset(np.array([0.0]))
    time = np.arange(500) * 0.02
    path = 1.5 * (1.0 - np.cos(1.5 * time)) / 2.0
    output = np.array([limiter.step(np.array([value]))[0] for value in path])
    np.testing.assert_allclose(output, path, atol=1e-12)


def test_a_far_target_is_reached_without_overshoot():
    """After a jump of the target the output arrives on the target and stays, never passing it."""
    bounds = JointLimits(*(np.array([value]) for value in (-2.0, 2.0, 1.0, 4.0)))
    limiter = Limiter(bounds, 0.02)
    limiter.reset(np.array([-1.0]))
    output = [limiter.step(np.array([1.0]))[0] for _ in range(200)]
    assert max(output) <= 1.0 + 1e-9
    assert output[-1] == pytest.approx(1.0, abs=1e-9)
    assert output.index(max(output)) * 0.02 < 2.0 / 1.0 + 1.0 / 4.0 + 0.1


def test_a_moving_target_is_caught_up():
    """A target that begins to move faster than the acceleration allows is met and then followed exactly."""
    bounds = JointLimits(*(np.array([value]) for value in (-9.0, 9.0, 3.0, 4.0)))
    limiter = Limiter(bounds, 0.02)
    limiter.reset(np.array([0.0]))
    path = 1.0 * np.arange(300) * 0.02
    output = np.array([limiter.step(np.array([value]))[0] for value in path])
    np.testing.assert_allclose(output[-100:], path[-100:], atol=1e-9)


@pytest.mark.parametrize("broken", [None, np.array([np.nan]), np.array([np.inf])])
def test_without_a_target_it_brakes_and_stays(broken):
    """No target, or one that is not finite, decelerates within the limit to a standstill."""
    bounds = JointLimits(*(np.array([value]) for value in (-2.0, 2.0, 1.0, 4.0)))
    limiter = Limiter(bounds, 0.02)
    limiter.reset(np.array([-1.0]))
    for _ in range(30):
        limiter.step(np.array([1.5]))
    assert limiter.velocities[0] == pytest.approx(1.0)
    speeds = []
    while not limiter.stopped:
        limiter.step(broken)
        speeds.append(limiter.velocities[0])
    assert len(speeds) <= 14
    assert np.all(np.diff(speeds) <= 0.0)
    rest = limiter.positions.copy()
    limiter.step(broken)
    np.testing.assert_array_equal(limiter.positions, rest)


def test_a_pose_outside_the_limits_only_moves_inwards():
    """A measured pose slightly beyond a limit is no excuse to go further, nor for a jump back."""
    bounds = JointLimits(*(np.array([value]) for value in (-2.0, 2.0, 1.0, 4.0)))
    limiter = Limiter(bounds, 0.02)
    limiter.reset(np.array([2.1]))
    output = [limiter.step(np.array([5.0]))[0] for _ in range(100)]
    assert np.all(np.diff([2.1, *output]) <= 0.0)
    assert output[-1] == pytest.approx(2.0, abs=1e-9)


def test_the_way_to_rest_is_within_the_limits():
    """Decelerating evenly from any state ends where `rest` says, no harder than allowed, inside the range."""
    bounds = JointLimits(*(np.array(value) for value in ([-2.0, 0.0], [2.0, 1.0], [1.0, 2.0], [4.0, 20.0])))
    limiter = Limiter(bounds, 0.02)
    limiter.reset(np.array([-1.0, 0.2]))
    assert limiter.rest()[1] == 0.0
    for _ in range(12):
        limiter.step(np.array([2.0, 1.0]))
    positions, rest_s = limiter.rest()
    assert np.all(limiter.velocities / rest_s <= bounds.acceleration_max + 1e-9)
    assert np.all(positions >= limiter.positions)
    assert np.all(positions <= bounds.position_max)
    assert positions[0] == pytest.approx(limiter.positions[0] + limiter.velocities[0] * rest_s / 2)


def test_impossible_limits_are_refused():
    """A profile error shows at configure."""
    with pytest.raises(ConfigurationError, match="position_min"):
        JointLimits(*(np.array([value]) for value in (1.0, 1.0, 1.0, 4.0)))
    with pytest.raises(ConfigurationError, match="positive"):
        JointLimits(*(np.array([value]) for value in (0.0, 1.0, 0.0, 4.0)))


def test_limits_come_in_policy_units(profile):
    """A gripper's range of 0.04 m becomes 1, and its rates scale alike."""
    bounds = JointLimits.of(profile)
    assert bounds.position_max[2] == pytest.approx(1.0)
    assert bounds.velocity_max[2] == pytest.approx(2.0)
