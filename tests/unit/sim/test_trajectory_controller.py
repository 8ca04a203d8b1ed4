"""The model of a joint trajectory controller keeps the rules of ros2_controllers' (docs/robots.md states them)."""

import numpy as np
import pytest

from video2act_ros.core.errors import InputError
from video2act_ros.sim.trajectory_controller import JointTrajectoryMessage, TrajectoryController, Waypoint

MS = 1_000_000
NOW = 1_000_000 * MS
PERIOD = 5 * MS  # of 200 Hz
NAMES = ("a", "b")


def point(after_ms, positions, velocities=(0.0, 0.0), accelerations=()):
    return Waypoint(
        round(after_ms * MS),
        *(np.array(values, dtype=float) for values in (positions, velocities, accelerations)),
    )


def message(*points, stamp_ns=NOW, names=NAMES):
    return JointTrajectoryMessage(names, stamp_ns, points)


GOOD = message(point(0, (0.0, 1.0)), point(20, (0.1, 1.1)))


@pytest.fixture
def make_controller():
    return lambda **options: TrajectoryController(NAMES, np.array([0.0, 1.0]), 200.0, **options)


@pytest.fixture
def controller(make_controller):
    return make_controller()


def update(controller, now_ns, positions=(0.0, 1.0), velocities=(0.0, 0.0)):
    return controller.update(now_ns, np.array(positions), np.array(velocities))


def cubic(way, v0, v1, span, t):
    """Return the cubic's way after `t` of `span`, by Hermite's basis."""
    u = t / span
    return way * (3 * u**2 - 2 * u**3) + span * (v0 * (u - 2 * u**2 + u**3) + v1 * (u**3 - u**2))


# -- what is refused ----------------------------------------------------------------------------------

REFUSALS = {
    "other joints": (message(point(0, (0, 1)), names=("a", "c")), "name each of the 2 joints once"),
    "too few joints": (message(point(0, (0,), (0,)), names=("a",)), "name each of the 2 joints once"),
    "a joint twice": (message(point(0, (0, 1)), names=("a", "a")), "name each of the 2 joints once"),
    "no points": (message(), "without points"),
    "two points of one time": (
        message(point(0, (0, 1)), point(7, (0, 1)), point(7, (0, 1))),
        "points 1 and 2 must increase, it is 7000000 and 7000000 ns",
    ),
    "points in falling order": (message(point(7, (0, 1)), point(0, (0, 1))), "points 0 and 1 must increase"),
    "an end in motion": (message(point(0, (0, 1), (0, 1e-6))), "velocity of b must be 0, got 0.000001"),
    "an end in the past": (message(point(20, (0, 1)), stamp_ns=NOW - 21 * MS), "ended 0.001 s ago"),
    "no positions": (message(point(0, ())), "point 0 needs 2 positions, got 0"),
    "too few positions": (message(point(0, (0,))), "point 0 needs 2 positions, got 1"),
    "too many velocities": (message(point(0, (0, 1), (0, 0, 0))), "needs 2 velocities, got 3"),
    "too few accelerations": (message(point(0, (0, 1), (0, 0), (0,))), "needs 2 accelerations, got 1"),
    "efforts": (
        message(Waypoint(0, np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(2))),
        "has efforts",
    ),
}


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("name", REFUSALS)
def test_a_message_is_refused_as_a_whole_when_it_arrives(controller, name, active):
    """What was followed before goes on; an inactive controller judges in the same way."""
    controller.receive(GOOD, NOW)
    before = update(controller, NOW)
    if not active:
        controller.deactivate()
    bad, words = REFUSALS[name]
    with pytest.raises(InputError, match=words):
        controller.receive(bad, NOW)
    after = update(controller, NOW + PERIOD)
    assert np.all(after == before) if not active else np.all(after > before)


def test_what_lies_just_inside_the_rules_is_taken(controller):
    """One nanosecond between two points, a speed of less than float32's epsilon, an end that is due now."""
    last = Waypoint(20 * MS + 1, np.array([0.5, 1.0]), np.array([0.0, 1e-7]))
    controller.receive(message(point(20, (0.5, 1.0)), last, stamp_ns=NOW - 20 * MS - 1), NOW)
    assert update(controller, NOW)[0] == 0.5


def test_joints_come_in_any_order(controller):
    """The message's order is not the controller's."""
    controller.receive(message(point(0, (2.0, 0.5)), names=("b", "a")), NOW)
    assert update(controller, NOW).tolist() == [0.5, 2.0]


# -- what is commanded --------------------------------------------------------------------------------


def test_it_holds_where_it_was_activated(controller):
    """Until a message comes the joints stay, wherever they are measured."""
    for tick in range(3):
        assert update(controller, NOW + tick * PERIOD, positions=(0.3, 0.7)).tolist() == [0.0, 1.0]


