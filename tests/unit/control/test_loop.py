import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from video2act_ros.control.limiter import JointLimits
from video2act_ros.core.errors import InputError
from video2act_ros.core.types import RunMode

PERIOD_S = 0.02


def test_shadow_sends_nothing_and_shows_what_it_would(bench):
    """A freshly started stack commands nothing until engaged."""
    assert bench.mode is RunMode.SHADOW
    bench.tick()
    assert bench.loop.would_be() is None
    bench.chunk(np.linspace(0.0, 0.3, 30))
    assert bench.tick(5) is None
    would_be = bench.loop.would_be()
    due_s = 5 * PERIOD_S + PERIOD_S  # a command is due one period after its tick
    assert would_be.state.positions[0] == pytest.approx(0.3 * due_s / (29 * 0.05))
    assert would_be.state.velocities[0] == pytest.approx(0.3 / (29 * 0.05))


def test_engage_is_refused_with_every_reason(bench):
    """Without joint states and chunks there is nothing to start from."""
    refusals = bench.loop.engage(bench.now_ns)
    assert [reason.split(";")[0] for reason in refusals] == [
        "no joint state yet",
        "no chunk of this epoch yet",
        "no input report on cam_high yet",
    ]
    assert bench.mode is RunMode.SHADOW
    assert bench.tick() is None


def test_engage_is_refused_when_the_first_command_is_far_away(bench):
    """The arm must not jump to where the policy believes it to be; the joints are named."""
    bench.tick()
    bench.chunk(np.full(30, 0.8))
    (refusal,) = bench.loop.engage(bench.now_ns)
    assert "further than 0.5 rad" in refusal
    assert "shoulder by 0.80, elbow by 0.80;" in refusal


def test_engagement_starts_a_new_epoch_from_the_measured_pose(bench):
    """What was planned in shadow is not executed; the arm holds until the new epoch's first chunk."""
    bench.measured = np.array([0.2, -0.1, 0.5])
    bench.tick()
    bench.chunk(np.repeat(bench.measured[None], 30, axis=0))
    before = bench.loop.status(bench.now_ns)
    assert bench.loop.engage(bench.now_ns) == ()
    command = bench.tick()
    after = bench.loop.status(bench.now_ns)
    assert after.epoch == before.epoch + 1
    assert after.episode == before.episode
    assert after.mode is RunMode.HOLDING
    np.testing.assert_allclose(command.state.positions, [0.2, -0.1, 0.5])
    assert bench.loop.engage(bench.now_ns) == ()
    assert bench.loop.status(bench.now_ns).epoch == after.epoch


def test_engaged_follows_the_chunk(make_patient):
    """A feasible chunk is followed exactly, on its own times."""
    bench = make_patient(splice="blend")
    bench.drive(0.0, 40)
    bench.chunk(0.4 * (1.0 - np.cos(np.arange(60) * 0.05)))
    start_s = bench.time_s
    command = bench.tick(20)
    assert bench.mode is RunMode.ENGAGED
    assert bench.reason == ""
    assert command.stamp_ns == bench.now_ns
    due_s = bench.time_s + PERIOD_S - start_s  # a command is due one period after its tick
    assert command.state.positions[0] == pytest.approx(0.4 * (1.0 - np.cos(due_s)), abs=1e-3)
    assert command.state.velocities[0] == pytest.approx(0.4 * np.sin(due_s), abs=2e-2)
    bench.assert_within_limits()


@pytest.mark.parametrize("late_s", [0.0, 0.2, 0.4])
def test_a_resting_arm_begins_at_the_beginning_of_a_chunk(patient, late_s):
    """However long its first inference took, it does not leap to where the chunk would be by now."""
    bench = patient
    bench.engage()
    observed_s = bench.time_s
    bench.tick(round(late_s / PERIOD_S))
    bench.chunk(0.5 * np.arange(60) * 0.05, stamp_s=observed_s)
    bench.tick(20)
    assert bench.mode is RunMode.ENGAGED
    speeds = [command.state.velocities[0] for command in bench.commands]
    assert max(speeds) <= 0.5 * 1.02
    assert 0.1 < bench.commands[-1].state.positions[0] < 0.2
    bench.assert_within_limits()


