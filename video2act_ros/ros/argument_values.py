"""Whether the values of launch arguments can be used, found out before anything is started."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from video2act_ros.bundles.manifest import check_robot, read_manifest
from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.instructions import choose_instruction
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.core.yaml_source import Mistake, YamlSource
from video2act_ros.ros.deployment import idle_specs
from video2act_ros.ros.environment import ALL, resolve_bundle, resolve_profile
from video2act_ros.ros.launch_arguments import arguments_of
from video2act_ros.ros.stack import MOCK, RECORDER, REPLAY, SIM, SYSTEM1, SYSTEM2, NodeSpec, machines

_NAMESPACE = re.compile(r"/?([A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*)?/?")


def check_values(specs: tuple[NodeSpec, ...], given: Mapping[str, str]) -> None:
    """Check the value of every argument of a stack, its default where none is given.

    Numbers, the namespace, the parameter file, the robot's profile, the bag, and of those systems that
    this machine runs the bundles: that they exist, fit the robot and know the instruction.

    Raises:
        Video2ActError: one cannot be used; names it and the remedy.
    """
    values = {}
    for argument in arguments_of(specs):
        values[argument.name] = given.get(argument.name, argument.default)
        argument.value(values[argument.name])
    _check_namespace(values["namespace"])
    if values["params_file"]:
        _check_parameter_file(Path(values["params_file"]).expanduser())
    if "bag" in values:
        _check_bag(values["bag"])
    profile = load_robot_profile(resolve_profile(values["robot"]))
    idle = idle_specs(specs, values.get("system1_bundle", ""))
    for spec in (SYSTEM1, SYSTEM2):
        if spec in specs and spec not in idle and values.get("machine", ALL) in machines(spec):
            manifest = read_manifest(resolve_bundle(values[f"{spec.name}_bundle"]))
            if spec is SYSTEM1:
                check_robot(manifest.model_copy(update={"system2": None}), profile)
            choose_instruction(manifest.instructions, values["instruction"])


def _check_namespace(text: str) -> None:
    if not _NAMESPACE.fullmatch(text):
        raise ConfigurationError(
            f"namespace '{text}' is no ROS name; use letters, digits and _, not a digit first, parts joined by /"
        )


def _check_parameter_file(path: Path) -> None:
    if not path.is_file():
        raise ConfigurationError(f"params_file '{path}' is no file; give the path of a ROS parameter file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"params_file '{path}' cannot be read: {error}") from error
    source = YamlSource.read(path)
    if mistakes := [item for item in source.mistakes if _ours(item)]:
        raise ConfigurationError(
            "\n  ".join((f"params_file '{path}' has mistakes:", *source.describe(mistakes)))
        )
    sections = content.values() if isinstance(content, dict) else ()
    if not sections or not all(isinstance(section, dict) for section in sections):
        raise ConfigurationError(
            f"params_file '{path}' is no ROS parameter file; write a node's name, as in '/**/system2:', "
            "below it 'ros__parameters:', below that the parameters"
        )


def _ours(mistake: Mistake) -> bool:
    """Return whether a mistake in a parameter file concerns a node of ours; others may mean what they write."""
    node = str(mistake.location[0]).rpartition("/")[2] if mistake.location else "**"
    return node in ("*", "**", *(spec.name for spec in (*SIM, *MOCK, *REPLAY, RECORDER)))


def _check_bag(text: str) -> None:
    if not text:
        raise ConfigurationError("no bag to replay; give one with bag:=FOLDER")
    if not Path(text).expanduser().exists():
        raise ConfigurationError(f"bag '{text}' does not exist; give a bag's folder, or a bare .mcap file")
