"""True motions are never accused, lies always: whatever rates, jitter, noise and drops."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from video2act_ros.control.joint_jumps import ARM_SPEED
from video2act_ros.control.plausibility import InputPublishers, MeasuredJoints, SecondPublisher
from video2act_ros.core.robot_profile import JointStateSource
from video2act_ros.core.thresholds import Outcome, Threshold
from video2act_ros.core.types import JointSample, RunMode, seconds_to_ns

AGE_LIMIT_S = 0.1  # the profile's threshold for joint states
RANGES = np.array([1.0, 1.0, 0.25])  # how far joints of the made-up motions move, in policy units
whole = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
seeds = st.integers(0, 2**32 - 1)


def sample(time_s, positions, stamps_s=None):
    stamps = None if stamps_s is None else np.array([seconds_to_ns(stamp_s) for stamp_s in stamps_s])
    return JointSample(
        seconds_to_ns(time_s if stamps_s is None else min(stamps_s)),
        np.array(positions),
        joint_stamps_ns=stamps,
    )


class Arm:
    """A true arm that swings at most at `speed` of each joint, measured with noise at jittered times."""

    def __init__(self, seed, speed=1.0, period_s=0.01):
        self.random = np.random.default_rng(seed)
        self.period_s = period_s
        self.phase = self.random.uniform(0.0, 6.28, 3)
        self.middle = np.array([0.0, 0.0, 0.5])
        self.rate = speed * np.array([ARM_SPEED, ARM_SPEED, 8.0]) / RANGES  # rad/s of the swing

    def at(self, time_s):
        return self.middle + RANGES * np.sin(self.phase + self.rate * time_s)

    def samples(self, seconds, drops=0.0):
        """Yield (arrival, stamp, positions); stamps lie about the time by up to a quarter period."""
        time_s = 100.0
        while time_s < 100.0 + seconds:
            time_s += self.period_s
            if self.random.random() < drops:
                continue
            jitter_s = self.random.uniform(-0.25, 0.25) * self.period_s
            noise = self.random.normal(0.0, 0.002, 3)
            yield time_s + 0.002, time_s + jitter_s, self.at(time_s) + noise


def texts(measured, now_s):
    return "; ".join(problem.text for problem in measured.problems(seconds_to_ns(now_s)))


@pytest.fixture
def measured(profile):
    return MeasuredJoints(profile)


@given(seed=seeds, period_s=st.sampled_from((0.001, 0.005, 0.01, 0.02, 0.05)), drops=st.floats(0.0, 0.8))
@whole
def test_a_true_motion_is_believed_whatever_is_lost_or_late(profile, seed, period_s, drops):
    """Rates from 20 to 1000 Hz, stamps that jitter, samples that are lost, noise, grippers that snap."""
    measured = MeasuredJoints(profile)
    for arrival_s, stamp_s, positions in Arm(seed, period_s=period_s).samples(0.6, drops):
        measured.take(sample(stamp_s, positions), seconds_to_ns(arrival_s))
        assert texts(measured, arrival_s) == ""


@given(seed=seeds)
@whole
def test_an_arm_flung_faster_than_its_profile_allows_is_still_believed(profile, seed):
    """A push, or a hand: one and a half times as fast as what counts as a hand's speed."""
    measured = MeasuredJoints(profile)
    for arrival_s, stamp_s, positions in Arm(seed, speed=1.5).samples(0.6):
        assert measured.take(sample(stamp_s, positions), seconds_to_ns(arrival_s))


@given(seed=seeds, offset=st.floats(0.4, 3.0), lag_s=st.floats(0.0, 0.0099))
@whole
def test_a_liar_between_true_samples_is_never_believed_and_told_in_time(profile, seed, offset, lag_s):
    """Two poses in turn at 100 Hz: the true one stays believed, the finding is there before the pose is too old."""
    measured = MeasuredJoints(profile)
    told_s = None
    for arrival_s, stamp_s, positions in Arm(seed).samples(0.3):
        assert measured.take(sample(stamp_s, positions), seconds_to_ns(arrival_s))
        lie = sample(stamp_s + lag_s, positions - np.array([0.0, offset, 0.0]))
        if arrival_s > 100.05:
            assert not measured.take(lie, seconds_to_ns(arrival_s + lag_s))
            if told_s is None and "measured elbow" in texts(measured, arrival_s + lag_s):
                told_s = arrival_s + lag_s - 100.05
    assert told_s is not None
    assert told_s <= AGE_LIMIT_S


