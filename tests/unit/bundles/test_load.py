"""A bundle is refused, with one clear message, unless it is whole and computes what its maker computed."""

import gc
import shutil
import threading
import weakref

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from video2act_ros.bundles.load import load_encoder, load_policy
from video2act_ros.bundles.manifest import check_robot, file_sha256, read_manifest
from video2act_ros.bundles.self_test import encoder_stages, policy_stages
from video2act_ros.bundles.shards import parameters_on_meta
from video2act_ros.core.errors import BundleError, InstructionError
from video2act_ros.core.instructions import choose_instruction
from video2act_ros.core.model_swap import Candidate, ModelSwap
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


PATIENCE_S = 60.0
LOADERS = {"policy": load_policy, "encoder": load_encoder}


def live_tensors():
    return sum(issubclass(type(item), torch.Tensor) for item in gc.get_objects())


@pytest.mark.parametrize("part", LOADERS)
def test_swap_after_swap_the_old_model_and_all_its_tensors_are_freed(bundle, sibling_bundle, part):
    """Without the garbage collector's help no model outlives its successor, and no tensor is left over."""
    ready = threading.Event()

    def load(name):
        loaded = LOADERS[part](bundle if int(name) % 2 else sibling_bundle, "cpu")
        return Candidate(name, loaded.bundle_id, "features", loaded)

    swap = ModelSwap(load, ready.set)
    running, counts = load("0").model, []
    gc.collect()
    gc.disable()
    try:
        for index in range(1, 6):
            old = weakref.ref(getattr(running, part))
            swap.request(str(index))
            assert ready.wait(PATIENCE_S)
            ready.clear()
            running = swap.take("features").model
            swap.done()
            assert old() is None
            counts.append(live_tensors())
    finally:
        gc.enable()
    assert len(set(counts)) == 1, counts


@pytest.mark.parametrize("part", LOADERS)
def test_overwriting_a_bundle_leaves_the_loaded_model_as_it_is(copy, part):
    """Files that are copied over in place are not what runs: neither weights nor instructions follow them."""
    loaded = LOADERS[part](copy, "cpu")
    section, stages = loaded.section, {"policy": policy_stages, "encoder": encoder_stages}[part]
    stored = {name: value.clone() for name, value in load_file(copy / section.self_test).items()}
    before = stages(getattr(loaded, part), stored)
    texts = {text: torch.as_tensor(value).clone() for text, value in loaded.instructions.items()}
    for path in copy.glob("*.safetensors"):
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(size // 8)
            file.write(b"\x11" * (size - size // 8))
    after = stages(getattr(loaded, part), stored)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(
        torch.equal(value, torch.as_tensor(loaded.instructions[text])) for text, value in texts.items()
    )


def test_building_without_memory_leaves_other_threads_alone():
    """A model may be loaded while another thread builds modules of its own."""
    built = []
    with parameters_on_meta():
        thread = threading.Thread(target=lambda: built.append(torch.nn.Linear(2, 2)))
        thread.start()
        thread.join()
        assert torch.nn.Linear(2, 2).weight.is_meta
    assert not built[0].weight.is_meta
    assert not torch.nn.Linear(2, 2).weight.is_meta


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
    with pytest.raises(
        BundleError, match="moves 3 joints, robot profile 'test' has 2: only the bundle has gripper"
    ):
        check_robot(read_manifest(bundle), RobotProfile.model_validate(fewer))


def test_another_joint_order_is_refused(bundle, robot_profile):
    """Equal names in another order would move the wrong joints."""
    other = robot_profile.model_dump()
    other["joints"] = other["joints"][::-1]
    with pytest.raises(BundleError, match="the order differs from number 1 on"):
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


ESCAPES = (
    "/etc/hostname",
    "../outside.safetensors",
    "sub/../../outside.safetensors",
    "link.safetensors",
    "link/outside",
)


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("place", ["files", "weights", "self_test", "instructions_file"])
def test_a_manifest_names_no_file_outside_of_its_bundle(copy, name, place):
    """Neither by its path nor by a link, wherever it stands; refused before anything is read."""
    outside = copy.parent / "outside.safetensors"
    shutil.copy(copy / "system1.safetensors", outside)
    (copy / "link.safetensors").symlink_to(outside)
    (copy / "link").symlink_to(copy.parent)

    def name_it(content):
        content["files"][name] = file_sha256(outside)
        if place == "weights":
            content["system1"]["weights"] = [name]
        elif place == "self_test":
            content["system1"]["self_test"] = name
        elif place == "instructions_file":
            content["instructions_file"] = name

    edit_manifest(copy, name_it)
    for load in (read_manifest, *LOADERS.values()):
        with pytest.raises(BundleError, match="which leads out of the bundle's folder") as refused:
            load(copy)
        assert name in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_bundle_that_lies_behind_a_link_loads(copy, tmp_path):
    """The folder itself may be reached by one."""
    (tmp_path / "by_link").symlink_to(copy)
    assert load_policy(tmp_path / "by_link", "cpu").bundle_id


def test_weights_that_git_lfs_has_not_fetched_are_named(copy):
    """Not called truncated: another command mends it."""
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (copy / "system1.safetensors").write_text(text)
    with pytest.raises(BundleError, match="git-lfs pointer, not the file itself; run `git lfs pull`"):
        load_policy(copy, "cpu")