def test_while_the_arm_is_held_the_newest_chunk_alone_waits(patient):
    """What piled up during a long hold neither counts nor blends; the arm goes on as the newest one begins."""
    bench = patient
    bench.drive()
    bench.seeing = False
    bench.tick_until(bench.at_rest, 60)
    rest = bench.measured[0]
    for index in range(30):
        bench.chunk(rest + 0.01 * index + 0.2 * np.arange(60) * 0.05)
        bench.tick(5)
    assert bench.mode is RunMode.HOLDING
    bench.seeing = True
    bench.chunk(rest - 0.2 * np.arange(60) * 0.05)
    bench.tick(40)
    assert bench.mode is RunMode.ENGAGED
    assert max(command.state.positions[0] for command in bench.commands[-40:]) <= rest + 1e-9
    bench.assert_within_limits()


def test_an_arm_that_goes_on_after_a_short_hold_does_not_step_back(patient):
    """The motion goes on about where braking left it, for it coasted as far."""
    bench = patient
    bench.drive(1.0, 18)
    bench.measuring = False
    bench.tick_until(lambda: bench.mode is RunMode.HOLDING, 20)
    bench.tick_until(bench.at_rest, 20)
    rest = bench.commands[-1].state.positions[0]
    bench.measuring = True
    bench.tick_until_engaged()
    bench.tick(5)
    assert min(command.state.positions[0] for command in bench.commands[-6:]) >= rest - 2e-3
    bench.assert_within_limits()


def stop(bench, make_stale):
    """Move at speed, let an input go stale, and return (ticks until HOLDING, ticks until standstill)."""
    bench.engage()
    bench.chunk(np.arange(60) * 0.05)
    bench.tick(20)
    assert bench.mode is RunMode.ENGAGED
    assert bench.commands[-1].state.velocities[0] == pytest.approx(1.0, rel=0.01)
    make_stale(bench)
    held = next(tick for tick in range(100) if bench.tick() and bench.mode is RunMode.HOLDING)
    stopped = next(tick for tick in range(100) if np.all(bench.tick().state.velocities == 0.0))
    rest = bench.commands[-1].state.positions
    np.testing.assert_array_equal(bench.tick(20).state.positions, rest)
    bench.assert_within_limits()
    return held, stopped


def test_a_stale_chunk_decelerates_to_a_hold_and_recovers(bench):
    """Stale input: braking within the limits, commands go on, and fresh chunks resume the motion."""
    held, stopped = stop(bench, lambda _: None)
    assert held <= 0.5 / PERIOD_S + 1
    assert stopped <= 1.0 / 8.0 / PERIOD_S + 2
    assert "check System 1" in bench.reason
    bench.chunk(np.repeat(bench.measured[None], 30, axis=0))
    bench.tick()
    assert bench.mode is RunMode.ENGAGED


@pytest.mark.parametrize("missed", [1, 3, 40])
def test_after_missed_ticks_the_motion_goes_on_from_the_way_to_rest(bench, profile, missed):
    """The driver has gone it meanwhile: the next command neither pulls the arm back nor leaps."""
    bench.drive()
    newest = bench.commands[-1]
    way = [newest.state, *(state for _, state in newest.braking)]  # a point per period
    begin, most = way[min(missed, len(way) - 1)], JointLimits.of(profile).acceleration_max * PERIOD_S
    state = bench.tick_after(missed).state
    assert np.all(np.abs((state.positions - begin.positions) / PERIOD_S - begin.velocities) <= most)
    assert np.all(np.abs(state.velocities - begin.velocities) <= most)


def test_after_missed_ticks_a_driver_of_plain_positions_goes_on_from_the_newest(make_bench, profile):
    """It stood there meanwhile: the way to rest is not told to it."""
    output = profile.commands[0].model_copy(update={"type": "forward_position"})
    bench = make_bench(profile.model_copy(update={"commands": (output,)}))
    bench.drive()
    before = bench.commands[-1].state
    bench.tick_after(3)
    bench.assert_within_limits()
    assert np.all(bench.commands[-1].state.velocities[:2] > 0.9 * before.velocities[:2])


def test_stale_joint_states_decelerate_to_a_hold(bench):
    """A silent robot driver makes the arm hold."""

    def silence(bench):
        bench.measuring = False

    held, _ = stop(bench, silence)
    assert held <= 0.1 / PERIOD_S + 1
    assert "joint state too old" in bench.reason