def test_the_command_is_the_motion_one_period_later(controller):
    """Between two points with velocities it is a cubic, sampled at the update's time plus the period."""
    controller.receive(message(point(0, (0, 1), (1.0, 0.0)), point(20, (0.03, 1.0))), NOW)
    wanted = cubic(0.03, 1.0, 0.0, 0.02, 0.005)
    assert update(controller, NOW)[0] == pytest.approx(wanted, abs=1e-12)
    velocity = controller.commanded.velocities[0]
    assert velocity == pytest.approx((wanted - cubic(0.03, 1.0, 0.0, 0.02, 0.004999)) / 1e-6, rel=1e-3)


def test_points_with_accelerations_are_joined_by_a_quintic(controller):
    """A motion of constant jerk is a polynomial of third degree: the quintic through its states is that motion."""

    def state(t_s, jerk=50.0, a=2.0, v=0.3):
        return (
            v * t_s + a * t_s**2 / 2 + jerk * t_s**3 / 6,
            v + a * t_s + jerk * t_s**2 / 2,
            a + jerk * t_s,
        )

    points = [
        point(1e3 * t_s, *((value, 0.0) for value in state(t_s))) for t_s in (0.0, 0.02)
    ]  # joint a moves, b stands
    controller.receive(message(*points, point(40, (1.0, 0.0), (0, 0), (0, 0))), NOW)
    for tick in range(3):
        t_s = (tick + 1) * 0.005
        update(controller, NOW + tick * PERIOD)
        commanded = controller.commanded
        values = (commanded.positions[0], commanded.velocities[0], commanded.accelerations[0])
        np.testing.assert_allclose(values, state(t_s), rtol=1e-9)


def test_points_without_velocities_are_joined_by_lines(controller):
    """A straight line wherever one end says nothing about its velocity."""
    controller.receive(message(point(0, (0, 1), ()), point(20, (0.1, 1.0))), NOW)
    assert update(controller, NOW)[0] == pytest.approx(0.025)


def test_it_starts_from_the_measured_state(controller):
    """Before the first point is due the way begins where the joints *are*, although they were commanded elsewhere."""
    controller.receive(message(point(0, (0.2, 1.0), (1.0, 0.0)), point(500, (0.4, 1.0))), NOW)
    ahead = update(controller, NOW)[0]
    controller.receive(
        message(point(20, (0.225, 1.0), (1.0, 0.0)), point(500, (0.4, 1.0)), stamp_ns=NOW + PERIOD),
        NOW + PERIOD,
    )
    after = update(controller, NOW + PERIOD, positions=(0.1, 1.0), velocities=(0.5, 0.0))[0]
    assert after == pytest.approx(0.1 + cubic(0.125, 0.5, 1.0, 0.02, 0.005))
    assert after < ahead  # the lag of the joints is thrown back at them


def test_it_starts_from_what_it_commanded_last(make_controller):
    """With desired the way begins at the newest command, which is remembered with a time one period too early."""
    controller = make_controller(start_from="desired")
    controller.receive(message(point(0, (0.2, 1.0), (1.0, 0.0)), point(500, (0.7, 1.0), (0.0, 0.0))), NOW)
    update(controller, NOW)
    newest = controller.commanded
    controller.receive(
        message(point(20, (0.225, 1.0), (1.0, 0.0)), point(500, (0.7, 1.0)), stamp_ns=NOW + PERIOD),
        NOW + PERIOD,
    )
    after = update(controller, NOW + PERIOD, positions=(0.1, 1.0), velocities=(0.5, 0.0))[0]
    way = 0.225 - newest.positions[0]
    # 25 ms from the update before to the point; 10 ms of them have gone by one period after this update
    assert after == pytest.approx(newest.positions[0] + cubic(way, newest.velocities[0], 1.0, 0.025, 0.010))


def test_accelerations_that_are_not_measured_count_as_zero(controller):
    """So the way to a first point with an acceleration is a quintic, too, which begins without any."""
    controller.receive(
        message(point(20, (0.1, 1.0), (0, 0), (3.0, 0.0)), point(40, (0.1, 1.0), (0, 0), (0, 0))), NOW
    )
    update(controller, NOW - 0)
    u, span = 0.25, 0.02
    wanted = 0.1 * (10 * u**3 - 15 * u**4 + 6 * u**5) + 3.0 * span**2 / 2 * (u**3 - 2 * u**4 + u**5)
    assert controller.commanded.positions[0] == pytest.approx(wanted)


