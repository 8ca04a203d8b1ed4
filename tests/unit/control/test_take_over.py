"""Taking an arm that was let go: from its measured pose, and never by a leap of the set-point its driver holds."""

import numpy as np
import pytest

from video2act_ros.control.arm_motion import LET_GO_S
from video2act_ros.core.types import JointSample, RunMode

SAG = np.array([-0.009, 0.009, 0.0])  # what the servos leave of a set-point under load
FELL = np.array([0.2, 0.0, 0.0])


@pytest.fixture
def let_go(bench):
    """An arm that was driven, disengaged and let go in the tick that ended just now."""
    bench.drive(0.3)
    bench.loop.disengage()
    while bench.mode is not RunMode.SHADOW:
        bench.tick()
    return bench


def take(bench, pose, ticks=0):
    """Measure the arm at `pose` and engage; after so many ticks in which a leap of the pose becomes believable."""
    bench.blocked, bench.measured = True, np.array(pose, dtype=np.float64)
    bench.tick(ticks)
    bench.loop.on_joints(JointSample(bench.now_ns, bench.measured), bench.now_ns)
    bench.hold_still()
    return bench.loop.engage(bench.now_ns)


def test_an_arm_that_is_taken_at_once_goes_on_from_the_set_point_that_its_driver_holds(let_go):
    """The set-point of servos that sag is not where they are measured: to begin there would be a leap."""
    rest = let_go.commands[-1].state.positions
    assert take(let_go, rest + SAG) == ()
    let_go.tick(10)
    np.testing.assert_array_equal(let_go.commands[-1].state.positions, rest)
    let_go.assert_within_limits()


@pytest.mark.parametrize("way", [FELL, 0.25 * FELL])
def test_an_arm_that_was_moved_since_is_taken_where_it_is_measured(let_go, way):
    """By hand, by another controller, by its weight: the old set-point would throw it."""
    rest = let_go.commands[-1].state.positions
    assert take(let_go, rest - way, ticks=10) == ()
    let_go.tick()
    np.testing.assert_allclose(let_go.commands[-1].state.positions, rest - way, atol=1e-12)


def test_a_request_that_is_refused_takes_nothing(let_go):
    """An emergency stop forbids to engage: what the arm was told last, and that it may stand elsewhere, stay known."""
    let_go.loop.new_episode(let_go.now_ns)
    let_go.loop.emergency_stop()
    let_go.tick()
    assert any("emergency stop" in text for text in take(let_go, let_go.measured))
    assert let_go.loop._supervisor.arm.elsewhere


def test_the_way_to_the_start_waits_for_a_pose_of_its_episode(let_go):
    """A joint state from before may be of another scene."""
    let_go.tick(8)
    let_go.loop.new_episode(let_go.now_ns)
    reasons, _ = let_go.loop.move_to_start(let_go.now_ns)
    assert any("no joint state of this episode yet" in text for text in reasons)
    let_go.tick()
    assert let_go.loop.move_to_start(let_go.now_ns)[0] == ()


def test_an_arm_that_is_taken_later_is_taken_where_it_is_measured(let_go):
    """Nobody knows any more what its driver holds."""
    rest = let_go.commands[-1].state.positions
    let_go.tick(round(LET_GO_S / 0.02) + 1)
    assert take(let_go, rest + SAG) == ()
    let_go.tick()
    np.testing.assert_allclose(let_go.commands[-1].state.positions, rest + SAG, atol=1e-12)


def test_an_arm_that_was_put_elsewhere_is_taken_there(let_go):
    """A new episode began: the old set-point says nothing, even a moment later."""
    rest = let_go.commands[-1].state.positions
    let_go.loop.new_episode(let_go.now_ns)
    assert take(let_go, rest - FELL, ticks=10) == ()
    let_go.tick()
    np.testing.assert_allclose(let_go.commands[-1].state.positions, rest - FELL, atol=1e-12)


@pytest.mark.parametrize("request_", ["engage", "move_to_start"])
def test_the_pose_is_taken_before_anything_is_sent(bench, monkeypatch, request_):
    """A tick that cannot wait for the request brakes without the lock: it must not send where the arm once was."""
    bench.tick(3)
    bench.measured = np.array([0.3, -0.2, 0.02])
    bench.tick(3)
    bench.hold_still()
    supervisor = bench.loop._supervisor
    sending = []
    real = supervisor.arm.take
    monkeypatch.setattr(
        supervisor.arm, "take", lambda pose: (sending.append(supervisor.state.sending), real(pose))
    )
    getattr(bench.loop, request_)(bench.now_ns)
    assert supervisor.state.sending
    assert sending == [False]