def test_stale_latents_hold_although_chunks_keep_coming(bench):
    """A killed System 2 shows in the chunks' latents."""
    bench.engage()
    latent_s = bench.time_s
    for _ in range(80):
        bench.chunk(np.zeros(30), latent_s=latent_s)
        bench.tick()
    assert bench.mode is RunMode.HOLDING
    assert "check System 2" in bench.reason


def test_a_used_up_chunk_holds(bench):
    """Running out of actions brakes, even before the chunk counts as old."""
    bench.engage()
    bench.chunk(np.zeros(4))
    bench.tick(20)
    assert bench.mode is RunMode.HOLDING
    assert "used up" in bench.reason


@pytest.mark.parametrize("event", ["new_episode", "instruction", "bundle", "system2", "clock"])
def test_nothing_from_before_an_epoch_is_executed(bench, event):
    """New episode, other instruction, swapped checkpoint and clock jump: hold until a new chunk comes."""
    bench.engage()
    bench.chunk(np.arange(60) * 0.05)
    bench.tick(10)
    before = bench.loop.status(bench.now_ns)
    old = bench.make_chunk(bench.time_s, np.full(30, 1.0), epoch=before.epoch)
    if event == "new_episode":
        assert bench.loop.new_episode(bench.now_ns) == before.epoch + 1
    elif event == "instruction":
        assert bench.loop.set_instruction("lift the cube", bench.now_ns) == before.epoch + 1
    elif event == "bundle":
        assert "'other' replaces 'b'" in bench.chunk(np.full(30, 1.0), bundle_id="other").text
    elif event == "system2":
        assert not bench.loop.on_bundle("system2", "v", bench.now_ns)
        assert bench.loop.on_bundle("system2", "w", bench.now_ns)
    else:
        bench.time_s -= 10.0
    bench.tick()
    after = bench.loop.status(bench.now_ns)
    assert after.epoch == before.epoch + 1
    assert after.episode == before.episode + (event in ("new_episode", "clock"))
    assert after.mode is RunMode.HOLDING
    assert "epoch" in bench.loop.on_chunk(old, bench.now_ns).text
    bench.tick(10)
    assert np.all(bench.commands[-1].state.velocities == 0.0)
    bench.assert_within_limits()
    bundle_id = "other" if event == "bundle" else "b"
    assert bench.chunk(np.repeat(bench.measured[None], 30, axis=0), bundle_id=bundle_id) is None
    bench.tick_until_engaged()


def test_a_hold_ends_at_rest(patient):
    """An input that is good again in mid-braking does not turn the arm round: it stands first, and says so."""
    bench = patient
    bench.drive(1.0, 30)
    bench.seeing = False
    bench.see(image_age=0.05, image_dark=0.9)
    bench.tick()
    assert bench.mode is RunMode.HOLDING
    bench.seeing = True
    bench.tick()
    assert bench.mode is RunMode.HOLDING
    assert "good again" in bench.reason
    assert not bench.at_rest()
    ticks = bench.tick_until_engaged()
    speeds = [command.state.velocities[0] for command in bench.commands[-ticks:]]
    assert speeds.count(0.0) >= 0.25 / PERIOD_S - 1
    bench.assert_within_limits()


def test_a_swap_that_was_told_is_no_second_epoch_with_its_first_chunk(bench):
    """System 1 tells its new bundle before the first chunk of it comes; the chunk is then executed."""
    bench.engage()
    bench.chunk(np.zeros(30))
    assert bench.loop.on_bundle("system1", "other", bench.now_ns)
    epoch = bench.loop.status(bench.now_ns).epoch
    assert not bench.loop.on_bundle("system1", "other", bench.now_ns)
    bench.tick()
    assert bench.chunk(np.zeros(30), bundle_id="other") is None
    assert bench.loop.status(bench.now_ns).epoch == epoch


def test_the_same_instruction_is_no_new_epoch(bench):
    """Repeating the instruction does not interrupt the arm."""
    first = bench.loop.set_instruction("lift", bench.now_ns)
    assert bench.loop.set_instruction("lift", bench.now_ns) == first
    assert bench.loop.status(bench.now_ns).instruction == "lift"


