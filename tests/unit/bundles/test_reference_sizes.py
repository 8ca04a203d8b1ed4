"""A reference folder may have any sizes, names and seeds: everything is read off it."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from video2act_ros.bundles.verify_reference import verify_folder
from video2act_ros.bundles.verify_reference.report import GROUPS

from .reference_folder import write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of every group at sizes of its own."""
    path = tmp_path_factory.mktemp("reference")
    write_folder(path)
    return path


def groups(folder):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    return {name: entry["group"] for name, entry in files.items()}


def test_every_group_passes_at_other_sizes(folder):
    """Sizes, variants, steps, cameras, history, patches and names come from manifest, shapes and weights."""
    verdicts = list(verify_folder(folder))
    assert {groups(folder)[verdict.file] for verdict in verdicts} == set(GROUPS)
    assert [verdict for verdict in verdicts if not verdict.passed] == []


def test_a_perturbed_output_fails_in_every_file(folder):
    """No group compares a value with itself."""
    kept = {}
    for name in groups(folder):
        kept[name] = (folder / name).read_bytes()
        values = load_file(folder / name)
        output = min(key for key in values if key.startswith("out."))
        changed = values[output].clone()
        changed.view(-1)[-1] = (changed.view(-1)[-1].float() + 9).to(changed.dtype)
        save_file({**values, output: changed}, folder / name)
    try:
        assert [verdict.file for verdict in verify_folder(folder) if verdict.passed] == []
    finally:
        for name, content in kept.items():
            (folder / name).write_bytes(content)


def test_a_missing_input_or_key_of_the_configuration_is_a_failure(folder):
    """What is not there fails with a reason in every file that needs it; nothing crashes."""
    manifest = folder / "manifest.json"
    text = manifest.read_text()
    content = json.loads(text)
    for entry in content["files"].values():
        entry["tol"] = "wide"
    try:
        manifest.write_text(json.dumps(content))
        assert not any(verdict.passed for verdict in verify_folder(folder))
        for entry in content["files"].values():
            del entry["tensors"]
            entry["tol"] = 1.0
            entry["weights"] = "weights/nowhere.safetensors"
        content["config"] = {}
        manifest.write_text(json.dumps(content))
        passed = {groups(folder)[verdict.file] for verdict in verify_folder(folder) if verdict.passed}
        free = {"g_state_vector", "j_motion_frame_select", "j_interpolate_action", "g_siglip_preprocess"}
        assert passed <= free
    finally:
        manifest.write_text(text)


def test_a_file_without_a_listed_tensor_fails(folder):
    """An output that the manifest lists is not passed over because the file lacks it."""
    name = next(name for name, group in groups(folder).items() if group == "j_motion_frame_select")
    before = (folder / name).read_bytes()
    values = load_file(folder / name)
    del values["out.last.3"]
    save_file(values, folder / name)
    try:
        (verdict,) = [verdict for verdict in verify_folder(folder) if not verdict.passed]
        assert (verdict.file, "out.last.3" in verdict.reason) == (name, True)
    finally:
        (folder / name).write_bytes(before)
    assert torch.is_tensor(values["out.first.3"])
