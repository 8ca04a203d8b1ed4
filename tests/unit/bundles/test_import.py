"""The released checkpoints become bundles that compute the released function."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from video2act_ros.bundles import import_write
from video2act_ros.bundles.checkpoint_files import open_checkpoint
from video2act_ros.bundles.import_official import plan_import
from video2act_ros.bundles.load import load_encoder, load_policy
from video2act_ros.bundles.manifest import read_manifest
from video2act_ros.cli import app
from video2act_ros.core.errors import BundleError
from video2act_ros.system1.policy import Policy
from video2act_ros.system1.weights import UNUSED_REFERENCE_KEYS

from .released import (
    GOLDEN,
    TOLERANCE,
    assert_predicts,
    do_import,
    import_policy,
    loadable,
    loadable_encoder,
    options,
    policy_state,
    sources,
    weights,
    write_yaml,
)


def save_deepspeed(state, folder):
    path = folder / "pytorch_model" / "mp_rank_00_model_states.pt"
    path.parent.mkdir()
    torch.save({"module": state, "dp_world_size": 1, "param_shapes": [torch.Size((1, 2))]}, path)


FORMATS = {
    "deepspeed": save_deepspeed,
    "bare": lambda state, folder: torch.save(state, folder / "pytorch_model.bin"),
    "state_dict": lambda state, folder: torch.save({"state_dict": state}, folder / "pytorch_model.bin"),
    "safetensors": lambda state, folder: save_file(state, folder / "model.safetensors"),
    "ema": lambda state, folder: (
        (folder / "ema").mkdir(),
        torch.save(state, folder / "ema" / "pytorch_model.bin"),
    ),
}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_of_a_policy_gives_the_released_chunks(parts, video_model, encoder, tmp_path, form):
    """Whatever file a training left behind: the released function, and a self-test that passes."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    if form == "ema":
        torch.save({key: value + 1 for key, value in policy_state().items()}, folder / "pytorch_model.bin")
    FORMATS[form](policy_state(), folder)
    out = import_policy(parts, video_model, folder, tmp_path / "out", ema=form == "ema")
    assert_predicts(loadable(out).policy, "direct", encoder)


@pytest.mark.parametrize("variant", ["compressor", "single"])
def test_the_variant_is_read_off_the_keys(parts, tmp_path, variant):
    """A YAML that describes another variant is reported, and does not count."""
    save_file(policy_state(variant), tmp_path / "model.safetensors")
    config = write_yaml(tmp_path / "config.yaml", video_size=[32, 64])
    plan = plan_import(sources(parts, tmp_path, config=config), options())
    assert any("variant: the YAML says compressor" in note for note in plan.notes) == (variant == "single")
    plan.write(tmp_path / "out", lambda text, size: None)
    loaded = loadable(tmp_path / "out")
    assert loaded.section.policy.video.variant == variant
    five = loaded.section.policy.sampler.model_copy(update={"steps": 5})
    assert loaded.section.policy.sampler.steps == 7  # from the YAML
    reference = Policy(loaded.section.policy.model_copy(update={"sampler": five})).eval()
    reference.load_weights(loaded.policy.state_dict())
    assert_predicts(reference, variant, loadable_encoder(tmp_path / "out").encoder)


def test_a_blind_policy_is_refused_unless_allowed(parts, video_model, encoder, tmp_path):
    """A compressor without layers ignores the video model: the reason is told, and consent is asked."""
    save_file(policy_state("compressor_depth0"), tmp_path / "model.safetensors")
    with pytest.raises(BundleError, match=r"cannot see the video.*depth 0.*--allow-video-blind"):
        import_policy(parts, video_model, tmp_path, tmp_path / "out")
    out = import_policy(parts, video_model, tmp_path, tmp_path / "out", allow_video_blind=True)
    config = read_manifest(out / "system1").system1.policy
    assert config.video.blind
    assert_predicts(loadable(out).policy, "compressor_depth0", encoder)


def test_low_rank_updates_are_merged_into_the_video_model(imported, tmp_path):
    """The updates in the policy's checkpoint change the features as in the released implementation."""
    encoder = loadable_encoder(shutil.copytree(imported, tmp_path / "copy")).encoder
    values = load_file(GOLDEN / "d_wan_features_lora.safetensors")
    with torch.no_grad():
        features = encoder.model(
            values["in.latents"], encoder.model.condition(values["in.context"], values["in.timestep"])
        )
    assert (features - values["out.features"]).abs().max() < TOLERANCE["d_wan_features_lora.safetensors"][
        "tol"
    ]


def test_only_what_is_used_is_kept(imported):
    """Blocks behind the features, the head, the decoder and parameters that never act cost no space."""
    stored = load_file(imported / "system2" / "system2.safetensors")
    unused = ("transformer.blocks.2.", "transformer.proj_out", "transformer.scale_shift", "vae.decoder")
    assert not any(key.startswith(unused) for key in stored)
    assert any(key.startswith("transformer.blocks.1.") for key in stored)
    assert not set(UNUSED_REFERENCE_KEYS) & load_file(imported / "system1" / "system1.safetensors").keys()


