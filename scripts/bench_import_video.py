"""Measure `video2act import` of the video model at the released width: time and peak anonymous memory.

Random weights under the original keys and shapes, which come from the key lists of the tests; only the number of
blocks is chosen, the rest is the released size. Ten blocks need about 15 GB of free disk.
Usage: python scripts/bench_import_video.py [--blocks N] [--folder DIR] [--report FILE]
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Annotated

import torch
import typer
import yaml
from bench_import import console, measure, random_weights
from safetensors.torch import save_file
from torch import Tensor

from video2act_ros.core.whole_files import write_json

KEYS = Path(__file__).parents[1] / "tests" / "golden" / "keys"
BLOCKS_PER_FILE = 3


def synthesise(folder: Path, blocks: int) -> int:
    """Write transformer, VAE and YAML; return the bytes of the weights."""
    torch.manual_seed(0)
    (folder / "dit").mkdir()
    pieces: dict[int, dict[str, Tensor]] = {}
    for key, (shape, _) in json.loads((KEYS / "wan22_ti2v_5b_dit.json").read_text()).items():
        block = re.match(r"blocks\.(\d+)\.", key)
        if block is None or int(block[1]) < blocks:
            piece = 0 if block is None else 1 + int(block[1]) // BLOCKS_PER_FILE
            pieces.setdefault(piece, {})[key] = random_weights(tuple(shape))
    for piece, tensors in pieces.items():
        save_file(tensors, folder / "dit" / f"part-{piece}.safetensors")
    keys = json.loads((KEYS / "wan22_vae38.json").read_text())
    torch.save(
        {key: random_weights(tuple(shape)).float() for key, (shape, _) in keys.items()}, folder / "vae.pth"
    )
    settings = {"framepack": {"feature_extraction_layers": blocks - 1, "latent_num_frames": 16}}
    (folder / "model.yaml").write_text(yaml.safe_dump(settings))
    return sum(path.stat().st_size for path in (*(folder / "dit").iterdir(), folder / "vae.pth"))


def main(
    blocks: Annotated[int, typer.Option(min=2, help="of the video model; the released one has 30")] = 10,
    folder: Annotated[Path, typer.Option(help="where the files go; removed afterwards")] = Path(
        "out/bench_import_video"
    ),
    report: Annotated[Path | None, typer.Option(help="write the figures as JSON")] = None,
) -> None:
    """Make the checkpoints, import them without a policy, print the figures."""
    folder.mkdir(parents=True)
    try:
        size = synthesise(folder, blocks)
        options = ("--dit", folder / "dit", "--vae", folder / "vae.pth", "--config", folder / "model.yaml")
        figures = measure(folder, options, "system2")
    finally:
        shutil.rmtree(folder)
    content = {"checkpoint_bytes": size, "blocks": blocks, "threads": torch.get_num_threads(), **figures}
    content["peak_to_checkpoint"] = figures["peak_anonymous_bytes"] / size
    console.print_json(data=content)
    if report is not None:
        write_json(report, content)


if __name__ == "__main__":
    typer.run(main)
