"""`video2act replay --exact`."""

import json

from lockstep import record

from video2act_ros.core.errors import BagError


def test_replay_exact_writes_its_report(run, tmp_path, robot_profile, bundle):
    """The keys of the report; exit status 0 where all is equal; the bundle is found by the folder given."""
    bag, report = record(tmp_path / "bag", robot_profile, bundle, 1.0), tmp_path / "new" / "report.json"
    result = run("replay", bag, "--exact", "--json", report, "--system1-bundle", bundle)
    assert result.exit_code == 0, result.output
    content = json.loads(report.read_text())
    wanted = {"chunks": 4, "latents": 3, "max_abs_diff": 0.0, "first_differing_stage": None}
    assert {key: content[key] for key in wanted} == wanted
    assert "equal, bit by bit" in result.output


def test_a_difference_is_exit_status_1(run, tmp_path, robot_profile, bundle):
    """So that CI can rely on it."""

    def edit(name, message):
        if name == "action_chunk":
            message.positions = message.positions + 1e-9
        return message

    bag = record(tmp_path / "bag", robot_profile, bundle, 1.0, edit=edit)
    result = run("replay", bag, "--exact", "--json", tmp_path / "report.json", "--system1-bundle", bundle)
    assert result.exit_code == 1
    assert json.loads((tmp_path / "report.json").read_text())["first_differing_stage"] == "chunk"


def test_a_bag_that_cannot_be_read_leaves_no_report(run, tmp_path):
    """One error, nothing half-written."""
    result = run("replay", tmp_path / "nothing", "--exact", "--json", tmp_path / "report.json")
    assert isinstance(result.exception, BagError)
    assert not list(tmp_path.glob("report*"))
