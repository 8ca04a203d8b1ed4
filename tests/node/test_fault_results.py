"""What `video2act faults` runs and writes; the trials themselves are in tests/e2e."""

import json
import math

import pytest

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.nodes.fault_catalogue import FAULTS
from video2act_ros.nodes.fault_trial import FaultResult
from video2act_ros.nodes.faults import choose_faults, write_markdown, write_results
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
