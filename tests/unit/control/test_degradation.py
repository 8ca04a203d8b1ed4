"""The loop's answers to graded problems, emergency stops, takeovers, steps of the clock and the way to the start."""

import numpy as np
import pytest

from video2act_ros.control.run_state import Source
from video2act_ros.core.thresholds import Threshold
from video2act_ros.core.types import RunMode

PERIOD_S = 0.02
LEAD_TICKS = (
    3  # of a robot that follows trajectories: one period, and the 0.04 s by which a message may be late
)


@pytest.fixture
def slow_profile(profile, graded):
    return graded(profile, latent_age_s=Threshold(slow=0.3, hold=5.0), chunk_age_s=Threshold(hold=2.0))


# -- graded outcomes ---------------------------------------------------------------------------------


def test_slow_goes_the_same_path_more_slowly_and_recovers(slow_profile, bench):
    """Beyond the slow threshold the arm stays engaged, says why, and lowers its speed smoothly to the parameter."""
    bench = type(bench)(slow_profile, slow_scale=0.5)
    bench.engage()
    bench.chunk(0.5 * np.arange(80) * 0.05)
    bench.tick(14)
    assert bench.commands[-1].state.velocities[0] == pytest.approx(0.5, rel=0.05)
    bench.tick(60)
    status = bench.status
    assert status.mode is RunMode.ENGAGED
    assert "latents of the newest chunk too old" in status.reason
    assert status.speed_scale == pytest.approx(0.5, abs=0.02)
    assert bench.commands[-1].state.velocities[0] == pytest.approx(0.25, rel=0.1)
    for _ in range(100):
        bench.hold_still()
        bench.tick()
    assert bench.reason == ""
    assert bench.status.speed_scale == pytest.approx(1.0, abs=0.02)
    bench.assert_within_limits()


@pytest.mark.parametrize("check", ["image_age", "image_frozen", "image_dark"])
def test_a_bad_camera_holds_by_name_and_recovers_by_itself(bench, check):
    """Old, frozen and dark images stop the arm within its limits while chunks keep coming."""
    bench.drive()
    bench.seeing = False
    bench.see(**{"image_age": 0.05, check: 0.9})
    bench.tick()
    assert bench.mode is RunMode.HOLDING
    assert "cam_high" in bench.reason
    bench.tick_until(bench.at_rest, 30)
    bench.seeing = True
    bench.hold_still()
    bench.tick_until_engaged()
    bench.assert_within_limits()


def test_reports_that_stop_hold_the_arm(patient):
    """The last good report does not last."""
    bench = patient
    bench.drive()
    bench.seeing = False
    ticks = bench.tick_until(lambda: bench.mode is RunMode.HOLDING, 20)
    assert ticks * PERIOD_S <= 0.3
    assert "input report of System 1 too old" in bench.reason


def test_a_blocked_arm_holds_and_a_fault_is_latched(bench, profile, graded):
    """Tracking error: value, joint and limit are told; the fault ends only by engaging anew."""
    bench = type(bench)(
        graded(profile, tracking_error_rad=Threshold(hold=0.1, fault=0.2), chunk_age_s=Threshold(hold=2.0))
    )
    bench.drive(0.5, 5)
    bench.blocked = True
    bench.tick_until(lambda: bench.mode is not RunMode.ENGAGED, 60)
    assert "tracking error of shoulder" in bench.reason
    bench.measured = bench.measured - 0.5
    bench.tick(40)
    assert bench.mode is RunMode.FAULT
    bench.measured, bench.blocked = bench.commands[-1].state.positions, False
    bench.hold_still()
    bench.tick(30)
    assert bench.mode is RunMode.FAULT
    assert bench.at_rest()
    assert bench.loop.engage(bench.now_ns) == ()
    bench.assert_within_limits()


