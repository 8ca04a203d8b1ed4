"""Whatever is odd about a checkpoint is refused with one message, and leaves nothing behind."""

import os

import pytest
import torch
from safetensors.torch import save_file

from video2act_ros.bundles.import_official import ImportSources, plan_import
from video2act_ros.bundles.released_settings import read_settings
from video2act_ros.core.errors import BundleError

from .released import (
    SETTINGS,
    import_policy,
    options,
    policy_state,
    sources,
    weights,
    write_yaml,
)


def test_low_rank_updates_without_the_video_model_are_refused(parts, tmp_path, imported):
    """Updates that nothing merges would be lost in silence."""
    save_file({**policy_state(), **weights("wan_lora")}, tmp_path / "model.safetensors")
    with pytest.raises(BundleError, match="low-rank updates; give --dit"):
        plan_import(
            sources(parts, tmp_path, transformer=(), vae=None, system2=imported / "system2"), options()
        )


def test_half_a_low_rank_update_is_refused(parts, tmp_path):
    """An update without its partner is named."""
    lora = weights("wan_lora")
    lora.pop("wan_transformer.model.blocks.0.cross_attn.k.lora_B.weight")
    save_file({**policy_state(), **lora}, tmp_path / "model.safetensors")
    with pytest.raises(BundleError, match=r"blocks\.0\.cross_attn\.k\.weight"):
        plan_import(sources(parts, tmp_path), options())


def damaged(name):
    state = policy_state()
    if name == "missing":
        state.pop("model.blocks.1.attn.proj.bias")
    elif name == "unexpected":
        state["model.blocks.1.attn.gate"] = torch.ones(1)
    elif name == "shape":
        state["model.blocks.1.attn.proj.bias"] = torch.ones(3)
    elif name == "video model inside":
        state["wan_transformer.model.blocks.0.norm3.weight"] = torch.ones(96)
    return state


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", r"1 missing keys: model\.blocks\.1\.attn\.proj\.bias"),
        ("unexpected", r"1 unexpected keys: model\.blocks\.1\.attn\.gate"),
        ("shape", r"1 wrong shapes: model\.blocks\.1\.attn\.proj\.bias is \(3,\), expected \(64,\)"),
        ("video model inside", r"unexpected keys: wan_transformer\.model\.blocks\.0\.norm3\.weight"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused_with_its_keys(parts, policy, name, message):
    """Nothing is filled up and nothing is ignored."""
    torch.save(damaged(name), policy)
    with pytest.raises(BundleError, match=message):
        plan_import(sources(parts, policy), options())


@pytest.mark.parametrize(
    ("key", "message"), [("blocks.0.norm3.bias", "missing keys"), ("blocks.2.extra.bias", "unexpected keys")]
)
def test_a_video_model_that_does_not_fit_is_refused(parts, tmp_path, key, message):
    """A lost or foreign weight of the video model is named."""
    state = weights("wan_dit")
    if message.startswith("missing"):
        state.pop(key)
    else:
        state[key] = torch.ones(1)
    torch.save(state, tmp_path / "dit.pt")
    with pytest.raises(BundleError, match=message):
        plan_import(sources(parts, None, transformer=(tmp_path / "dit.pt",)), options())


class Code:
    """Leaves a file behind when a pickle of it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("part", ["policy", "transformer", "vae"])
def test_a_pickle_with_code_is_refused_and_not_run(parts, policy, tmp_path, part):
    """A checkpoint is data; what wants to run is refused."""
    path = tmp_path / "evil.pt"
    torch.save({"module": {"model.x_pos_embed": torch.ones(1)}, "more": Code(tmp_path / "ran")}, path)
    change = {part: (path,) if part == "transformer" else path}
    with pytest.raises(BundleError, match=r"would run code when opened.*safetensors"):
        plan_import(sources(parts, change.pop("policy", policy), **change), options())
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_truncated_checkpoint_is_refused(parts, tmp_path, suffix):
    """Half a file is named before anything is written."""
    path = tmp_path / f"policy{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(policy_state(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BundleError, match=rf"policy\{suffix} cannot be read, it is truncated"):
        plan_import(sources(parts, path), options())


def test_nan_weights_are_refused_and_leave_nothing(parts, video_model, policy, tmp_path):
    """A diverged checkpoint never becomes a bundle."""
    state = policy_state()
    state["model.blocks.0.attn.proj.weight"][3, 4] = float("nan")
    torch.save(state, policy)
    with pytest.raises(BundleError, match=r"NaN or infinite weights in model\.blocks\.0\.attn\.proj\.weight"):
        import_policy(parts, video_model, policy, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [policy.name]


@pytest.mark.parametrize("part", ["policy", "siglip", "transformer", "vae", "config"])
def test_a_path_that_does_not_exist_is_named(parts, policy, tmp_path, part):
    """Each input that is not there is one message with its path."""
    path = tmp_path / "nowhere"
    change = {part: (path,) if part == "transformer" else path}
    with pytest.raises(BundleError, match="nowhere"):
        plan_import(sources(parts, change.pop("policy", policy), **change), options())


def test_an_interrupted_import_leaves_nothing(parts, imported, policy, tmp_path):
    """A stop while writing leaves neither a bundle nor scraps, and an older import stays."""
    out = import_policy(parts, imported, policy, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}

    def interrupt(text, size):
        if "self-test" in text:
            raise KeyboardInterrupt

    alone = {"transformer": (), "vae": None, "system2": imported / "system2"}
    plan = plan_import(sources(parts, policy, **alone), options())
    for folder in (out, tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt):
            plan.write(folder, interrupt, replace_existing=True)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", policy.name]


def test_an_earlier_import_is_not_overwritten_unasked(parts, imported, policy, tmp_path):
    """An existing folder is kept unless --replace is given."""
    alone = {"transformer": (), "vae": None, "system2": imported / "system2"}
    plan = plan_import(sources(parts, policy, **alone), options())
    (tmp_path / "out").mkdir()
    with pytest.raises(BundleError, match="exists"):
        plan.write(tmp_path / "out", lambda text, size: None)
    plan.write(tmp_path / "out", lambda text, size: None, replace_existing=True)


def test_another_robot_is_refused(parts, policy, robot_profile):
    """A policy of 14 joints cannot be bound to a robot with three."""
    with pytest.raises(BundleError, match=r"14 joints.*robot 'test' has 3"):
        plan_import(sources(parts, policy), options(profile=robot_profile))


@pytest.mark.parametrize(
    ("framepack", "message"),
    [
        ({"cache_concat_chunks": 2}, "cache_concat_chunks"),
        ({"raw_stream": {"latent_source": "motion_current"}}, "motion_current"),
        ({"raw_stream": {"extraction_method": "edges"}}, "edges"),
    ],
)
def test_a_yaml_that_cannot_be_followed_is_refused(tmp_path, framepack, message):
    """A setting that this package does not reproduce is no detail to pass over."""
    with pytest.raises(BundleError, match=message):
        read_settings(write_yaml(tmp_path / "config.yaml", **framepack), SETTINGS)


def test_a_single_stream_needs_the_size_of_its_latents(parts, tmp_path):
    """A size that only the YAML knows is not guessed."""
    save_file(policy_state("single"), tmp_path / "model.safetensors")
    with pytest.raises(BundleError, match=r"video_size.*--config"):
        plan_import(sources(parts, tmp_path), options())


def test_nothing_to_import_is_an_error():
    """The message says what may be given."""
    with pytest.raises(BundleError, match="--policy"):
        plan_import(ImportSources(), options())
