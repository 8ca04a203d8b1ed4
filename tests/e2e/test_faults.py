"""Faults in the real processes while the simulated arm moves: it stops within its limits, says why, and goes on.

The time until it stands is judged by `video2act faults` on a quiet machine, not here.
"""

import re

import pytest
from domains import new_domain

from video2act_ros.nodes.fault_trial import run_trial
from video2act_ros.nodes.faults import FaultOptions, choose_faults, open_bench

SEED = 800_000
OUTCOMES = {
    "freeze_cam_high": "hold",
    "drop_cam_right_wrist": "hold",
    "nan_chunk": "hold",
    "joint_states_stop": "hold",
    "second_publisher": "fault",
    "estop_in_motion": "fault",
    "policy_raises": "fault",
    "jammed_executor": "hold",
    "controller_inactive": "refused",
    "recorder_only": "refused",
    "latched_estop_at_start": "refused",
    "old_epoch_chunk": "hold",
    "kill_system2": "hold",
    "pause_command": "driver_hold",
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """One simulated stack, in a domain of its own, that every fault here shares."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(new_domain()))
        logs = tmp_path_factory.mktemp("faults")
        options = FaultOptions((), "aloha_lift", "aloha_sim", "", "lift", SEED, logs)
        with open_bench(options, sim_time=False) as bench:
            yield bench


@pytest.mark.slow
@pytest.mark.parametrize(("name", "outcome"), OUTCOMES.items(), ids=OUTCOMES)
def test_a_fault_in_motion_is_borne(bench, name, outcome):
    """The arm stops as the profile says, inside all limits, the reason names the input, and it drives on."""
    (fault,) = choose_faults((name,))
    result = run_trial(fault, bench, SEED)
    assert result.outcome == outcome, result
    assert result.stopped_within_s is not None, result
    assert result.limit_violations == 0, result
    assert re.search(fault.says, result.reason_reported, re.IGNORECASE), result
    assert result.recovered, result
