"""A bundle is refused, with one clear message, unless it is whole and computes what its maker computed."""

import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from video2act_ros.bundles.load import load_encoder, load_policy
from video2act_ros.bundles.manifest import check_robot, file_sha256, read_manifest
from video2act_ros.core.errors import BundleError, InstructionError
from video2act_ros.core.instructions import choose_instruction
from video2act_ros.core.robot_profile import RobotProfile


@pytest.fixture
def copy(bundle, tmp_path):
    """A copy of the tiny bundle that a test may damage."""
    return shutil.copytree(bundle, tmp_path / "copy")


def edit_manifest(folder, change):
    path = folder / "manifest.yaml"
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def edit_weights(folder, name, change):
    """Change tensors of a file and its hash, as a wrong export would."""
    tensors = load_file(folder / name)
    change(tensors)
    save_file(tensors, folder / name)
    edit_manifest(folder, lambda content: content["files"].update({name: file_sha256(folder / name)}))


def test_a_whole_bundle_loads_and_knows_its_instructions(bundle):
    """Both systems of a bundle load, and they belong together."""
    policy, encoder = load_policy(bundle, "cpu"), load_encoder(bundle, "cpu")
    assert policy.section.features_id == encoder.section.features_id
    assert list(policy.instructions) == list(encoder.instructions) == list(policy.manifest.instructions)
    assert policy.bundle_id == encoder.bundle_id


def test_a_missing_bundle_is_named(tmp_path):
    """A path that does not exist is one message."""
    with pytest.raises(BundleError, match=r"no bundle at .*nowhere"):
        load_policy(tmp_path / "nowhere")


@pytest.mark.parametrize("load", [load_policy, load_encoder])
def test_a_truncated_file_is_refused(copy, load):
    """Half a weight file never drives."""
    for name in ("system1.safetensors", "system2.safetensors"):
        path = copy / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BundleError, match="truncated or changed"):
        load(copy)


def test_a_missing_file_is_named(copy):
    """The message names the file."""
    (copy / "system1.safetensors").unlink()
    with pytest.raises(BundleError, match=r"system1\.safetensors is missing"):
        load_policy(copy)


def test_a_newer_schema_is_refused(copy):
    """A manifest of another schema is not guessed at."""
    edit_manifest(copy, lambda content: content.update(schema_version=2))
    with pytest.raises(BundleError, match="schema 2, this version reads 1"):
        read_manifest(copy)


def test_an_unknown_key_is_named(copy):
    """A misspelt manifest key is an error, not silence."""
    edit_manifest(copy, lambda content: content["system1"]["policy"].update(hiden=3))
    with pytest.raises(BundleError, match=r"system1\.policy\.hiden"):
        read_manifest(copy)


def test_nan_weights_are_refused(copy):
    """A diverged training never drives."""
    edit_weights(copy, "system1.safetensors", lambda t: t["model.x_pos_embed"].fill_(float("nan")))
    with pytest.raises(BundleError, match=r"NaN or infinite weights in model\.x_pos_embed"):
        load_policy(copy)


def test_missing_weights_are_listed(copy):
    """Weights that do not fit the architecture are never filled up."""
    edit_weights(copy, "system1.safetensors", lambda t: t.pop("model.x_pos_embed"))
    with pytest.raises(BundleError, match=r"missing model\.x_pos_embed"):
        load_policy(copy)


def test_other_features_than_the_manifest_names_are_refused(copy):
    """features_id is derived, so that changed weights cannot keep an old identity."""
    edit_weights(copy, "system2.safetensors", lambda t: next(iter(t.values())).add_(1))
    with pytest.raises(BundleError, match="features_id"):
        load_encoder(copy)


def test_the_self_test_names_the_first_stage_that_differs_in_system_1(copy):
    """Weights that give other actions are found before they drive, and where."""
    edit_weights(copy, "system1.safetensors", lambda t: t["model.x_pos_embed"].add_(1))
    with pytest.raises(BundleError, match="stage 'chunk'"):
        load_policy(copy)


def test_the_self_test_finds_a_swapped_colour_order(copy):
    """Red for blue changes the latents, the stage after the resize."""

    def swap(content):
        content["system2"]["encoder"]["channel_order"] = "bgr"
        content["system2"]["features_id"] = "?"

    edit_manifest(copy, swap)
    with pytest.raises(BundleError, match="features_id") as caught:
        load_encoder(copy)
    identity = str(caught.value).split("weights give ")[1].split(";")[0]
    edit_manifest(copy, lambda content: content["system2"].update(features_id=identity))
    with pytest.raises(BundleError, match=r"stage 'latents \(spatial\)'"):
        load_encoder(copy)


def test_a_self_test_without_a_stage_is_refused(copy):
    """A cut self-test is no self-test."""
    edit_weights(copy, "self_test_system1.safetensors", lambda t: t.pop("chunk"))
    with pytest.raises(BundleError, match="'chunk' is missing"):
        load_policy(copy)


def test_an_unknown_instruction_lists_the_known_ones(bundle):
    """Nobody has to guess what a bundle understands."""
    known = list(load_policy(bundle).instructions)
    assert choose_instruction(known, "") == known[0]
    with pytest.raises(InstructionError, match=known[1]):
        choose_instruction(known, "make coffee")


def test_a_wrong_number_of_joints_is_refused(bundle, robot_profile):
    """A bundle for another robot never drives this one."""
    fewer = robot_profile.model_dump()
    fewer["joints"] = fewer["joints"][:-1]
    fewer["commands"][0]["joints"] = [joint["name"] for joint in fewer["joints"]]
    with pytest.raises(BundleError, match="drives 3 joints, robot 'test' has 2"):
        check_robot(read_manifest(bundle), RobotProfile.model_validate(fewer))


def test_another_joint_order_is_refused(bundle, robot_profile):
    """Equal names in another order would move the wrong joints."""
    other = robot_profile.model_dump()
    other["joints"] = other["joints"][::-1]
    with pytest.raises(BundleError, match="orders the joints"):
        check_robot(read_manifest(bundle), RobotProfile.model_validate(other))


def test_a_missing_camera_is_named(bundle, robot_profile):
    """The policy's cameras must exist on the robot."""
    other = robot_profile.model_dump()
    other["cameras"] = other["cameras"][:1]
    missing = robot_profile.cameras[1].name
    with pytest.raises(BundleError, match=f"needs the cameras {missing}"):
        check_robot(read_manifest(bundle), RobotProfile.model_validate(other))
    check_robot(read_manifest(bundle), robot_profile)


def test_the_video_latents_change_the_actions(bundle):
    """A policy that ignores System 2 would pass every other test."""
    from video2act_ros.bundles.self_test import policy_stages

    loaded = load_policy(bundle, "cpu")
    stored = load_file(bundle / loaded.section.self_test)
    zeros = {name: torch.zeros_like(stored[name]) for name in ("input.spatial", "input.motion")}
    blind = dict(stored) | zeros
    seeing, zeroed = (
        policy_stages(loaded.policy, stored)["chunk"],
        policy_stages(loaded.policy, blind)["chunk"],
    )
    assert np.abs((seeing - zeroed).numpy()).max() > 1e-4