@given(seed=seeds)
@whole
def test_a_liar_that_was_first_is_told_and_the_arm_is_believed_once_it_has_gone(profile, seed):
    """Whoever comes first is believed at first; nothing goes while two poses take turns; then the steady one counts."""
    measured = MeasuredJoints(profile)
    lies = 20
    for arrival_s, stamp_s, positions in Arm(seed, speed=0.2).samples(1.5):
        if lies:
            measured.take(sample(stamp_s - 0.001, positions + 1.0), seconds_to_ns(arrival_s - 0.001))
            lies -= 1
        believed = measured.take(sample(stamp_s, positions), seconds_to_ns(arrival_s))
        if not lies and arrival_s < 100.22:
            assert texts(measured, arrival_s)
    assert believed
    assert texts(measured, arrival_s) == ""


def test_the_finding_is_graded_and_names_joint_topic_and_remedy(measured):
    """One broken sample stops nothing; then hold; then fault."""
    outcomes = []
    for step in range(80):
        now_s = 100.0 + step * 0.01
        measured.take(sample(now_s, [0.0, 1.2 * (step % 2), 0.5]), seconds_to_ns(now_s))
        outcomes.append([problem.outcome for problem in measured.problems(seconds_to_ns(now_s))])
    assert outcomes[1] == outcomes[4] == []
    assert outcomes[8] == [Outcome.HOLD]
    assert outcomes[-1] == [Outcome.FAULT]
    told = texts(measured, now_s)
    assert "measured elbow jumps from 0.00 to 1.20 within 0.010 s, faster than it can move" in told
    assert "let one driver alone publish on joint_states" in told


def test_a_single_broken_sample_is_passed_over(measured):
    """A glitch is neither believed nor a reason to hold."""
    for step in range(20):
        now_s = 100.0 + step * 0.01
        positions = [0.0, 1.5 if step == 10 else 0.0, 0.5]
        assert measured.take(sample(now_s, positions), seconds_to_ns(now_s)) is (step != 10)
        assert texts(measured, now_s) == ""


def test_an_arm_that_is_elsewhere_for_good_is_believed_after_a_moment(measured):
    """A driver that was started anew counts from another zero: told at first, believed once it is steady."""
    for step in range(100):
        now_s = 100.0 + step * 0.01
        believed = measured.take(sample(now_s, [0.0, 1.5 * (step >= 10), 0.5]), seconds_to_ns(now_s))
        if 10 <= step < 20:
            assert not believed
    assert believed
    assert texts(measured, now_s) == ""


def test_an_episode_may_put_the_arm_elsewhere(measured):
    """A simulation's reset is no lie: believed as soon as it is steady, and nobody is blamed."""
    measured.take(sample(100.0, [0.0, 0.0, 0.5]), seconds_to_ns(100.0))
    measured.expect_elsewhere(seconds_to_ns(100.005))
    for step in range(1, 15):
        now_s = 100.0 + step * 0.01
        believed = measured.take(sample(now_s, [0.0, 1.5, 0.5]), seconds_to_ns(now_s))
        assert texts(measured, now_s) == ""
    assert believed


def test_a_liar_is_told_in_a_new_episode_too(measured):
    """Two poses in turn are no reset; the one from before stays believed."""
    measured.take(sample(100.0, [0.0, 0.0, 0.5]), seconds_to_ns(100.0))
    measured.expect_elsewhere(seconds_to_ns(100.0))
    for step in range(1, 12):
        now_s = 100.0 + step * 0.01
        assert not measured.take(sample(now_s - 0.005, [0.0, 1.5, 0.5]), seconds_to_ns(now_s - 0.005))
        assert measured.take(sample(now_s, [0.0, 0.0, 0.5]), seconds_to_ns(now_s))
    assert "measured elbow jumps" in texts(measured, now_s)


