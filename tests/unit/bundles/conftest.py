"""Imports that several tests look at: made once."""

import pytest
import torch

from video2act_ros.bundles.import_official import plan_import
from video2act_ros.bundles.load import load_encoder

from .released import (
    do_import,
    loadable_encoder,
    options,
    policy_state,
    sources,
    weights,
    write_siglip,
    write_video_model,
    write_yaml,
)


@pytest.fixture(scope="session")
def parts(tmp_path_factory):
    """A folder with a SigLIP tower and the video model."""
    folder = tmp_path_factory.mktemp("released")
    write_siglip(folder / "siglip")
    write_video_model(folder / "video")
    return folder


@pytest.fixture
def policy(tmp_path):
    """A direct policy as a bare state dict."""
    path = tmp_path / "pytorch_model.bin"
    torch.save(policy_state(), path)
    return path


@pytest.fixture(scope="session")
def imported(parts, tmp_path_factory):
    """Both bundles of a direct policy whose checkpoint carries low-rank updates of the video model."""
    folder = tmp_path_factory.mktemp("imported")
    lora = weights("wan_lora")
    torch.save({"module": {**policy_state(), **lora}}, folder / "mp_rank_00_model_states.pt")
    changes = {
        "train_lora": {"enabled": True, "rank": 4, "alpha": 8.0},
        "motion_stream": {"extraction_method": "fft", "freq_low": 1.0, "freq_high": 6.0},
    }
    config = write_yaml(folder / "config.yaml", **changes)
    return do_import(parts, folder, folder / "bundles", config=config)


@pytest.fixture(scope="session")
def video_model(parts, tmp_path_factory):
    """The folder of an import of the video model alone, with an instruction."""
    out = tmp_path_factory.mktemp("video") / "out"
    plan_import(sources(parts, None, siglip=None), options()).write(out, lambda text, size: None)
    loadable_encoder(out)
    return out


@pytest.fixture(scope="session")
def encoder(video_model):
    """Its loaded video model."""
    return load_encoder(video_model / "system2", "cpu").encoder
