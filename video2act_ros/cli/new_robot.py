"""The command `video2act new-robot`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from video2act_ros.cli.output import console
from video2act_ros.core.errors import ConfigurationError


def new_robot_command(
    urdf: Annotated[Path, typer.Argument(help="the robot's URDF (expand a xacro file first)")],
    output: Annotated[Path, typer.Option(help="file of the new profile")],
    topics: Annotated[
        Path | None, typer.Option(help="file with the output of `ros2 topic list -t`; - reads it from a pipe")
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="one more topic, /name:package/msg/Type; may be repeated")
    ] = None,
    name: Annotated[str, typer.Option(help="of the robot; empty: the URDF's")] = "",
    joints: Annotated[str, typer.Option(help="joints in the policy's order, a,b,c; empty: the URDF's")] = "",
) -> None:
    """Draft a robot profile from a URDF and the topics of the running drivers and cameras."""
    from video2act_ros.core.robot_draft import draft_profile
    from video2act_ros.core.robot_profile import profile_from
    from video2act_ros.core.topic_list import parse_topics
    from video2act_ros.core.urdf import read_urdf
    from video2act_ros.core.whole_files import write_whole
    from video2act_ros.core.yaml_source import YamlSource

    if output.exists():
        raise ConfigurationError(f"{output} exists; give another --output, or move that file away first")
    if output.suffix not in (".yaml", ".yml"):
        raise ConfigurationError(f"--output {output} must end in .yaml, or robot:= would take it for a name")
    listed = parse_topics([*_lines(topics), *(topic or ())])
    chosen = tuple(part.strip() for part in joints.split(",") if part.strip())
    text = draft_profile(read_urdf(urdf), urdf.name, listed, name, chosen)
    profile = profile_from(YamlSource.parse(output, text))
    write_whole(output, text)
    grippers = sum(joint.gripper for joint in profile.joints)
    console.print(
        f"{output}: {len(profile.joints)} joints ({grippers} grippers), cameras {', '.join(profile.camera_names)}, "
        f"{len(profile.commands)} command topics; {text.count('check')} remarks to check",
        highlight=False,
    )
    console.print(
        f"next: video2act doctor --robot {output}; video2act run mock --robot {output}", highlight=False
    )


def _lines(topics: Path | None) -> list[str]:
    """Return the lines of the topic list; none without one."""
    if topics is None:
        return []
    if str(topics) == "-":
        return sys.stdin.read().splitlines()
    if not topics.is_file():
        raise ConfigurationError(f"no topic list at {topics}; write one: ros2 topic list -t > {topics}")
    return topics.read_text(encoding="utf-8", errors="replace").splitlines()