def test_shadow_tells_what_is_in_the_way_of_engaging(bench):
    """Whoever looks at the run state learns what `engage` would answer, and that nothing is in the way any more."""
    bench.tick()
    assert "not engaged; call the engage service; in the way now: no chunk of this epoch yet" in bench.reason
    bench.hold_still()
    bench.tick(2)
    assert bench.reason == "not engaged; call the engage service"
    bench.loop.on_deaf_outputs(["nobody listens on /arm/command"], bench.now_ns)
    bench.tick()
    assert bench.reason.endswith("in the way now: nobody listens on /arm/command")
    assert bench.loop.engage(bench.now_ns) == ("nobody listens on /arm/command",)


def test_a_driver_that_stops_listening_holds_the_arm_and_lets_it_go_on(bench):
    """Commands that nobody takes are a hold, not a fault: the driver may come back."""
    bench.drive()
    bench.loop.on_deaf_outputs(["nobody listens on /arm/command"], bench.now_ns)
    bench.tick(40)
    assert bench.mode is RunMode.HOLDING
    assert "nobody listens on /arm/command" in bench.reason
    bench.loop.on_deaf_outputs([], bench.now_ns)
    bench.hold_still()
    bench.tick_until_engaged()
    bench.assert_within_limits()


def test_another_publisher_warns_in_shadow_refuses_engage_and_faults_while_driving(bench):
    """Two masters on one arm: never begun, and ended for good."""
    bench.tick()
    bench.hold_still()
    bench.loop.on_other_publishers({"/arm/command": "/teleop; stop it"}, bench.now_ns)
    bench.tick(2)
    assert bench.mode is RunMode.SHADOW
    assert "another publisher on /arm/command" in bench.status.warnings[0]
    (refusal,) = bench.loop.engage(bench.now_ns)
    assert "another publisher on /arm/command" in refusal
    bench.loop.on_other_publishers({}, bench.now_ns)
    bench.drive()
    bench.loop.on_other_publishers({"/arm/command": "/teleop; stop it"}, bench.now_ns)
    bench.tick(12)
    assert bench.mode is RunMode.FAULT
    bench.loop.on_other_publishers({}, bench.now_ns)
    bench.tick(12)
    assert bench.mode is RunMode.FAULT
    assert "another publisher" in bench.reason
    bench.assert_within_limits()


def test_a_refused_chunk_is_named_when_the_arm_holds(bench):
    """A policy that gives NaN: the hold says so."""
    bench.drive()
    bench.loop.on_unreadable_chunk("an action chunk contains NaN")
    bench.tick_until(lambda: bench.mode is RunMode.HOLDING, 40)
    assert "the newest one was refused: an action chunk contains NaN" in bench.reason


def test_chunks_of_an_old_epoch_are_named_when_the_arm_holds(bench):
    """At the beginning of an epoch such chunks are routine; after its first one they are why the arm holds."""
    bench.drive()
    bench.chunk(np.zeros(30), epoch=bench.status.epoch - 1)
    bench.tick_until(lambda: bench.mode is RunMode.HOLDING, 40)
    assert "the newest one was refused: chunk of epoch" in bench.reason


def test_the_first_command_after_a_hold_must_be_in_reach(bench):
    """Not only engage: a chunk that starts far away is never chased, and a near one drives on."""
    bench.engage()
    bench.chunk(np.full(30, 1.0))
    bench.tick(3)
    assert bench.mode is RunMode.HOLDING
    assert "first command further than 0.5 rad from the arm: shoulder by 1.00" in bench.reason
    np.testing.assert_array_equal(bench.commands[-1].state.positions, 0.0)
    bench.hold_still()
    bench.tick(8)
    assert bench.mode is RunMode.ENGAGED


def test_reach_is_judged_by_the_beginning_of_a_chunk(bench):
    """In shadow nobody executes chunks: what an old one asks for later does not speak against engaging."""
    bench.tick()
    bench.chunk(np.arange(30) * 0.1)
    bench.tick(20)
    assert bench.loop.engage(bench.now_ns) == ()


