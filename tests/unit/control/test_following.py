"""A set-point never stands far from the arm: proofs, retreats, power loss and return."""

import numpy as np
import pytest

from video2act_ros.control.following import NEAR_RAD, PROOF_S
from video2act_ros.core.thresholds import Threshold
from video2act_ros.core.types import RunMode

PERIOD_S = 0.02


class Limp:
    """Servos that can be switched off: the arm then sags at `speed` to `floor`, whatever it is told."""

    def __init__(self, bench, floor, speed=2.0):
        self._bench, self._floor, self._speed = bench, floor, speed
        bench.blocked = True

    def tick(self, count=1):
        for _ in range(count):
            gap = self._floor - self._bench.measured[0]
            self._bench.measured = self._bench.measured.copy()
            self._bench.measured[0] += np.clip(gap, -self._speed * PERIOD_S, self._speed * PERIOD_S)
            self._bench.tick()

    def gap(self):
        return abs(self._bench.commands[-1].state.positions[0] - self._bench.measured[0])


@pytest.mark.parametrize("mode", ["engaged", "fault", "emergency stop", "disengaged"])
def test_the_set_point_goes_to_an_arm_that_sags(make_patient, mode):
    """Within the limits, in every mode that sends; nothing is left for the servos to leap to when power returns."""
    bench = make_patient()
    bench.drive(0.3)
    if mode == "fault":
        bench.loop.fault("test")
    elif mode == "emergency stop":
        bench.loop.emergency_stop()
    limp = Limp(bench, floor=-0.9)
    limp.tick(150)
    assert bench.mode is not RunMode.ENGAGED
    assert bench.measured[0] == pytest.approx(-0.9)
    assert limp.gap() <= NEAR_RAD
    bench.assert_within_limits()
    if mode == "disengaged":
        bench.loop.disengage()
        bench.tick_until(lambda: bench.mode is RunMode.SHADOW, 40)
    bench.blocked = False  # power returns
    bench.tick(5)
    assert abs(bench.measured[0] + 0.9) <= 2 * NEAR_RAD


def test_engage_is_refused_while_the_set_point_is_on_its_way(make_bench, profile, graded):
    """From a fault commands go on: engaging must not make the arm follow an old set-point."""
    bench = make_bench(graded(profile, tracking_error_rad=Threshold(hold=0.2, fault=0.5)))
    bench.drive(0.0)
    limp = Limp(bench, floor=-0.9, speed=20.0)
    for _ in range(60):
        limp.tick()
        if bench.mode is RunMode.FAULT:
            break
    bench.hold_still()
    refusals = bench.loop.engage(bench.now_ns)
    assert any("from its measured pose and on its way there" in text for text in refusals), refusals
    limp.tick(100)
    bench.hold_still()
    assert bench.loop.engage(bench.now_ns) == ()


def test_after_a_tracking_error_the_next_motion_is_proven(make_bench, profile, graded):
    """Held, released, still not following: the second attempt ends after centimetres, latched and named."""
    thresholds = {"tracking_error_rad": Threshold(hold=0.2), "chunk_age_s": Threshold(hold=2.0)}
    bench = make_bench(graded(profile, **thresholds))
    bench.drive(0.0)
    bench.blocked = True
    bench.chunk(bench.measured[0] + 0.5 * np.arange(60) * 0.05)
    bench.tick_until(lambda: "tracking error" in bench.reason, 100)
    bench.hold_still()
    bench.tick_until(lambda: bench.mode is RunMode.ENGAGED, 200)
    bench.tick()
    assert "slow until the arm has been seen to follow" in bench.reason
    for _ in range(40):
        bench.chunk(bench.measured[0] + 0.5 * np.arange(60) * 0.05)
        bench.tick(5)
        if bench.mode is RunMode.FAULT:
            break
    assert bench.mode is RunMode.FAULT
    assert "the arm does not follow: " in bench.reason
    assert "check that its servos are on and its controller is active" in bench.reason
    bench.tick(100)
    assert np.all(np.abs(bench.commands[-1].state.positions - bench.measured)[:2] <= NEAR_RAD)
    bench.assert_within_limits()


