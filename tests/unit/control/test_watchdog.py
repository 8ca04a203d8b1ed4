import pytest

from video2act_ros.control.problem import describe, worst
from video2act_ros.control.watchdog import InputAges, Watchdog
from video2act_ros.core.thresholds import Outcome
from video2act_ros.core.types import seconds_to_ns

NOW_NS = seconds_to_ns(10.0)


@pytest.fixture
def watchdog(profile, make_report):
    watchdog = Watchdog(profile)
    watchdog.on_report(make_report(10.0))
    watchdog.on_report(make_report(10.0, system="system2", frame_gap=0.1))
    return watchdog


def policy(watchdog, chunk):
    return describe(watchdog.policy_problems(NOW_NS, chunk))


def test_fresh_inputs_raise_nothing(watchdog, make_chunk, make_joints):
    """No reason, no hold."""
    assert watchdog.policy_problems(NOW_NS, make_chunk(9.8, [0.0] * 9, latent_s=9.5)) == ()
    assert watchdog.robot_problems(NOW_NS, make_joints(9.95)) == ()


@pytest.mark.parametrize(
    ("stamp_s", "words"),
    [
        (None, "no joint state yet; check the robot driver"),
        (9.89, "joint state too old (0.11 s, limit 0.1 s); check the robot driver"),
        (11.0, "joint state stamped 1.00 s in the future; synchronise the clocks"),
    ],
)
def test_joint_states_that_cannot_be_used_hold(watchdog, make_joints, stamp_s, words):
    """Missing, old or from the future: each reason has value, limit and remedy."""
    joints = None if stamp_s is None else make_joints(stamp_s)
    (problem,) = watchdog.robot_problems(NOW_NS, joints)
    assert problem.text == words
    assert problem.outcome is Outcome.HOLD


def test_chunks_that_are_missing_or_old_hold(watchdog, make_chunk):
    """The reason names System 1, or why its newest chunk was refused."""
    assert policy(watchdog, None) == "no chunk of this epoch yet; check System 1"
    old = make_chunk(9.4, [0.0] * 9)
    assert policy(watchdog, old) == "chunk of this epoch too old (0.60 s, limit 0.5 s); check System 1"
    (problem,) = watchdog.policy_problems(NOW_NS, None, "the newest one was refused: NaN")
    assert problem.text.endswith("the newest one was refused: NaN")


def test_latents_age_from_now_on(watchdog, make_chunk):
    """A dead System 2 is noticed as soon as the threshold passes, not with the next chunk."""
    at_observation_good = make_chunk(9.8, [0.0] * 9, latent_s=8.99)
    words = "latents of the newest chunk too old (1.01 s, limit 1 s); check System 2"
    assert policy(watchdog, at_observation_good) == words


def test_a_silent_system1_is_not_blamed_on_system2(watchdog, make_chunk):
    """Once the chunk itself is late, its latents count at the observation."""
    assert "System 2" not in policy(watchdog, make_chunk(9.4, [0.0] * 9, latent_s=8.9))


def test_old_images_in_a_chunk_hold(watchdog, make_chunk):
    """A chunk made from old images is not trusted, however fresh it is."""
    chunk = make_chunk(9.8, [0.0] * 9)
    object.__setattr__(chunk, "image_stamps_ns", (seconds_to_ns(9.4),))
    assert "camera image of the newest chunk too old (0.40 s, limit 0.3 s)" in policy(watchdog, chunk)


def test_another_publisher_counts_by_how_long_it_is_there(watchdog, make_joints):
    """A threshold in seconds; the first sight alone only warns; a leaver is forgotten."""
    joints = make_joints(10.0)
    watchdog.on_other_publishers({"/arm/command": "/teleop; stop it"}, seconds_to_ns(9.9))
    assert watchdog.robot_problems(NOW_NS, joints) == ()
    assert watchdog.others == ("another publisher on /arm/command: /teleop; stop it",)
    watchdog.on_other_publishers({"/arm/command": "/teleop; stop it"}, seconds_to_ns(9.99))
    (problem,) = watchdog.robot_problems(seconds_to_ns(10.11), make_joints(10.11))
    assert problem.outcome is Outcome.FAULT
    assert problem.text.startswith("another publisher on /arm/command")
    watchdog.on_other_publishers({}, NOW_NS)
    assert watchdog.others == ()


def test_the_gravest_outcome_decides_and_is_told_first(watchdog, make_joints):
    """All reasons are told, the worst first."""
    watchdog.on_other_publishers({"/arm/command": "/teleop; stop it"}, seconds_to_ns(9.0))
    problems = watchdog.robot_problems(NOW_NS, make_joints(9.0))
    assert worst(problems) is Outcome.FAULT
    assert describe(problems).startswith("another publisher")
    assert "joint state" in describe(problems)
    assert worst(()) is None


def test_ages_come_from_stamps(make_chunk, make_joints):
    """Chunk, joints and latents count from now, images from the observation."""
    ages = InputAges.at(seconds_to_ns(10.3), make_chunk(10.0, [0.0] * 4, latent_s=9.2), make_joints(10.28))
    assert ages.chunk_s == pytest.approx(0.3)
    assert ages.joint_state_s == pytest.approx(0.02)
    assert ages.latent_s == pytest.approx(1.1)
    assert ages.observed_latent_s == pytest.approx(0.8)
    assert ages.image_s == (0.0,)


def test_a_deaf_output_refuses_at_once_and_holds_when_it_lasts(watchdog, make_joints):
    """Discovery is not instant: a driver that is away for a moment only shows; one that stays away holds."""
    watchdog.on_deaf_outputs(["nobody listens on /arm"], seconds_to_ns(9.0))
    assert watchdog.deaf == ("nobody listens on /arm",)
    assert watchdog.robot_problems(seconds_to_ns(9.4), make_joints(9.4)) == ()
    (problem,) = watchdog.robot_problems(seconds_to_ns(9.6), make_joints(9.6))
    assert (problem.outcome, problem.text) == (Outcome.HOLD, "nobody listens on /arm")
    watchdog.on_deaf_outputs([], seconds_to_ns(9.7))
    assert watchdog.robot_problems(seconds_to_ns(9.8), make_joints(9.8)) == ()


def test_joints_of_another_robot_are_told_where_none_are_measured(watchdog):
    """The reason names what the driver carries instead of blaming the driver."""
    watchdog.on_missing_joints(("/joint_states carries a, but not b",))
    (problem,) = watchdog.robot_problems(NOW_NS, None)
    assert problem.text == "no joint state yet; /joint_states carries a, but not b"