def test_messages_that_overtake_each_other_are_passed_over_in_silence(measured):
    """An older sample never replaces a newer one; by a few milliseconds nobody is to blame."""
    for step in range(40):
        now_s = 100.0 + step * 0.01
        assert measured.take(sample(now_s, [0.0, 0.0, 0.5]), seconds_to_ns(now_s))
        assert not measured.take(sample(now_s - 0.005, [0.0, 0.01, 0.5]), seconds_to_ns(now_s))
        assert texts(measured, now_s) == ""


def test_stamps_that_run_back_are_told(measured):
    """A second source whose clock lies behind, though at the same pose."""
    for step in range(20):
        now_s = 100.0 + step * 0.01
        measured.take(sample(now_s, [0.0, 0.0, 0.5]), seconds_to_ns(now_s))
        measured.take(sample(now_s - 0.3, [0.0, 0.0, 0.5]), seconds_to_ns(now_s))
    assert "joint states on joint_states run back in time by 0.300 s" in texts(measured, now_s)


def test_each_topic_has_stamps_of_its_own(profile):
    """A slow driver keeps the joined stamp back: what moves on the other topic is no jump; topics are named."""
    names = {"gripper": "their_gripper", "elbow": "their_elbow"}
    sources = (JointStateSource(topic="/left"), JointStateSource(topic="/right", names=names))
    measured = MeasuredJoints(profile.model_copy(update={"joint_states": sources}))
    right_s = left_s = 100.0
    for step in range(100):
        now_s = 100.0 + step * 0.01
        right_s = now_s if step % 30 == 0 else right_s
        left_s = now_s if step % 10 == 0 else left_s
        joined = sample(now_s, [2.0 * (left_s - 100.5), 0.3, 0.5], (left_s, right_s, right_s))
        assert measured.take(joined, seconds_to_ns(now_s))
    for step in range(10):
        joined = sample(now_s, [0.8, 1.5 * (step % 2) - 1.0, 0.5], (left_s, now_s + step * 0.01, now_s))
        measured.take(joined, seconds_to_ns(now_s + step * 0.01))
    assert "publish on /right" in texts(measured, now_s + 0.1)


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        ([30.0, -55.0, 0.5], "elbow at -55, far outside of its range (-2 to 2): it looks like degrees"),
        (
            [0.1, 6.4, 0.5],
            "elbow at 6.4, far outside of its range (-2 to 2): it counts +1 turns, or it is in degrees",
        ),
        ([0.1, 400.0, 0.5], "elbow at 400, far outside of its range (-2 to 2): it looks like millimetres"),
        ([0.1, 90000.0, 0.5], "check its source, the driver's zero and the range in the robot profile"),
        ([0.1, 0.2, 750.0], "gripper at 30, far outside of its range (0 to 0.04): it looks like millimetres"),
    ],
)
def test_other_units_are_named_with_the_remedy(measured, positions, words):
    """Positions no joint can have are never believed; the unit that would explain them is named."""
    for step in range(10):
        now_s = 100.0 + step * 0.01
        assert not measured.take(sample(now_s, positions), seconds_to_ns(now_s))
    assert words in texts(measured, now_s)


def test_a_joint_a_little_outside_of_its_range_is_believed(measured):
    """Profiles are often narrower than the arm, and hands move it anywhere."""
    assert measured.take(sample(100.0, [2.9, -2.9, 3.0]), seconds_to_ns(100.0))
    assert texts(measured, 100.0) == ""


def drive(measured, stuck, seconds=1.2, speed=0.2, start_s=100.0, others=1.0):
    """Command all joints to move; those `stuck` measure one number. Return when it is told, else None."""
    for step in range(int(seconds / 0.02)):
        now_s = start_s + step * 0.02
        wanted = np.array([1.0, others, 1.0]) * speed * step * 0.02
        positions = np.where(stuck, 0.0, wanted)
        measured.command(wanted, seconds_to_ns(now_s))
        measured.take(sample(now_s, positions), seconds_to_ns(now_s))
        if "unchanged to the last bit" in texts(measured, now_s):
            return now_s - start_s
    return None


