"""The simulated driver behaves as a ros2_control arm with a command time-out of its own."""

from pathlib import Path

import numpy as np
import pytest

from video2act_ros.core.errors import InputError
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.sim.driver import ArmDriver, TrajectoryPoint

PROFILE = load_robot_profile(Path(__file__).parents[3] / "config" / "robots" / "aloha_sim.yaml")
START = PROFILE.array("start")
STEP_S = 0.01


def moving_driver(timeout_s: float = 0.2) -> tuple[ArmDriver, np.ndarray]:
    """Return a driver that follows a far point at about 1 rad/s, and that point."""
    driver = ArmDriver(PROFILE.joints, timeout_s)
    goal = START.copy()
    goal[7] += 1.0
    velocities = np.zeros(14)
    velocities[7] = 1.0
    driver.command(PROFILE.joint_names, [TrajectoryPoint(1.0, goal, velocities)], 0.0)
    return driver, goal


def run(driver: ArmDriver, start_s: float, stop_s: float) -> np.ndarray:
    times = np.arange(start_s + STEP_S, stop_s + STEP_S / 2, STEP_S)
    return np.array([driver.update(float(t)) for t in times])


def test_it_is_idle_once_it_stands_and_is_commanded_no_more() -> None:
    """Braking counts as work, and so does a command to stand."""
    driver, _ = moving_driver(timeout_s=0.2)
    run(driver, 0.0, 0.2)
    assert not driver.is_idle(0.2)
    run(driver, 0.2, 0.21)
    assert not driver.is_idle(0.21)  # silent for long enough, but it still brakes
    run(driver, 0.21, 1.5)
    assert driver.is_idle(1.5)
    driver.command(PROFILE.joint_names, [TrajectoryPoint(1.6, START, np.zeros(14))], 1.5)
    assert not driver.is_idle(1.5)


def test_it_reaches_a_point_at_its_time() -> None:
    """A trajectory point is a set-point in time."""
    driver, goal = moving_driver(timeout_s=5.0)
    np.testing.assert_allclose(run(driver, 0.0, 1.0)[-1], goal, atol=1e-9)


def test_it_brakes_within_the_acceleration_limit_when_commands_stop() -> None:
    """Without a command for longer than the time-out the arm decelerates and holds, never stops at speed."""
    driver, goal = moving_driver(timeout_s=0.2)
    path = run(driver, 0.0, 1.0)[:, 7]
    velocity = np.diff(path) / STEP_S
    assert np.abs(np.diff(velocity)).max() / STEP_S <= PROFILE.array("acceleration_max")[7] * 1.001
    assert path[-1] == path[-2]
    assert path[-1] < goal[7] - 0.3


def test_past_the_last_point_it_brakes_instead_of_running_on() -> None:
    """The last point's velocity is not kept for ever."""
    driver, goal = moving_driver(timeout_s=5.0)
    path = run(driver, 0.0, 1.5)[:, 7]
    braking_distance = 1.0 / (2 * PROFILE.array("acceleration_max")[7])
    assert goal[7] < path[-1] <= goal[7] + braking_distance + 1e-9


def test_joint_names_decide_the_order() -> None:
    """Commands are matched by name, not by position in the message."""
    driver = ArmDriver(PROFILE.joints, 1.0)
    goal = START + 0.05
    names = PROFILE.joint_names[::-1]
    driver.command(names, [TrajectoryPoint(0.4, goal[::-1], np.zeros(14))], 0.0)
    np.testing.assert_allclose(run(driver, 0.0, 0.4)[-1], np.clip(goal, driver._low, driver._high), atol=1e-9)


@pytest.mark.parametrize(
    ("names", "positions"),
    [
        (PROFILE.joint_names[:-1], START[:-1]),
        (("elbow", *PROFILE.joint_names[1:]), START),
        (PROFILE.joint_names, np.full(14, np.nan)),
    ],
)
def test_a_bad_command_is_refused_and_changes_nothing(names: tuple[str, ...], positions: np.ndarray) -> None:
    """Wrong names, a wrong number of joints or NaN: one message, and the arm stays where it is."""
    driver = ArmDriver(PROFILE.joints, 1.0)
    with pytest.raises(InputError, match="14"):
        driver.command(names, [TrajectoryPoint(0.1, positions, np.zeros_like(positions))], 0.0)
    np.testing.assert_array_equal(run(driver, 0.0, 0.2)[-1], START)


def test_the_reference_stays_within_the_position_limits() -> None:
    """A command beyond a limit ends at the limit."""
    driver = ArmDriver(PROFILE.joints, 5.0)
    goal = PROFILE.array("position_max") + 1.0
    driver.command(PROFILE.joint_names, [TrajectoryPoint(2.5, goal, np.zeros(14))], 0.0)
    np.testing.assert_allclose(run(driver, 0.0, 2.6)[-1], PROFILE.array("position_max"))


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_a_late_command_is_made_up_for_within_the_velocity_limit(share: float) -> None:
    """A message that is nearly due when it comes makes no leap of the reference."""
    driver = ArmDriver(PROFILE.joints, 5.0, share)
    goal = PROFILE.array("start") + 0.05
    driver.command(PROFILE.joint_names, [TrajectoryPoint(0.004, goal, np.zeros(14))], 0.0)
    way = run(driver, 0.0, 0.1)
    speeds = np.abs(np.diff(way, axis=0)) / STEP_S
    assert np.all(speeds <= share * PROFILE.array("velocity_max") * (1.0 + 1e-9))


@pytest.mark.parametrize("late_s", [0.015, 0.06, 0.1])
def test_late_commands_in_a_stream_are_made_up_for_smoothly(late_s: float) -> None:
    """The reference brakes on the way to rest, then comes back to the stream without a jerk that servos overshoot."""
    driver, speed, most = ArmDriver(PROFILE.joints, 0.2), 1.0, PROFILE.array("acceleration_max")[7]
    period_s, step_s, late_from_s, stop_s = 0.02, 0.002, 0.4, 1.6
    moving = np.zeros(14)
    moving[7] = speed
    way, waiting = [], []
    for step in range(round(stop_s / step_s)):
        now_s = step * step_s
        if step % round(period_s / step_s) == 0:
            ends = np.array([0.0, speed / most / 2.0, speed / most])  # constant deceleration
            points = [
                TrajectoryPoint(
                    now_s + period_s + after_s,
                    START + moving * (now_s + period_s + after_s - 0.5 * most * after_s**2 / speed),
                    moving * (1.0 - most * after_s / speed),
                )
                for after_s in ends
            ]
            waiting.append((now_s, points))
        if waiting and not late_from_s <= now_s < late_from_s + late_s:
            driver.command(PROFILE.joint_names, waiting[-1][1], now_s)
            waiting.clear()
        way.append(driver.update(now_s + step_s)[7])
    velocities = np.diff(way) / step_s
    assert np.abs(np.diff(velocities[50:])).max() / step_s <= 8.0 * most  # from the first commands on
    assert velocities.max() < 2.0 * speed
    assert way[-1] == pytest.approx(START[7] + speed * stop_s, abs=1e-3)


def test_it_tells_that_commands_ended_in_mid_motion() -> None:
    """A dead command node is noticed by the driver; a stream that ended with a standing command is no fault."""
    driver, goal = moving_driver(timeout_s=0.2)
    assert driver.abandoned_s(0.2) is None
    assert driver.abandoned_s(0.5) == pytest.approx(0.5)
    driver.command(PROFILE.joint_names, [TrajectoryPoint(0.6, goal, np.zeros(14))], 0.5)
    assert driver.abandoned_s(5.0) is None