# -- emergency stop ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["service", "topic"])
def test_an_emergency_stop_brakes_at_once_and_stays(bench, way):
    """Braking begins once what is settled is done; only disengage and then engage lead back, the topic released."""
    bench.drive()
    if way == "topic":
        bench.loop.on_emergency_stop(True)
    else:
        bench.loop.emergency_stop()
    bench.tick(LEAD_TICKS - 1)
    speed = bench.commands[-1].state.velocities[0]
    assert bench.tick().state.velocities[0] < speed - 0.01
    assert bench.tick_until(bench.at_rest, 30) * PERIOD_S < 0.5
    status = bench.status
    assert (status.mode, status.reason, status.emergency_stop) == (RunMode.FAULT, "emergency stop", True)
    bench.hold_still()
    bench.tick(10)
    assert bench.mode is RunMode.FAULT
    assert "disengage first" in bench.loop.engage(bench.now_ns)[0]
    bench.loop.disengage()
    bench.tick(2)
    assert bench.mode is RunMode.SHADOW
    bench.hold_still()
    if way == "topic":
        assert "release it" in bench.loop.engage(bench.now_ns)[0]
        assert bench.status.emergency_stop
        bench.loop.on_emergency_stop(False)
        assert bench.mode is RunMode.SHADOW
    assert not bench.status.emergency_stop
    assert bench.loop.engage(bench.now_ns) == ()
    bench.assert_within_limits()


def test_an_emergency_stop_in_shadow_sends_nothing_and_survives_a_restart(bench):
    """It is latched without taking the arm; a pressed button stops a node that starts."""
    bench.loop.on_emergency_stop(True)
    assert bench.tick(2) is None
    assert bench.mode is RunMode.FAULT
    bench.loop.stop()
    bench.loop.start(bench.now_ns)
    assert bench.mode is RunMode.FAULT
    assert "disengage first" in bench.loop.move_to_start(bench.now_ns)[0][0]


def test_a_button_that_repeats_itself_does_not_latch_again_after_disengage(bench):
    """Held down it keeps engage refused; released, one disengage is enough."""
    bench.drive()
    for _ in range(30):
        bench.loop.on_emergency_stop(True)
        bench.tick()
    bench.loop.disengage()
    for _ in range(5):
        bench.loop.on_emergency_stop(True)
        bench.tick()
    assert bench.mode is RunMode.SHADOW
    bench.hold_still()
    assert "release it" in bench.loop.engage(bench.now_ns)[0]
    bench.loop.on_emergency_stop(False)
    assert bench.loop.engage(bench.now_ns) == ()
    bench.loop.on_emergency_stop(True)
    assert bench.mode is RunMode.FAULT


def test_other_faults_do_not_hide_an_emergency_stop(bench):
    """The reason stays the emergency stop, whatever else fails meanwhile."""
    bench.drive()
    bench.loop.emergency_stop()
    bench.loop.fault("the wrist is on fire")
    bench.measuring = False
    bench.tick(30)
    assert bench.reason == "emergency stop"


# -- the way to the start pose -----------------------------------------------------------------------


def test_move_to_start_is_slow_limited_and_ends_in_shadow(bench):
    """From the measured pose to the start pose at a share of the limits; progress is told, then nothing is sent."""
    bench.measured = np.array([0.9, -0.6, 0.5])
    bench.tick()
    reasons, duration_s = bench.loop.move_to_start(bench.now_ns)
    assert reasons == ()
    bench.tick(25)
    assert bench.mode is RunMode.HOLDING
    assert "moving to the start pose (" in bench.reason
    assert "wait until" in bench.loop.engage(bench.now_ns)[0]
    ticks = 25 + bench.tick_until(lambda: bench.mode is RunMode.SHADOW)
    assert ticks * PERIOD_S == pytest.approx(duration_s, rel=0.2)
    assert "at the start pose" in bench.reason
    np.testing.assert_allclose(bench.measured, 0.0, atol=1e-3)
    speeds = np.abs([command.state.velocities for command in bench.commands])
    assert speeds[:, 0].max() == pytest.approx(0.15 * 2.0, rel=0.01)
    bench.assert_within_limits()


