"""The commands that bring in what others trained: `video2act import` and `video2act encode-instruction`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from video2act_ros.cli.output import console
from video2act_ros.core.errors import BundleError, unknown_choice
from video2act_ros.ros import environment

if TYPE_CHECKING:
    from video2act_ros.bundles.import_official import ImportPlan
    from video2act_ros.bundles.released_settings import ReleasedSettings

DTYPES = ("keep", "float32", "bfloat16")

Paths = list[Path] | None  # typer reads it at run time, which Python 3.10 can
Policy = Annotated[Path | None, typer.Option(help="policy checkpoint: a file, or training's folder")]
Siglip = Annotated[Path | None, typer.Option(help="folder of the SigLIP tower, as transformers saves it")]
Dit = Annotated[Paths, typer.Option(help="Wan2.2 video model: files or a folder; repeatable")]
System2 = Annotated[str, typer.Option(help="bundle whose features the policy uses, instead of --dit")]
Instruction = Annotated[list[str] | None, typer.Option(help="text; repeatable, in the files' order")]
T5 = Annotated[Paths, typer.Option(help="T5 embedding of an instruction; repeatable")]
Umt5 = Annotated[Paths, typer.Option(help="UMT5 embedding of an instruction; repeatable")]
Cameras = Annotated[str, typer.Option(help="the policy's cameras in its order, with commas")]
Robot = Annotated[str, typer.Option(help="robot profile that gives the joints' names")]
VideoBlind = Annotated[
    bool, typer.Option("--allow-video-blind", help="import a policy that ignores the video")
]


def import_command(
    out: Annotated[Path, typer.Argument(help="folder for the bundles system1 and system2")],
    policy: Policy = None,
    siglip: Siglip = None,
    dit: Dit = None,
    vae: Annotated[Path | None, typer.Option(help="Wan2.2_VAE.pth")] = None,
    config: Annotated[Path | None, typer.Option(help="the policy's YAML file")] = None,
    system2: System2 = "",
    ema: Annotated[bool, typer.Option("--ema", help="take the policy's moving average")] = False,
    instruction: Instruction = None,
    t5: T5 = None,
    umt5: Umt5 = None,
    cameras: Cameras = "",
    robot: Robot = "agilex_cobot_magic",
    dtype: Annotated[str, typer.Option(help="keep, float32 or bfloat16")] = "keep",
    shard_mb: Annotated[int, typer.Option(min=1, help="size of a weight file [MB]")] = 512,
    allow_video_blind: VideoBlind = False,
    replace_existing: Annotated[bool, typer.Option("--replace", help="replace an earlier import")] = False,
) -> None:
    """Turn released checkpoints into bundles, checked strictly, without running code from them."""
    from video2act_ros.bundles.import_official import ImportOptions, ImportSources, plan_import
    from video2act_ros.bundles.instructions import pair_instructions, read_language, read_video_text
    from video2act_ros.core.robot_profile import load_robot_profile

    if dtype not in DTYPES:
        raise BundleError(unknown_choice("dtype", dtype, DTYPES))
    texts = pair_instructions(
        instruction or [],
        [read_language(path) for path in t5 or []],
        [read_video_text(path) for path in umt5 or []],
        {1: policy is not None, 2: bool(dit)},
    )
    features = environment.resolve_bundle(system2) if system2 else None
    sources = ImportSources(policy, siglip, tuple(dit or ()), vae, config, features, ema)
    options = ImportOptions(
        profile=load_robot_profile(environment.resolve_profile(robot)),
        settings=_settings(cameras),
        instructions=texts,
        dtype=dtype,  # type: ignore[arg-type]  # checked above
        allow_video_blind=allow_video_blind,
        shard_bytes=shard_mb << 20,
    )
    _write(plan_import(sources, options), out, replace_existing)
    if not texts:
        console.print(
            "no instruction yet: add one with `video2act encode-instruction` before you use the bundles"
        )


def _settings(cameras: str) -> ReleasedSettings:
    """Return the released settings, with other cameras where some are named."""
    from video2act_ros.bundles.released_settings import ReleasedSettings

    settings = ReleasedSettings()
    names = tuple(name.strip() for name in cameras.split(","))
    return replace(settings, cameras=names) if cameras else settings


def _write(plan: ImportPlan, out: Path, replace_existing: bool) -> None:
    """Tell what was found, and write the bundles with a bar."""
    for note in plan.notes:
        console.print(f"[dim]{note}[/]", highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("opening", total=plan.size_bytes)
        done = plan.write(
            out, lambda text, size: bar.update(task, description=text, advance=size), replace_existing
        )
    for bundle in (done.system1, done.system2):
        if bundle is not None:
            console.print(f"bundle {bundle}", highlight=False)


def encode_instruction_command(
    text: Annotated[str, typer.Argument(help="the instruction")],
    bundle: Annotated[list[str], typer.Option(help="bundle to add it to; repeatable")],
    t5: Annotated[Path | None, typer.Option(help="folder of the T5 encoder, or an embedding's file")] = None,
    umt5: Annotated[
        Path | None, typer.Option(help="folder of the UMT5 encoder, or an embedding's file")
    ] = None,
) -> None:
    """Embed an instruction with text encoders on this machine (or take its files) and add it to bundles."""
    from video2act_ros.bundles.instructions import add_instruction

    for name in bundle:
        folder = environment.resolve_bundle(name)
        with console.status(f"embedding for {folder}"):
            manifest = add_instruction(folder, text, t5, umt5)
        console.print(f"{folder} knows: {'; '.join(manifest.instructions)}", highlight=False)