def test_a_reset_simulation_is_held_where_it_stands_now(bench):
    """A new episode that puts the arm elsewhere must not pull it back to the old pose."""
    bench.engage()
    bench.chunk(np.arange(60) * 0.05)
    bench.tick(15)
    bench.loop.new_episode(bench.now_ns)
    bench.measured, bench.blocked = np.array([-0.5, 0.4, 1.0]), True
    np.testing.assert_allclose(bench.tick(8).state.positions, [-0.5, 0.4, 1.0])  # measured there for 0.1 s


def test_disengage_brakes_then_sends_nothing(bench):
    """The arm is left standing, and then free."""
    bench.engage()
    bench.chunk(np.arange(60) * 0.05)
    bench.tick(15)
    bench.loop.disengage()
    assert not bench.loop.wait_until_standing(0.0)
    count = len(bench.commands)
    assert bench.tick(30) is None
    assert 3 <= len(bench.commands) - count <= 10
    assert np.all(bench.commands[-1].state.velocities == 0.0)
    assert bench.mode is RunMode.SHADOW
    assert bench.loop.wait_until_standing(0.0)
    bench.assert_within_limits()


def test_a_fault_is_latched_until_engaged_anew(bench):
    """Fresh inputs do not end a fault."""
    bench.engage()
    bench.loop.fault("the wrist is on fire")
    bench.chunk(np.zeros(30))
    assert bench.tick(5) is not None
    assert (bench.mode, bench.reason) == (RunMode.FAULT, "the wrist is on fire")
    assert bench.loop.engage(bench.now_ns) == ()
    bench.chunk(np.zeros(30))
    bench.tick()
    assert bench.mode is RunMode.ENGAGED


def test_a_fault_in_shadow_does_not_take_the_arm(bench):
    """An error while nothing is sent must not begin to send; disengage clears it."""
    bench.tick()
    bench.loop.fault("the wrist is on fire")
    assert bench.tick(3) is None
    assert bench.mode is RunMode.FAULT
    bench.loop.disengage()
    assert bench.mode is RunMode.SHADOW


def test_idle_refuses_everything(bench):
    """An inactive node neither ticks nor engages."""
    bench.loop.stop()
    assert bench.tick() is None
    assert bench.loop.engage(bench.now_ns) == ("the command node is not active",)


def test_bad_joint_samples_are_refused(bench, make_joints):
    """NaN joints and a wrong number of joints never enter the loop."""
    with pytest.raises(InputError, match="NaN"):
        make_joints(0.0, [0.0, np.nan, 0.0])
    with pytest.raises(InputError, match="3 positions"):
        bench.loop.on_joints(make_joints(0.0, [0.0, 0.0]))


def test_ages_and_reaction_are_measured(bench):
    """Observation age at every engaged tick; reaction from the observation to the first command using it."""
    bench.engage()
    stamp_s = bench.time_s - 0.01
    bench.time_s += 0.11
    bench.tick(0)
    bench.chunk(np.zeros(60), stamp_s=stamp_s + 0.02, latent_s=stamp_s)
    bench.tick(3)
    metrics = bench.loop.metrics
    assert metrics.observation_age_s.summary().count == 3
    assert metrics.reaction_s.summary().count == 1
    assert metrics.reaction_s.summary().maximum == pytest.approx(0.12)
    assert metrics.latent_age_s.summary().maximum == pytest.approx(0.12 + 0.04 + 0.02)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_no_sequence_of_events_makes_a_jerky_command(make_bench, seed):
    """Random chunks, resets, silences and requests in any order: commands stay within the limits."""
    rng = np.random.default_rng(seed)
    bench = make_bench()
    bench.engage()
    for _ in range(300):
        event = rng.integers(30)
        bench.measuring = event != 0
        if event < 6:
            bench.chunk(
                rng.normal(0.0, rng.choice([0.1, 1.5]), (20, 3)) if event < 4 else np.full(20, np.nan)
            )
        elif event == 6:
            bench.loop.set_instruction(str(rng.integers(3)), bench.now_ns)
        elif event == 7:
            bench.loop.fault("test")
        elif event == 8:
            bench.loop.engage(bench.now_ns)
        bench.tick()
    bench.assert_within_limits()


def test_control_loads_no_model_library():
    """The process that owns the arm stays free of torch and of ROS."""
    code = (
        "import sys, video2act_ros.control.loop, video2act_ros.control.realtime; "
        "print([m for m in ('torch', 'rclpy', 'onnxruntime') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