def test_a_frozen_joint_is_told_before_any_tracking_error(measured):
    """The encoder sticks while the others move: 0.1 rad of command, then 0.3 s."""
    assert drive(measured, [True, False, False]) == pytest.approx(0.5 + 0.3, abs=0.05)
    told = texts(measured, 101.2)
    assert "measured shoulder at 0.0000 unchanged to the last bit" in told
    assert "elbow" not in told


@pytest.mark.parametrize("stuck", [[False, False, True], [False, False, False], [True, True, True]])
def test_grippers_on_objects_and_arms_that_stand_as_a_whole_are_not_called_frozen(measured, stuck):
    """A gripper that holds something, a healthy arm; and where nothing moves the tracking error tells."""
    assert drive(measured, stuck) is None


def test_a_joint_that_is_not_commanded_may_measure_one_number(measured):
    """An arm at rest without noise."""
    assert drive(measured, [False, True, False], others=0.0) is None


def test_a_frozen_joint_is_forgiven_once_it_moves_or_the_arm_is_let_go(measured):
    """So that a repaired arm can be engaged again."""
    drive(measured, [True, False, False])
    measured.take(sample(101.3, [0.001, 0.2, 0.2]), seconds_to_ns(101.3))
    assert texts(measured, 101.3) == ""
    drive(measured, [True, False, False], start_s=110.0)
    assert texts(measured, 110.8)
    measured.command(None, seconds_to_ns(110.9))
    assert texts(measured, 110.9) == ""


def test_a_second_publisher_counts_by_how_long_it_is_there(profile):
    """The first sight refuses to engage, a lasting one holds, whoever drives where it concerns the arm."""
    publishers = InputPublishers(profile)
    joints = SecondPublisher("/joint_states", "2 nodes publish on /joint_states: /a, /b", True)
    camera = SecondPublisher("/cam", "2 nodes publish on /cam: /a, /b", False)
    publishers.take((joints, camera), seconds_to_ns(10.0))
    assert publishers.texts == (joints.text, camera.text)
    assert list(publishers.problems(seconds_to_ns(10.05), of_arm=True)) == []
    publishers.take((joints, camera), seconds_to_ns(10.2))
    (problem,) = publishers.problems(seconds_to_ns(10.2), of_arm=True)
    assert (problem.outcome, problem.text) == (Outcome.HOLD, joints.text)
    (problem,) = publishers.problems(seconds_to_ns(10.2), of_arm=False)
    assert problem.text == camera.text
    publishers.take((), seconds_to_ns(10.3))
    assert publishers.texts == ()


# -- the whole loop ---------------------------------------------------------------------------------


def lie(bench, pose, ticks):
    """Let somebody publish another pose between the true samples; return whether any lie became the measured pose."""
    for _ in range(ticks):
        bench.tick()
        bench.loop.on_joints(sample(bench.time_s + 0.005, pose), bench.now_ns + 5_000_000)


def test_a_liar_in_shadow_is_in_the_way_of_engage_and_of_move_to_start(bench):
    """Neither begins from a pose that nobody knows; both name the joint and the topic."""
    bench.measured = np.array([1.2, -1.0, 0.5])
    bench.tick(30)
    lie(bench, np.zeros(3), 10)
    bench.hold_still()
    for refusals in (bench.loop.engage(bench.now_ns), bench.loop.move_to_start(bench.now_ns)[0]):
        assert any("jumps from" in text and "joint_states" in text for text in refusals)
    bench.tick(40)
    bench.hold_still()
    assert bench.loop.engage(bench.now_ns) == ()


