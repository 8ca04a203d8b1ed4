"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEVELOPMENT_SEED = 800_000  # from here to 899999: neither trained on nor held out

BundleOption = Annotated[str, typer.Option("--bundle", help="a bundle's folder, or a name under models/")]
RobotOption = Annotated[str, typer.Option("--robot", help="a profile's file, or a name under config/robots/")]
NamespaceOption = Annotated[str, typer.Option("--namespace", help="namespace of every node and topic")]
ParamsFileOption = Annotated[str, typer.Option("--params-file", help="YAML file of node parameters")]

TaskOption = Annotated[str, typer.Option("--task", help="lift or transfer")]
EpisodesOption = Annotated[int, typer.Option("--episodes", min=1, help="how many")]
EpisodeSeedOption = Annotated[int, typer.Option("--seed", help="episode i uses seed SEED + i")]
SceneSeedOption = Annotated[int, typer.Option("--seed", help="seed of the scene")]

BagArgument = Annotated[Path, typer.Argument(help="a bag's folder, or an .mcap file")]
RecordedRobotOption = Annotated[str, typer.Option("--robot", help="robot profile of the recorded robot")]
RecordedNamespaceOption = Annotated[
    str, typer.Option("--namespace", help="of the recorded stack; found where there is only one")
]
StrictOption = Annotated[
    bool,
    typer.Option("--strict", help="refuse a bag with messages that cannot be used, instead of skipping them"),
]
ImagesOption = Annotated[str, typer.Option("--images", help="raw: as they come; jpeg: on <topic>/compressed")]
QualityOption = Annotated[int, typer.Option("--jpeg-quality", help="quality of JPEG images")]
