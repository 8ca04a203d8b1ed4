"""What `video2act faults` runs and writes; the trials themselves are in tests/e2e."""

import json
import math
import os

import pytest

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.nodes.fault_catalogue import FAULTS
from video2act_ros.nodes.fault_trial import FaultResult
from video2act_ros.nodes.faults import (
    busy_processes,
    choose_faults,
    worst_of,
    write_markdown,
    write_results,
)
from video2act_ros.ros import environment

PROFILE = load_robot_profile(environment.resolve_profile("aloha_sim"))
GOOD = FaultResult("drop_cam_high", "hold", 0.6, 0.83, 0, "camera image of cam_high too old", True)


def changed(**fields):
    return FaultResult(**{name: getattr(GOOD, name) for name in GOOD.__slots__} | fields)


def test_every_required_fault_is_in_the_catalogue():
    """The faults by name: processes, cameras, chunks, joints, clock, speed, rivals, the stop switch."""
    cameras = ("cam_high", "cam_right_wrist", "cam_left_wrist")
    wanted = {
        *(f"kill_{name}" for name in ("system2", "system1", "command")),
        "pause_command",
        *(f"{kind}_{camera}" for kind in ("freeze", "drop", "delay", "black") for camera in cameras),
        *("nan_chunk", "out_of_range_chunk", "old_epoch_chunk", "joint_states_stop", "joint_states_nan"),
        *("clock_step_forward", "clock_step_back", "system1_slow", "second_publisher", "estop_in_motion"),
        *("policy_raises", "jammed_executor", "lying_joint_states", "servos_off", "shm_removed"),
        *("latched_estop_at_start", "controller_inactive", "recorder_only"),
    }
    assert {fault.name for fault in FAULTS} == wanted
    assert {fault.name for fault in FAULTS if fault.sim_time} == {"clock_step_forward", "clock_step_back"}


def test_bounds_are_threshold_plus_braking_plus_a_fifth_of_a_second():
    """The emergency stop has 0.5 s; the driver's time-out bounds a dead command node."""
    braking_s = 3.14 / 12.0 + 12.0 / 1500.0  # speed over acceleration, plus acceleration over jerk
    bounds = {fault.name: fault.bound_s(PROFILE) for fault in FAULTS}
    assert bounds["estop_in_motion"] == 0.5
    assert bounds["drop_cam_high"] == pytest.approx(0.5 + braking_s + 0.2)
    assert bounds["kill_command"] == pytest.approx(0.2 + braking_s + 0.2)
    assert bounds["policy_raises"] == bounds["servos_off"] == pytest.approx(braking_s + 0.2)
    assert bounds["jammed_executor"] == pytest.approx(0.2 + braking_s + 0.2)
    assert bounds["shm_removed"] == pytest.approx(2.0 + braking_s + 0.2)
    assert all(bounds[fault.name] == 0.5 for fault in FAULTS if fault.refuses)
    assert all(math.isfinite(bound) for bound in bounds.values())


@pytest.mark.parametrize(
    "fields",
    [
        {"stopped_within_s": 0.9},
        {"stopped_within_s": None},
        {"outcome": "none"},
        {"limit_violations": 1},
        {"reason_reported": ""},
        {"recovered": False},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_fault_is_borne_only_if_everything_is_right(fields):
    """Late, no stop, no reaction, a limit left, no reason, no recovery: each alone fails the command."""
    assert GOOD.passed
    assert not changed(**fields).passed


def test_slowing_down_needs_no_standstill():
    """`slow` is an outcome without a stop."""
    assert changed(outcome="slow", stopped_within_s=None).passed


def test_what_nothing_moved_for_is_borne_once_the_arm_was_driven():
    """`refused` is an outcome at 0 s; an arm that moved, or a stack that does not drive afterwards, is none."""
    refused = {"outcome": "refused", "stopped_within_s": 0.0, "bound_s": 0.5}
    assert changed(**refused).passed
    assert not changed(**refused | {"recovered": False}).passed
    assert not changed(**refused | {"stopped_within_s": None}).passed


def test_of_several_sweeps_the_worst_counts():
    """One that was not borne, else the slowest; in the order of the faults."""
    other, late = changed(name="nan_chunk"), changed(stopped_within_s=0.9)
    slower = changed(stopped_within_s=0.7)
    assert worst_of([GOOD, other, slower, other]) == [slower, other]
    assert worst_of([changed(limit_violations=1), other, late, other])[0] == late
    assert worst_of([GOOD, changed(limit_violations=1), slower])[0].limit_violations == 1


def test_busy_processes_end_with_the_sweep():
    """The machine is as it was afterwards."""
    with busy_processes(2) as busy:
        assert len(set(busy)) == 2
        for process in busy:
            os.kill(process, 0)
    for process in busy:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_unknown_names_are_refused_with_the_known_ones():
    """`--only` takes the catalogue's names, in any order."""
    names = ("estop_in_motion", "kill_system2")
    assert [fault.name for fault in choose_faults(names)] == ["kill_system2", "estop_in_motion"]
    assert choose_faults(()) == FAULTS
    with pytest.raises(ConfigurationError, match="drop_cam_high"):
        choose_faults(("unplug",))


def test_results_are_a_list_with_the_required_keys(tmp_path):
    """The JSON file's top level is the list."""
    write_results(tmp_path / "new" / "faults.json", [GOOD])
    (entry,) = json.loads((tmp_path / "new" / "faults.json").read_text())
    assert set(entry) == {
        *("name", "outcome", "stopped_within_s", "bound_s", "limit_violations"),
        *("reason_reported", "recovered"),
    }


def test_the_table_is_refreshed_between_its_markers(tmp_path):
    """A document keeps its words; one without markers is refused."""
    document = tmp_path / "reliability.md"
    document.write_text("Before.\n<!-- faults: begin -->\nold\n<!-- faults: end -->\nAfter.\n")
    write_markdown(document, [GOOD], "a machine")
    text = document.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("\nAfter.\n")
    assert "old\n" not in text
    assert "| `drop_cam_high` |" in text
    document.write_text("No markers.")
    with pytest.raises(ConfigurationError, match="faults: begin"):
        write_markdown(document, [GOOD], "a machine")
