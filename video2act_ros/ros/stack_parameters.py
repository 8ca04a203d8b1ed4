"""What a stack's nodes read: the parameter file that everybody shares, and the one that the arguments make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from video2act_ros.core.config import ParameterValue
from video2act_ros.ros.deployment import Deployment
from video2act_ros.ros.environment import share_path
from video2act_ros.ros.launch_arguments import arguments_of, check_arguments
from video2act_ros.ros.stack import COMMAND, RECORDER, REPLAY_NODE, SYSTEM1, NodeSpec


def default_parameters() -> Path:
    """Return the parameter file that every node reads first."""
    return share_path() / "config" / "nodes.yaml"


def overrides(
    specs: tuple[NodeSpec, ...], given: Mapping[str, str], *, managed: bool = False
) -> dict[str, Any]:
    """Return the content of a ROS parameter file that gives each node what the launch arguments say.

    With `managed` every node that is a process of its own waits for its lifecycle manager. The command node
    inside System 1's process does not: its process brings it up.
    """
    check_arguments(specs, given)
    present = {spec.name for spec in (*specs, RECORDER)}
    content: dict[str, dict[str, dict[str, Any]]] = {}
    for argument in arguments_of(specs):
        if argument.name not in given:
            continue
        value = argument.value(given[argument.name])
        for node, parameter in argument.parameters:
            if node in present:
                _set(content, node, parameter, value)
    for node, parameter, value in _fixed_parameters(specs):
        _set(content, node, parameter, value)
    for spec in Deployment.of(specs, given).processes if managed else ():
        _set(content, spec.name, "autostart", False)
    return content


def _fixed_parameters(specs: tuple[NodeSpec, ...]) -> tuple[tuple[str, str, ParameterValue], ...]:
    """Return (node name, parameter, value) of what a stack sets whatever its user says.

    A replay runs on the bag's clock, and its command node, a process of its own, moves no arm.
    """
    if REPLAY_NODE not in specs:
        return ()
    clocks = ((spec.name, "use_sim_time", spec is not REPLAY_NODE) for spec in specs)
    return (*clocks, (COMMAND.name, "replay", True), (SYSTEM1.name, "control", "separate"))


class _QuotedStrings(yaml.SafeDumper):
    """Quotes every string: ROS takes y, 1e3 or nan for other types where YAML's own rules do not."""


_QuotedStrings.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def parameter_file(content: Mapping[str, Any]) -> str:
    """Return the text of a ROS parameter file, in which every string stays one."""
    return yaml.dump(content, Dumper=_QuotedStrings, allow_unicode=True, width=10_000)


def _set(content: dict[str, Any], node: str, parameter: str, value: ParameterValue) -> None:
    content.setdefault(f"/**/{node}", {"ros__parameters": {}})["ros__parameters"][parameter] = value
