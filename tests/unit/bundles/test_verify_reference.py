"""Every group of reference values, and what verification says of files that differ."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from video2act_ros.bundles.verify_reference import verify_file, verify_folder
from video2act_ros.bundles.verify_reference.folder import ReferenceFile, read_folder
from video2act_ros.bundles.verify_reference.report import GROUPS
from video2act_ros.cli import app
from video2act_ros.core.errors import BundleError
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.policy import Policy

GOLDEN = Path(__file__).parents[2] / "golden"
SMALL = "j_motion_frame_select.safetensors"
SELECTED = "out.last.4"


def pytest_generate_tests(metafunc):
    if "reference_file" in metafunc.fixturenames:
        folder = read_folder(Path(metafunc.config.getoption("--reference") or GOLDEN))
        cases = [pytest.param((folder, name), id=name.removesuffix(".safetensors")) for name in folder.names]
        metafunc.parametrize("reference_file", cases)


def test_values_equal_the_reference(reference_file):
    """Each file of the released implementation's values is reproduced within its tolerance."""
    verdict = verify_file(*reference_file)
    assert verdict.passed, verdict


def test_every_group_is_kept_here():
    """A plain clone checks every group but the VAE's own file, whose encoder the run-time step checks."""
    names = read_folder(GOLDEN).names
    missing = [group for group in GROUPS if not any(name.startswith(group) for name in names)]
    assert missing == ["h_vae_encode"]


@pytest.fixture
def folder(tmp_path):
    """A folder with one small file and the manifest's account of it."""
    content = json.loads((GOLDEN / "manifest.json").read_text())
    content["files"] = {SMALL: content["files"][SMALL]}
    del content["files"][SMALL]["sha256"]
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    shutil.copy(GOLDEN / SMALL, tmp_path / SMALL)
    return tmp_path


def change(folder, **tensors):
    values = load_file(folder / SMALL)
    save_file(
        {**values, **{name.replace("__", "."): value for name, value in tensors.items()}}, folder / SMALL
    )


def only(folder):
    (verdict,) = verify_folder(folder)
    return verdict


@pytest.mark.parametrize("value", [1e-3, math.nan, math.inf])
def test_a_deviating_value_fails_with_its_name(folder, value):
    """One wrong number, also one that is none, fails the file and names the tensor."""
    assert only(folder).passed
    stored = load_file(folder / SMALL)[SELECTED]
    change(folder, **{SELECTED: stored + value})
    verdict = only(folder)
    assert not verdict.passed
    assert SELECTED in verdict.reason
    assert verdict.max_error_out == pytest.approx(value if value == 1e-3 else math.inf, rel=0.1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: change(folder, out__first__3=torch.zeros(4)), "has shape"),
        (lambda folder: change(folder, out__newest__3=torch.zeros(3)), "last, first, center, uniform"),
        (lambda folder: (folder / SMALL).write_bytes(b"\0" * 20), "cannot read"),
        (lambda folder: (folder / SMALL).unlink(), "cannot read"),
        (lambda folder: (folder / SMALL).rename(folder / "k_new.safetensors"), "cannot read"),
    ],
)
def test_what_cannot_be_computed_fails(folder, damage, message):
    """A missing, damaged or foreign file is a failure with its reason, never passed over."""
    damage(folder)
    verdicts = list(verify_folder(folder))
    assert not any(verdict.passed for verdict in verdicts)
    assert any(message in verdict.reason for verdict in verdicts)


def test_a_file_that_is_not_described_fails(folder):
    """Every file that lies in the folder counts, whether the manifest knows it or not."""
    shutil.copy(folder / SMALL, folder / "k_new.safetensors")
    outcome = {verdict.file: verdict.passed for verdict in verify_folder(folder)}
    assert outcome == {SMALL: True, "k_new.safetensors": False}


def test_a_described_file_of_an_unknown_group_fails(folder):
    """A group that this version does not know is a failure that lists those it knows."""
    content = json.loads((folder / "manifest.json").read_text())
    content["files"]["k_new.safetensors"] = {"kind": "io"}
    (folder / "manifest.json").write_text(json.dumps(content))
    shutil.copy(folder / SMALL, folder / "k_new.safetensors")
    verdict = next(v for v in verify_folder(folder) if not v.passed)
    assert "a_action_core" in verdict.reason


def test_another_file_than_described_fails(folder):
    """The manifest's sha256 binds the file."""
    content = json.loads((folder / "manifest.json").read_text())
    content["files"][SMALL]["sha256"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(content))
    assert "sha256" in only(folder).reason


