"""`video2act doctor`."""

import json
import sys

from typer.testing import CliRunner

from video2act_ros.cli import app
from video2act_ros.doctor.findings import Level
from video2act_ros.ros import environment


def test_the_command_reports_this_machine(tmp_path):
    """One run on the real machine: every finding in the JSON, the status follows the problems, no torch import."""
    loaded = "torch" in sys.modules
    report = tmp_path / "doctor.json"
    result = CliRunner().invoke(app, ["doctor", "--json", str(report)])
    findings = json.loads(report.read_text())["findings"]
    levels = [item["level"] for item in findings]
    assert set(levels) <= {level.value for level in Level}
    assert result.exit_code == ("problem" in levels)
    assert {"Python", "scheduling", "domain", "wall clock", "robot aloha_sim", "bundle aloha_lift"} <= {
        item["topic"] for item in findings
    }
    assert all(item["remedy"] for item in findings if item["level"] != "ok")
    assert loaded or "torch" not in sys.modules


def test_a_profile_of_ones_own_and_a_part_are_checked_on_demand(tmp_path, monkeypatch):
    """`--robot` adds the findings of any file, and a mistake ends with status 1; `--machine` reaches the checks."""
    path, report = tmp_path / "mine.yaml", tmp_path / "doctor.json"
    path.write_text("name: mine\n")
    for variable in environment.PROFILE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    options = ["--robot", str(path), "--machine", "gpu_host", "--json", str(report)]
    result = CliRunner().invoke(app, ["doctor", *options])
    findings = json.loads(report.read_text())["findings"]
    texts = [item["text"] for item in findings if item["topic"] == "robot mine"]
    assert result.exit_code == 1
    assert any("fastdds_network.xml" in item["text"] for item in findings)
    assert any(text.startswith(f"{path}:1: thresholds: missing key") for text in texts)