def test_a_liar_holds_a_driven_arm_in_time_and_faults_when_it_goes_on(make_patient):
    """Within the limits, by name, and the commands go on from the true pose."""
    bench = make_patient()
    bench.drive(0.5, 20)
    bench.tick(5)
    began_s = bench.time_s
    bench.loop.on_joints(sample(bench.time_s + 0.005, [-1.5, -1.5, 0.5]), bench.now_ns)
    for _ in range(8):
        lie(bench, [-1.5, -1.5, 0.5], 1)
        if bench.mode is RunMode.HOLDING:
            break
    assert bench.mode is RunMode.HOLDING
    assert bench.time_s - began_s <= AGE_LIMIT_S
    assert "jumps from" in bench.reason
    lie(bench, [-1.5, -1.5, 0.5], 40)
    assert bench.mode is RunMode.FAULT
    bench.tick(30)
    assert bench.at_rest()
    bench.assert_within_limits()


@pytest.mark.parametrize("known", [True, False])
def test_a_set_point_never_follows_a_lie(make_patient, known):
    """The true driver is silent beside a liar: the arm stays where a second node is known, or both are heard again."""
    bench = make_patient()
    bench.drive(0.3, 30)
    before = bench.commands[-1].state.positions
    if known:
        second = SecondPublisher("/joint_states", "2 nodes publish on /joint_states: /a, /b", True)
        bench.loop.on_second_publishers((second,), bench.now_ns)
    bench.measuring = False
    for _ in range(20 if not known else 150):
        bench.loop.on_joints(sample(bench.time_s + 0.005, [-1.5, -1.5, 0.5]), bench.now_ns + 5_000_000)
        bench.tick()
    bench.measuring = True
    for _ in range(100):
        lie(bench, [-1.5, -1.5, 0.5], 1)
    assert bench.mode is not RunMode.ENGAGED
    assert np.abs(bench.commands[-1].state.positions - before).max() < 0.1


def test_degrees_are_in_the_way_and_never_the_measured_pose(bench):
    """The unit is named instead of a driver that were missing."""
    bench.measured = np.array([40.0, -30.0, 0.5])
    bench.tick(10)
    assert bench.status.ages.joint_state_s is None
    (refusals, _) = bench.loop.move_to_start(bench.now_ns)
    assert any("it looks like degrees" in text for text in refusals)
    assert not any("no joint state yet" in text for text in refusals)


def test_second_publishers_are_in_the_way_of_both_and_hold(make_patient):
    """Of joint states whoever drives; of a camera only while the policy does, but nothing begins beside it."""
    bench = make_patient()
    camera = SecondPublisher("/cam", "2 nodes publish on /cam: /a, /b", False)
    bench.tick()
    bench.hold_still()
    bench.loop.on_second_publishers((camera,), bench.now_ns)
    assert bench.loop.engage(bench.now_ns) == (camera.text,)
    assert bench.loop.move_to_start(bench.now_ns)[0] == (camera.text,)
    bench.loop.on_second_publishers((), bench.now_ns)
    bench.drive()
    for _ in range(10):
        bench.loop.on_second_publishers((camera,), bench.now_ns)
        bench.tick()
    assert bench.mode is RunMode.HOLDING
    assert camera.text in bench.reason


def test_stamps_of_another_clock_are_not_called_old(make_bench, make_joints):
    """A driver that counts from its start, and one that never advances."""
    bench = make_bench()
    bench.time_s, bench.measuring = 1.8e9, False
    bench.tick()
    for step in range(20):
        bench.time_s += 0.02
        bench.loop.on_joints(make_joints(5000.0 + step * 0.02), bench.now_ns)
        bench.loop.tick(bench.now_ns)
    assert "joint states are stamped 57.0 years ago, by another clock" in bench.reason
    bench = make_bench()
    for _ in range(20):
        bench.time_s += 0.02
        bench.loop.on_joints(make_joints(100.0), bench.now_ns)
        bench.loop.tick(bench.now_ns)
    assert "joint states keep coming with one stamp, 0.40 s old" in bench.reason


def test_thresholds_are_the_profiles(profile, graded, make_bench):
    """A lab that wants another outcome says so."""
    bench = make_bench(graded(profile, joint_jump_s=Threshold(fault=0.01), chunk_age_s=Threshold(hold=2.0)))
    bench.drive(0.5, 10)
    lie(bench, [-1.5, -1.5, 0.5], 4)
    assert bench.mode is RunMode.FAULT