def test_a_listener_that_nobody_vouches_for_is_proven_by_one_slow_motion(bench):
    """Slow until the measured arm has followed; then at full speed, and not asked again before the next engagement."""
    bench.loop.on_unproven_outputs({0: "/somebody is no known driver"})
    bench.drive(0.0)
    assert "slow until the arm has been seen to follow" in bench.reason
    bench.chunk(bench.measured[0] + 0.5 * np.arange(60) * 0.05)
    bench.tick_until(lambda: bench.reason == "", 100)
    assert bench.mode is RunMode.ENGAGED
    bench.assert_within_limits()


def test_a_listener_that_does_not_act_holds_the_arm_at_its_measured_pose(bench):
    """An inactive controller: noticed within 0.3 s of motion, the set-point never far, and said."""
    bench.loop.on_unproven_outputs({0: "/somebody is no known driver"})
    bench.drive(0.0)
    bench.blocked = True
    bench.chunk(bench.measured[0] + 0.5 * np.arange(60) * 0.05)
    ticks = bench.tick_until(lambda: bench.mode is RunMode.FAULT, 100)
    farthest = max(abs(command.state.positions[0] - bench.measured[0]) for command in bench.commands)
    assert ticks * PERIOD_S < 1.5
    assert farthest < 0.03 + 0.5 * 0.4 * (PROOF_S + 0.4)
    assert "the arm does not follow: shoulder was sent" in bench.reason
    bench.tick(60)
    assert np.all(np.abs(bench.commands[-1].state.positions - bench.measured)[:2] <= NEAR_RAD)
    bench.blocked = False  # somebody activates the controller: nothing leaps
    before = bench.measured
    bench.tick(20)
    assert np.all(np.abs(bench.measured - before)[:2] <= 2 * NEAR_RAD)
    bench.assert_within_limits()


def test_a_stale_pose_moves_no_set_point(bench):
    """Where the arm is must be known now: old joint states hold, and nothing retreats to them."""
    bench.drive(0.3)
    bench.measuring = False
    bench.tick(100)
    rest = bench.commands[-1].state.positions
    assert bench.mode is RunMode.HOLDING
    bench.tick(50)
    np.testing.assert_array_equal(bench.commands[-1].state.positions, rest)


def test_an_arm_that_lags_is_not_sent_back(bench):
    """Servos that follow late are no reason to retreat, however the arm brakes."""
    bench.drive(0.0)
    bench.blocked = True
    bench.chunk(bench.measured[0] + 1.0 * np.arange(60) * 0.05)
    sent = []
    for _ in range(60):
        sent.append(bench.tick().state.positions)
        bench.measured = sent[max(len(sent) - 10, 0)]  # 0.2 s late
    bench.loop.disengage()
    for _ in range(40):
        command = bench.tick()
        if command is None:
            break
        sent.append(command.state.positions)
        bench.measured = sent[max(len(sent) - 10, 0)]
    assert np.all(np.diff([positions[0] for positions in sent]) >= -1e-9)


@pytest.mark.parametrize("ending", ["", "disengage", "emergency_stop"])
@pytest.mark.parametrize("droop", [0.03, 0.09])
def test_an_arm_that_load_keeps_below_its_set_point_does_not_sink_with_it(make_patient, ending, droop):
    """The set-point goes after it a few times and then stays: else both would sink to the joint's limit."""
    bench = make_patient()
    bench.drive(0.0)
    bench.blocked = True
    bench.measured = bench.measured - [0.6, 0.0, 0.0]  # it is held down, until the set-point is there
    bench.tick_until(lambda: bench.commands[-1].state.positions[0] < -0.5, 200)
    if ending:
        getattr(bench.loop, ending)()
    for _ in range(400):
        bench.measured = bench.commands[-1].state.positions - [droop, 0.0, 0.0]
        bench.tick()
    lowest = min(command.state.positions[0] for command in bench.commands)
    assert lowest > -0.6 - 7 * 0.1
    assert not bench.loop._supervisor.following.retreating
    if ending == "disengage":
        assert bench.mode is RunMode.SHADOW
    bench.assert_within_limits()