def test_move_to_start_needs_shadow_and_fresh_joint_states(bench):
    """Refused with the reason otherwise; nothing moves."""
    assert "no joint state yet" in bench.loop.move_to_start(bench.now_ns)[0][0]
    bench.drive()
    assert "disengage first" in bench.loop.move_to_start(bench.now_ns)[0][0]
    assert bench.mode is RunMode.ENGAGED


@pytest.mark.parametrize("event", ["joints", "publisher", "stop", "disengage", "blocked"])
def test_move_to_start_is_watched(bench, event):
    """Joint states, another publisher, the emergency stop and tracking end it; it does not go on by itself."""
    bench.measured = np.array([1.8, 0.0, 0.5])
    bench.tick()
    assert bench.loop.move_to_start(bench.now_ns)[0] == ()
    bench.tick(40)
    if event == "joints":
        bench.measuring = False
    elif event == "publisher":
        bench.loop.on_other_publishers({"/arm/command": "/teleop; stop it"}, bench.now_ns)
    elif event == "stop":
        bench.loop.emergency_stop()
    elif event == "disengage":
        bench.loop.disengage()
    else:
        bench.blocked = True
    bench.tick(150)
    assert bench.at_rest()
    assert not bench.status.reason.startswith("moving")
    fault = event in ("publisher", "stop")
    assert bench.mode is (RunMode.FAULT if fault else RunMode.SHADOW)
    words = {"joints": "joint state too old", "blocked": "tracking error of shoulder"}
    assert words.get(event, "") in bench.reason
    bench.assert_within_limits()


# -- takeover ----------------------------------------------------------------------------------------


def steer(bench, positions, ticks, every=2):
    """Send external commands from the arm's pose on a straight way to `positions`, as a device would."""
    origin = bench.measured
    for tick in range(ticks):
        if tick % every == 0:
            wanted = origin + (np.asarray(positions) - origin) * tick / ticks
            assert bench.loop.on_external(wanted, bench.now_ns) is None
        bench.tick()


def test_an_external_source_takes_over_and_hands_back_smoothly(bench):
    """A new epoch at both; what the policy planned before is not executed; limits hold throughout."""
    bench.drive()
    before = bench.status
    steer(bench, [0.0, 0.6, 0.5], 50)
    status = bench.status
    assert (status.mode, status.source) == (RunMode.ENGAGED, Source.EXTERNAL)
    assert status.epoch == before.epoch + 1
    assert status.reason == ""
    bench.tick(20)
    after = bench.status
    assert (after.mode, after.source) == (RunMode.HOLDING, Source.POLICY)
    assert after.epoch == before.epoch + 2
    assert "external source ended" in after.reason
    assert bench.at_rest()
    np.testing.assert_allclose(bench.measured, [0.0, 0.6, 0.5], atol=0.05)
    assert "epoch" in bench.chunk(np.zeros(30), epoch=before.epoch).text
    bench.hold_still()
    bench.tick(2)
    assert bench.status.mode is RunMode.ENGAGED
    bench.assert_within_limits()


def test_an_external_source_moves_nothing_in_shadow_or_fault(bench):
    """It drives only an arm that was engaged."""
    bench.tick()
    for _ in range(10):
        assert bench.loop.on_external(np.full(3, 0.1), bench.now_ns) is None
        assert bench.tick() is None
    assert bench.status.source is Source.POLICY
    bench.drive()
    bench.loop.emergency_stop()
    bench.tick(20)
    rest = bench.measured
    steer(bench, rest + 0.2, 10)
    np.testing.assert_array_equal(bench.measured, rest)


def test_an_external_source_far_from_the_arm_is_refused(bench):
    """The arm never chases a device that lies elsewhere; the joints are named."""
    bench.drive()
    refusal = bench.loop.on_external(np.array([-1.5, 0.0, 0.5]), bench.now_ns)
    assert "shoulder by" in refusal
    assert bench.status.source is Source.POLICY