def test_a_folder_without_manifest_is_an_error(tmp_path):
    """Nothing to verify is never a success."""
    with pytest.raises(BundleError, match=r"manifest\.json"):
        list(verify_folder(tmp_path))


def test_the_command_reports_and_sets_its_exit_status(folder):
    """The exit status is 1 when a file fails; the JSON lists every file."""
    report = folder / "report.json"
    arguments = ["verify-reference", str(folder), "--json", str(report)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    change(folder, **{SELECTED: torch.full((4,), math.nan)})
    assert CliRunner().invoke(app, arguments).exit_code == 1
    (row,) = json.loads(report.read_text())
    assert set(row) == {"file", "max_error_out", "max_error_mid", "tol", "passed", "reason"}
    assert (row["file"], row["passed"], row["tol"]) == (SMALL, False, 0.0)


OTHER = {
    "hidden": 24, "heads": 3, "horizon": 5, "action_dim": 128, "lang_dim": 7, "img_dim": 9, "max_lang": 6,
    "hist": 1, "cams": 2, "patches": 4, "ctrl_freq": 30, "steps": 3, "text_len": 4, "raw_size": [32, 64],
    "motion_size": [32, 32], "motion_latent_t": 3, "raw_extraction": "scharr", "motion_extraction": "fft+sobel",
    "motion": {"filter_type": "lowpass", "freq_high": 4.0}, "fps": 12, "wan_extract": 1,
    "wan": {"dim": 24, "num_heads": 2, "ffn_dim": 20, "num_layers": 1, "text_dim": 11, "freq_dim": 8},
}  # fmt: skip


def other_policy():
    """Return a policy of other sizes: an odd depth, one image in history, two cameras, other adaptors."""
    torch.manual_seed(3)
    sizes = {key: OTHER[key] for key in ("hidden", "heads", "horizon", "lang_dim", "max_lang")}
    tower = {
        "hidden_size": 9,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "image_size": 14,
        "patch_size": 14,
    }
    config = PolicyConfig.model_validate(
        {
            **sizes,
            "depth": 3,
            "norm": "variance",
            "adaptors": {"language": "linear", "image": "mlp3x_gelu", "state": "linear", "video": "linear"},
            "state_vector": {"size": 128, "indices": (0,)},
            "actions": {},
            "images": {"dim": 9, "tokens_per_image": 4, "history": 1, "cameras": ("high", "low")},
            "vision": {"kind": "siglip", "image_width": 14, "image_height": 14, "model": tower},
            "video": {"variant": "direct", "feature_dim": 24, "spatial_tokens": 2, "motion_tokens": 3},
            "ctrl_freq_hz": 30.0,
            "action_step_s": 0.1,
        }
    )
    policy = Policy(config).eval()
    torch.nn.init.normal_(policy.model.final_layer.ffn_final.fc2.weight)
    return policy


def test_sizes_come_from_the_folder(tmp_path):
    """Another folder may have any sizes: an action head of other ones is built from weights and manifest."""
    policy = other_policy()
    state = {key: value for key, value in policy.state_dict().items() if not key.startswith("vision.")}
    (tmp_path / "weights").mkdir()
    save_file(state, tmp_path / "weights" / "policy.safetensors")
    draw = torch.Generator().manual_seed(4)
    sizes = {"lang_tokens": (6, 7), "img_tokens": (8, 9), "video_tokens_adapted": (5, 24), "noise": (5, 128)}
    values = {f"in.{name}": torch.randn(2, *size, generator=draw) for name, size in sizes.items()}
    values |= {
        "in.state_tokens": torch.randn(2, 1, 128, generator=draw),
        "in.action_mask": torch.ones(2, 1, 128),
        "in.lang_attn_mask": torch.ones(2, 6, dtype=torch.bool),
        "in.ctrl_freqs": torch.tensor([30, 15]),
    }
    name = "b_sampling_7step.safetensors"
    entry = {"kind": "io", "weights": "weights/policy.safetensors", "tol": 1e-6}
    (tmp_path / "manifest.json").write_text(json.dumps({"config": OTHER, "files": {name: entry}}))
    computed = GROUPS["b_sampling"](ReferenceFile(name, read_folder(tmp_path), entry, values))
    assert len(computed["mid.timesteps"]) == 7
    expected = policy.model.final_layer.ffn_final.fc2.weight.shape[0]
    assert computed["out.action"].shape == (2, 5, expected)
    save_file({**values, **{key: value.clone() for key, value in computed.items()}}, tmp_path / name)
    verdict = only(tmp_path)
    assert verdict.passed, verdict