def test_the_yaml_gives_what_the_keys_do_not_tell(imported):
    """Filter band and steps are the YAML's; sizes are the checkpoint's."""
    encoder = read_manifest(imported / "system2").system2.encoder
    assert encoder.motion.freq_high == 6.0
    assert encoder.channel_order == "bgr"
    assert read_manifest(imported / "system1").system1.policy.horizon == 16


def test_a_policy_alone_takes_the_features_of_a_bundle(parts, policy, tmp_path, imported):
    """Its identity is that of the System 2 bundle it is imported for; without one nothing is guessed."""
    out = import_policy(parts, imported, policy, tmp_path / "out")
    identity = read_manifest(imported / "system2").system2.features_id
    assert read_manifest(out / "system1").system1.features_id == identity
    assert not (out / "system2").exists()
    with pytest.raises(BundleError, match="--system2"):
        plan_import(sources(parts, policy, transformer=(), vae=None), options())


@pytest.mark.parametrize("shard_bytes", [200_000, 1 << 30])
def test_the_size_of_the_files_changes_nothing(parts, video_model, encoder, policy, tmp_path, shard_bytes):
    """Weights in many files are the same weights."""
    out = import_policy(parts, video_model, policy, tmp_path / "out", shard_bytes=shard_bytes)
    names = read_manifest(out / "system1").system1.weights
    assert (len(names) > 3) == (shard_bytes == 200_000)
    assert_predicts(loadable(out).policy, "direct", encoder)


def test_the_dtype_is_kept_or_cast(parts, policy, tmp_path):
    """bfloat16 stays bfloat16; asked for, float32 becomes it; the VAE always stays float32."""
    out = do_import(parts, policy, tmp_path / "out", dtype="bfloat16")
    assert load_file(out / "system1" / "system1.safetensors")["model.x_pos_embed"].dtype == torch.bfloat16
    stored = load_file(out / "system2" / "system2.safetensors")
    assert {value.dtype for key, value in stored.items() if key.startswith("vae.")} == {torch.float32}
    assert loadable(out).section.features_id == loadable_encoder(out).section.features_id
    assert load_encoder(out / "system2", "cpu").encoder.model.dtype == torch.bfloat16
    torch.save({key: value.bfloat16() for key, value in policy_state().items()}, policy)
    plan = plan_import(sources(parts, policy), options())
    assert plan.policy.config.dtype == "bfloat16"


def test_a_prefix_of_every_key_is_understood(parts, policy, tmp_path):
    """A prefix neither leaves random weights nor hides a foreign key."""
    prefixed = {f"model.{key}": value for key, value in weights("wan_dit").items()}
    torch.save({"state_dict": prefixed}, tmp_path / "dit.pt")
    plan_import(sources(parts, policy, transformer=(tmp_path / "dit.pt",)), options())
    torch.save({**prefixed, "other.weight": torch.ones(1)}, tmp_path / "dit.pt")
    with pytest.raises(BundleError, match=r"unexpected keys: other\.weight"):
        plan_import(sources(parts, policy, transformer=(tmp_path / "dit.pt",)), options())


def test_weights_stay_in_their_file_until_they_are_written(tmp_path):
    """Opening a checkpoint takes no memory for its weights, whichever format it has."""
    torch.save({"a": torch.ones(3)}, tmp_path / "a.pt")
    save_file({"b": torch.ones(3)}, tmp_path / "b.safetensors")
    for name in ("a.pt", "b.safetensors"):
        for tensor in open_checkpoint([tmp_path / name]).values():
            value = tensor.read()
            assert _mapped(tmp_path / name)
            assert value.eq(1).all()


def _mapped(path):
    with open("/proc/self/maps") as maps:
        return any(str(path) in line for line in maps)


def test_the_self_tests_pictures_never_change():
    """A self-test's inputs are the same on every machine."""
    pictures = import_write.moving_squares(3)
    assert pictures.shape == (3, 480, 640, 3)
    assert int(pictures.astype(int).sum()) == int(import_write.moving_squares(3).astype(int).sum())
    assert (pictures[0] != pictures[1]).any()


def test_both_commands_work_for_a_user(parts, video_model, policy, tmp_path):
    """`video2act import` and `video2act encode-instruction`, with the paths a user gives."""
    torch.save({"instruction": "lift the cube", "embeddings": torch.ones(1, 3, 40)}, tmp_path / "lift.pt")
    torch.save(torch.ones(5, 40), tmp_path / "push.pt")
    out = tmp_path / "out"
    files = {"--policy": policy, "--siglip": parts / "siglip", "--system2": video_model / "system2"}
    arguments = [str(word) for pair in files.items() for word in pair]
    run = CliRunner().invoke(app, ["import", str(out), *arguments, "--t5", str(tmp_path / "lift.pt")])
    assert run.exit_code == 0, run.output
    more = ["--bundle", str(out / "system1"), "--t5", str(tmp_path / "push.pt")]
    run = CliRunner().invoke(app, ["encode-instruction", "push it", *more])
    assert run.exit_code == 0, run.output
    assert list(load_policy(out / "system1", "cpu").instructions) == ["lift the cube", "push it"]