def test_late_external_commands_and_other_units_drive_nothing(bench):
    """A teleoperation message from a second ago is none of now, and one in degrees is none at all."""
    bench.drive(0.0)
    late = bench.loop.on_external(bench.measured, bench.now_ns, bench.now_ns - 10**9)
    assert "external command is 1.00 s old" in late
    degrees = bench.loop.on_external(np.array([40.0, 20.0, 0.5]), bench.now_ns)
    assert "external command wants shoulder at 40" in degrees
    assert "it looks like degrees" in degrees
    bench.tick(5)
    assert bench.status.source.value == "policy"


def test_an_external_source_may_free_an_arm_that_holds(bench):
    """Stale chunks or cameras do not keep a person from driving; stale joint states do."""
    bench.drive()
    bench.seeing = False
    bench.tick(60)
    assert bench.mode is RunMode.HOLDING
    steer(bench, bench.measured + 0.2, 20)
    assert bench.status.source is Source.EXTERNAL
    bench.measuring = False
    steer(bench, bench.measured + 0.2, 20)
    assert bench.mode is RunMode.HOLDING
    bench.assert_within_limits()


# -- the clock ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_s", [10.0, -10.0, 1.5, -0.2])
def test_a_step_of_the_clock_begins_a_new_episode_and_holds(bench, step_s):
    """No stamp is comparable across it; the arm brakes within its limits and goes on with new inputs."""
    bench.drive()
    before = bench.status
    bench.time_s += step_s
    bench.tick()
    after = bench.status
    assert (after.episode, after.epoch) == (before.episode + 1, before.epoch + 1)
    assert after.mode is RunMode.HOLDING
    assert f"the clock stepped by {step_s + PERIOD_S:+.2f} s" in after.reason
    bench.tick_until(bench.at_rest, 30)
    bench.hold_still()
    bench.tick_until_engaged()
    bench.assert_within_limits()


def test_a_late_tick_is_no_step_of_the_clock(bench):
    """A busy machine may skip half a second."""
    bench.drive()
    episode = bench.status.episode
    bench.time_s += 0.4
    bench.tick()
    assert bench.status.episode == episode


# -- plans and seams ---------------------------------------------------------------------------------


def test_plans_join_what_was_sent_and_what_will_be(make_patient):
    """Real-time chunking gets what the arm was really told, in the steps of the newest chunk."""
    bench = make_patient(splice="rtc")
    assert bench.loop.plan(bench.now_ns) is None
    bench.drive(0.5, 45)
    plan = bench.loop.plan(bench.now_ns)
    assert plan.epoch == bench.status.epoch
    assert plan.step_s == 0.05
    assert plan.committed >= 8
    newest = bench.commands[-1]
    settled = [(PERIOD_S + after_s, state) for after_s, state in newest.braking[: LEAD_TICKS - 1]]
    due_s = [command.stamp_ns / 1e9 + PERIOD_S for command in bench.commands]
    due_s += [newest.stamp_ns / 1e9 + after_s for after_s, _ in settled]
    sent = [command.state.positions[0] for command in bench.commands]
    sent += [state.positions[0] for _, state in settled]
    rows_s = plan.stamp_ns / 1e9 + 0.05 * np.arange(plan.committed)
    np.testing.assert_allclose(plan.positions[: plan.committed, 0], np.interp(rows_s, due_s, sent), atol=1e-6)
    bench.loop.disengage()
    bench.tick(10)
    assert bench.loop.plan(bench.now_ns) is None


def test_seams_are_measured_while_engaged(patient):
    """Jumps at the splice, actions skipped and the effective horizon of each chunk: what of it was executed."""
    bench = patient
    bench.drive(0.5, 40)
    bench.chunk(np.full(30, bench.measured[0] + 0.1), stamp_s=bench.time_s - 0.12)
    seams = {name: d.summary().maximum for name, d in bench.loop.metrics.seams.distributions.items()}
    assert 0.05 < seams["position_jump"] < 0.15
    assert seams["velocity_jump"] == pytest.approx(0.5, rel=0.1)
    assert seams["actions_skipped"] == 4  # 0.12 s of age and 0.06 s that are settled
    assert seams["effective_horizon_s"] == pytest.approx(0.7, abs=0.05)
