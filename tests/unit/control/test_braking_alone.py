"""Whatever fails beside the arm's own motion, in any mode, the same tick sends a command within the limits."""

import threading

import numpy as np
import pytest

from video2act_ros.control.limiter import JointLimits
from video2act_ros.core.types import RunMode

PERIOD_S = 0.02

COLLABORATORS = {
    "policy": ("advance", "stand", "target", "hand_out", "record", "raise_epoch", "step_clock"),
    "watchdog": ("robot_problems", "policy_problems"),
    "following": ("problems", "stand_at", "record", "prove_again", "clear"),
    "state": ("update",),
    "metrics": ("drive",),
    "_external": ("active", "target"),
}
CALLS = [(name, call) for name, calls in COLLABORATORS.items() for call in calls]


def engaged(bench):
    bench.drive()


def slow(bench):
    bench.drive()
    bench.see = lambda **_options: type(bench).see(bench, image_age=0.25, image_frozen=0.0, image_dark=0.0)
    bench.tick(3)


def holding(bench):
    bench.drive()
    bench.seeing = False
    bench.tick_until(lambda: bench.mode is RunMode.HOLDING, 60)


def standing(bench):
    holding(bench)
    bench.tick_until(bench.at_rest, 60)


def faulted(bench):
    bench.drive()
    bench.loop.fault("test")
    bench.tick()


def stopped_at_once(bench):
    bench.drive()
    bench.loop.emergency_stop()
    bench.tick()


def disengaging(bench):
    bench.drive()
    bench.loop.disengage()
    bench.tick()


def moving_to_start(bench):
    bench.measured = np.array([0.8, -0.4, 0.5])
    bench.tick()
    refusals, _ = bench.loop.move_to_start(bench.now_ns)
    assert refusals == ()
    bench.tick(40)


def external(bench):
    bench.drive(0.0)
    for index in range(30):
        bench.loop.on_external(np.array([0.01 * index, 0.0, 0.5]), bench.now_ns)
        bench.tick()


MODES = [engaged, slow, holding, standing, faulted, stopped_at_once, disengaging, moving_to_start, external]


class Broken(RuntimeError):
    """What a broken collaborator raises."""


def fail(*_arguments, **_options):
    raise Broken("broken on purpose")


def output_of(profile, kind):
    output = profile.commands[0].model_copy(update={"type": kind})
    return profile.model_copy(update={"commands": (output,)})


@pytest.mark.parametrize("kind", ["joint_trajectory", "forward_position", "joint_state"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
@pytest.mark.parametrize(("name", "call"), CALLS, ids=[f"{name}.{call}" for name, call in CALLS])
def test_a_collaborator_that_raises_costs_its_contribution_and_never_the_command(
    make_bench, profile, monkeypatch, name, call, mode, kind
):
    """Every tick sends; the motion obeys every limit and comes to rest; nothing escapes."""
    bench = make_bench(output_of(profile, kind), external_timeout_s=0.1)
    mode(bench)
    supervisor = bench.loop._supervisor
    broken = getattr(supervisor, name)
    monkeypatch.setattr(type(broken), call, fail)
    for _ in range(60):
        sent = bench.tick()
        if not bench.status.sending:  # it was braking, stood and was let go
            break
        assert sent is not None
    failed = bench.loop.take_failure() is not None
    assert bench.at_rest() or (bench.mode in (RunMode.ENGAGED, RunMode.HOLDING) and not failed)
    bench.assert_within_limits()


@pytest.mark.parametrize("pressed", [False, True])
def test_a_policy_that_raises_brakes_in_the_same_tick_and_is_named(bench, monkeypatch, pressed):
    """The emergency stop included: what it needs is the arm's own motion."""
    bench.drive()
    if pressed:
        bench.loop.emergency_stop()
    monkeypatch.setattr(type(bench.loop._supervisor.policy), "target", fail)
    speed = bench.commands[-1].state.velocities[0]
    bench.tick(3)
    assert bench.commands[-1].state.velocities[0] < speed - 0.01
    assert bench.mode is RunMode.FAULT
    assert (
        "emergency stop" if pressed else "a control tick failed: Broken: broken on purpose"
    ) in bench.reason
    assert isinstance(bench.loop.take_failure(), Broken) is not pressed
    assert bench.tick_until(bench.at_rest, 40) * PERIOD_S < 0.5
    bench.assert_within_limits()


def test_what_failed_is_left_by_disengaging_and_engaging(bench):
    """A fault like any other: nothing stays broken that works again."""
    bench.drive()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(bench.loop._supervisor.policy), "target", fail)
        bench.tick(40)
    bench.loop.disengage()
    bench.tick_until(lambda: bench.mode is RunMode.SHADOW, 40)
    bench.drive(0.0)
    assert bench.mode is RunMode.ENGAGED


def test_a_callback_that_keeps_the_lock_does_not_keep_the_arm_from_braking(bench):
    """Whoever hangs inside the loop: ticks go on without it, and brake."""
    bench.drive()
    kept, go_on = threading.Event(), threading.Event()

    def hang():
        with bench.loop._lock:
            kept.set()
            go_on.wait(20.0)

    thread = threading.Thread(target=hang)
    thread.start()
    assert kept.wait(20.0)
    commands = []
    for _ in range(40):
        bench.time_s += PERIOD_S
        commands.append(bench.loop.tick(bench.now_ns))
    go_on.set()
    thread.join(20.0)
    assert not np.any(commands[-1].state.velocities)
    bench.commands += commands
    bench.assert_within_limits()


def test_a_planner_that_raises_brakes(bench, monkeypatch):
    """The library that plans the way to a target is a collaborator, too."""
    bench.drive()
    limiter = bench.loop._supervisor.arm._limiter
    monkeypatch.setattr(type(limiter), "_follow", fail)
    bench.tick(40)
    assert bench.at_rest()
    bench.assert_within_limits()


@pytest.mark.parametrize("field", ["positions", "velocities", "accelerations"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_target_that_is_no_number_never_reaches_the_arm(bench, monkeypatch, field, value):
    """A timeline that goes mad is braked like one that raises."""
    bench.drive()
    policy = bench.loop._supervisor.policy
    target = type(policy).target

    def mad(self, due_ns):
        state = target(self, due_ns)
        getattr(state, field)[0] = value
        return state

    monkeypatch.setattr(type(policy), "target", mad)
    bench.tick(60)
    limits = JointLimits.of(bench.profile)
    assert np.all(np.isfinite([command.state.positions for command in bench.commands]))
    assert np.all(bench.commands[-1].state.positions <= limits.position_max + 1e-9)
    bench.assert_within_limits()
