"""`video2act replay`: a bag computed again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from video2act_ros.cli_replay_exact import ExactArguments, exact_replay
from video2act_ros.core.errors import ConfigurationError


def replay_command(
    bag: Annotated[Path, typer.Argument(help="a bag's folder, or an .mcap file")],
    exact: Annotated[
        bool, typer.Option("--exact", help="compute every chunk and latent again, offline")
    ] = False,
    report: Annotated[Path | None, typer.Option("--json", help="where the report of --exact goes")] = None,
    system1_bundle: Annotated[
        str, typer.Option(help="System 1's bundle, where it is not under models/")
    ] = "",
    system2_bundle: Annotated[
        str, typer.Option(help="System 2's bundle, where it is not under models/")
    ] = "",
    robot: Annotated[str, typer.Option(help="robot profile of the recorded robot")] = "aloha_sim",
    namespace: Annotated[
        str, typer.Option(help="of the recorded stack; found by itself where it is the only one")
    ] = "",
    threads: Annotated[
        int | None, typer.Option(min=0, help="CPU threads of both systems; as recorded, else 1, by default")
    ] = None,
    partial: Annotated[bool, typer.Option(help="take a bag whose clock jumped nevertheless")] = False,
) -> None:
    """Replay a bag; with --exact compare every chunk and latent bit by bit with what this machine computes."""
    if not exact:
        raise ConfigurationError("say how to replay: --exact computes the bag again")
    arguments = ExactArguments(robot, namespace, system1_bundle, system2_bundle, threads, partial)
    raise typer.Exit(exact_replay(bag, report, arguments))
