"""`video2act compare`."""

import pytest
from lockstep import record


def test_compare_writes_one_file(run, tmp_path, robot_profile, bundle, sibling_bundle):
    """Into a folder under the bag's name, or to the file that is given."""
    pytest.importorskip("matplotlib", reason="the report is drawn with matplotlib: requirements/analysis.txt")
    bag = record(tmp_path / "drive", robot_profile, bundle, 1.0)
    bundles = ("--bundle", bundle, "--bundle", sibling_bundle)
    result = run("compare", bag, *bundles, "--output", tmp_path / "reports")
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["drive.html"]
    assert run("compare", bag, *bundles, "--output", tmp_path / "own.html").exit_code == 0
    assert (tmp_path / "own.html").read_text().startswith("<!doctype html>")
