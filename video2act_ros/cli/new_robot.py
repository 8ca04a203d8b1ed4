"""The command `video2act new-robot`."""

from __future__ import annotations

import shlex
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from video2act_ros.cli.output import print_line
from video2act_ros.core.errors import ConfigurationError

if TYPE_CHECKING:
    from video2act_ros.core.yaml_source import Mistake, YamlSource


def new_robot_command(
    urdf: Annotated[Path, typer.Argument(help="the robot's URDF (expand a xacro file first)")],
    output: Annotated[Path, typer.Option(help="file of the new profile")],
    topics: Annotated[
        Path | None,
        typer.Option(
            help="file with the output of `ros2 topic list -v`; - reads it from a pipe; none: the usual names"
        ),
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="one more topic, /name:package/msg/Type; may be repeated")
    ] = None,
    name: Annotated[str, typer.Option(help="of the robot; empty: the URDF's")] = "",
    joints: Annotated[str, typer.Option(help="joints in the policy's order, a,b,c; empty: the URDF's")] = "",
) -> None:
    """Draft a robot profile from a URDF and the topics of the running drivers and cameras."""
    from video2act_ros.core.robot_draft import draft_profile
    from video2act_ros.core.robot_profile import ProfileError, profile_mistakes
    from video2act_ros.core.topic_list import parse_topics
    from video2act_ros.core.urdf import read_urdf
    from video2act_ros.core.whole_files import write_whole
    from video2act_ros.core.yaml_source import YamlSource

    if output.exists():
        raise ConfigurationError(f"{output} exists; give another --output, or move that file away first")
    if output.suffix not in (".yaml", ".yml"):
        raise ConfigurationError(f"--output {output} must end in .yaml, or robot:= would take it for a name")
    given = topics is not None or bool(topic)
    listed = parse_topics([*_lines(topics), *(topic or ())]) if given else ()
    chosen = tuple(part.strip() for part in joints.split(",") if part.strip())
    text = draft_profile(read_urdf(urdf), urdf.name, listed, name, chosen)
    source = YamlSource.parse(output, text)
    mistakes = profile_mistakes(source)
    if wrong := [item for item in mistakes if not item.location or source.value(item.location) is not None]:
        raise ProfileError.of(output, source.describe(wrong))
    write_whole(output, text)
    _tell(output, source, mistakes, named=bool(chosen))


def _tell(output: Path, source: YamlSource, empty: tuple[Mistake, ...], *, named: bool) -> None:
    """Print what was drafted, what is to be filled in, and what to do next."""
    from video2act_ros.core.robot_draft import MANY_JOINTS

    names = [str(joint["name"]) for joint in source.content["joints"]]
    cameras = ", ".join(str(camera["name"]) for camera in source.content["cameras"])
    print_line(
        f"{output}: {len(names)} joints, cameras {cameras}, {len(source.content['commands'])} command topics"
    )
    lines: dict[str, list[int]] = defaultdict(list)
    for item in empty:
        lines[str(item.location[-1])].append(source.line(item.location))
    for key, where in lines.items():
        print_line(f"fill in: {key} in line {', '.join(str(line) for line in sorted(set(where)))}")
    if len(names) > MANY_JOINTS and not named:
        print_line(
            f"{len(names)} joints are more than most policies drive; draft it again with those of yours, in its order: "
            f"--joints {shlex.quote(','.join(names))}"
        )
    path = shlex.quote(str(output))
    print_line("then look for the lines marked check, and go on with:")
    print_line(f"video2act doctor --robot {path}")
    print_line(f"video2act run mock --robot {path}")


def _lines(topics: Path | None) -> list[str]:
    """Return the lines of the topic list; none without one."""
    if topics is None:
        return []
    if str(topics) == "-":
        return sys.stdin.read().splitlines()
    if not topics.is_file():
        path = shlex.quote(str(topics))
        raise ConfigurationError(f"no topic list at {topics}; write one: ros2 topic list -v > {path}")
    return topics.read_text(encoding="utf-8", errors="replace").splitlines()