@pytest.mark.parametrize("start_from", ["measured", "desired"])
def test_a_point_that_is_due_already_is_no_start(make_controller, start_from):
    """What the joints do is of no interest where the first point is due at the stamp and the stamp has passed."""
    controller = make_controller(start_from=start_from)
    late = message(point(0, (0, 1), (1.0, 0.0)), point(100, (0.1, 1.0), (1.0, 0)), point(200, (0.15, 1.0)))
    controller.receive(late, NOW + 30 * MS)
    assert update(controller, NOW + 30 * MS, positions=(9.0, 9.0))[0] == pytest.approx(0.035)


def test_after_the_last_point_it_holds(controller):
    """It never runs on; the last point stands for good."""
    controller.receive(GOOD, NOW)
    for after_ms in (0, 5, 10, 15, 20, 5000):
        commanded = update(controller, NOW + after_ms * MS)
    assert commanded.tolist() == [0.1, 1.1]
    assert not controller.moves


def test_without_a_stamp_it_starts_with_the_next_update(controller):
    """Stamp 0 means when the message is taken, which is later than when it came."""
    controller.receive(message(point(0, (0, 1), (1, 0)), point(100, (0.05, 1)), stamp_ns=0), NOW)
    first = update(controller, NOW + 3 * MS)[0]
    assert first == pytest.approx(cubic(0.05, 1.0, 0.0, 0.1, 0.005))


def test_of_two_messages_between_updates_the_newer_counts(controller):
    """The other one is never sampled."""
    controller.receive(message(point(0, (5.0, 5.0))), NOW)
    controller.receive(message(point(0, (0.1, 1.0))), NOW)
    assert update(controller, NOW).tolist() == [0.1, 1.0]


# -- splicing at the stamp, and being inactive --------------------------------------------------------


def test_spliced_the_trajectory_before_goes_on_up_to_the_stamp(make_controller):
    """The points before the new one's stamp stay, and the new one begins at the stamp."""
    controller = make_controller(splice_at_stamp=True)
    controller.receive(message(*(point(20 * k, (0.02 * k, 1.0)) for k in range(10))), NOW)
    update(controller, NOW)
    later = message(point(0, (0.06, 1.0)), point(100, (0.0, 1.0)), stamp_ns=NOW + 65 * MS)
    controller.receive(later, NOW + PERIOD)
    measured = (controller.commanded.positions[0], 1.0)
    for after_ms in range(5, 70, 5):
        commanded = update(controller, NOW + after_ms * MS, positions=measured)[0]
        if after_ms == 35:  # at the old point of 40 ms
            assert commanded == pytest.approx(0.04)
    assert commanded == pytest.approx(0.06 + cubic(-0.06, 0.0, 0.0, 0.1, 0.005))


def test_spliced_a_stamp_that_has_passed_begins_now(make_controller):
    """So a message plays late by as much as it came late; without splicing it plays by its stamp."""

    def second(splice):
        controller = make_controller(splice_at_stamp=splice)
        controller.receive(message(point(0, (0, 1), (1, 0)), point(200, (0.1, 1.0))), NOW)
        update(controller, NOW)
        late = message(point(0, (0, 1), (1, 0)), point(200, (0.1, 1.0)))
        controller.receive(late, NOW + 20 * MS)
        return update(controller, NOW + 20 * MS)[0]

    assert second(False) == pytest.approx(cubic(0.1, 1.0, 0.0, 0.2, 0.025))
    assert second(True) == pytest.approx(cubic(0.1, 1.0, 0.0, 0.2, 0.005))


def test_spliced_a_first_point_ahead_is_reached_from_the_trajectory_before(make_controller):
    """Not from the measured state: a bridge begins where the old trajectory stands."""
    controller = make_controller(splice_at_stamp=True)
    controller.receive(
        message(point(0, (0, 1), (1, 0)), point(200, (0.2, 1.0), (1, 0)), point(400, (0.3, 1))), NOW
    )
    update(controller, NOW)
    ahead = message(point(20, (0.025, 1.0), (1, 0)), point(400, (0.3, 1.0)), stamp_ns=NOW + PERIOD)
    controller.receive(ahead, NOW + PERIOD)
    assert update(controller, NOW + PERIOD, positions=(-3.0, 1.0))[0] == pytest.approx(0.010)


def test_inactive_it_moves_nothing_and_forgets_what_came(controller):
    """The last command stands; active again, it acts on what comes then."""
    controller.receive(GOOD, NOW)
    stood = update(controller, NOW)
    controller.receive(message(point(10, (6.0, 6.0))), NOW)
    controller.deactivate()
    assert not controller.active
    controller.receive(message(point(10, (5.0, 5.0))), NOW + PERIOD)
    assert np.all(update(controller, NOW + PERIOD) == stood)
    controller.activate()
    assert np.all(update(controller, NOW + 2 * PERIOD) == stood)
    controller.receive(message(point(10, (0.4, 1.4))), NOW + 2 * PERIOD)
    assert update(controller, NOW + 3 * PERIOD).tolist() == [0.4, 1.4]
