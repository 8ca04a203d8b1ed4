"""`video2act export` as a user types it: what is read stays as it is."""

import pytest
from typer.testing import CliRunner

from video2act_ros.cli import app
from video2act_ros.core.errors import ConfigurationError


@pytest.fixture
def exported(monkeypatch, tmp_path):
    """Where exports went; the export itself, which takes a while, only notes it."""
    told = []
    monkeypatch.setattr(
        "video2act_ros.bundles.export_onnx.export_onnx", lambda folder, out, *_: told.append((folder, out))
    )
    monkeypatch.chdir(tmp_path)
    return told


def test_a_bundle_is_exported_into_a_new_folder_unless_asked_otherwise(exported, bundle):
    """A bundle that bags name by its hash is changed on request only."""
    for words in ([], ["--out", "mine"], ["--in-place"]):
        result = CliRunner().invoke(app, ["export", str(bundle), *words])
        assert result.exit_code == 0, result.output
    targets = [None if out is None else str(out) for _, out in exported]
    assert targets == [f"out/export/{bundle.name}", "mine", None]
    assert {folder for folder, _ in exported} == {bundle}


def test_what_excludes_each_other_is_refused(exported, bundle):
    """One line each, and nothing is done."""
    for words, text in (
        (["--in-place", "--out", "x"], "exclude each other"),
        (["--in-place", "--format", "lerobot"], "goes with --format onnx"),
    ):
        result = CliRunner().invoke(app, ["export", str(bundle), *words])
        assert isinstance(result.exception, ConfigurationError)
        assert text in str(result.exception)
    assert exported == []
