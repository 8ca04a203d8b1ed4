"""What `ros2 launch` does before it starts a stack: refuse what cannot work, write what the nodes will read."""

from __future__ import annotations

import difflib
import os
import subprocess
import tempfile
from pathlib import Path

import launch.logging
from ament_index_python.packages import get_package_prefix
from launch.action import Action
from launch.actions import IncludeLaunchDescription
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch_ros.utilities import get_node_name_count, make_namespace_absolute, prefix_namespace

from launch import LaunchContext
from video2act_ros.core.errors import ConfigurationError, unknown_choice
from video2act_ros.core.safe_source import MOCK_IMAGES_WORDS, SAFE_SOURCE_WORDS
from video2act_ros.ros.deployment import Deployment
from video2act_ros.ros.launch_arguments import arguments_of, check_arguments, check_new_bag
from video2act_ros.ros.launch_events import StackProgress
from video2act_ros.ros.node_names import check_names
from video2act_ros.ros.stack import LAUNCH_FILES, PACKAGE, SAFE_SOURCE, NodeSpec
from video2act_ros.ros.stack_parameters import default_parameters, overrides, parameter_file

PARAMETER_FILES = ("_video2act_defaults", "_video2act_params_file", "_video2act_arguments")
"""Launch configurations with the parameter files of every node, the last one wins."""

_LAUNCH_OWN = ("launch-prefix", "launch-prefix-filter", "emulate_tty", "sigterm_timeout", "sigkill_timeout")
"""Names that launch itself reads."""


class PrepareStack(Action):
    """Stands first in a stack's description: nothing has started while it runs.

    It raises a Video2ActError for an unknown argument, a value that cannot be used and a node that runs
    already; launch then ends with status 1. After it the files of PARAMETER_FILES exist.
    """

    def __init__(self, specs: tuple[NodeSpec, ...], progress: StackProgress) -> None:
        super().__init__()
        self._specs = specs
        self._progress = progress

    def execute(self, context: LaunchContext) -> None:
        """Check, then write."""
        known = [argument.name for argument in arguments_of(self._specs)]
        refuse_unknown_arguments(context, known)
        given = {
            name: context.launch_configurations[name]
            for name in known
            if name in context.launch_configurations
        }
        check_arguments(self._specs, given)
        check_new_bag(given)
        check_values(self._specs, given)
        namespace = _namespace(context, given.get("namespace", ""))
        deployment = Deployment.of(self._specs, given | {"namespace": namespace})
        for name in deployment.full_names:
            if get_node_name_count(context, name):
                raise ConfigurationError(
                    f"this launch starts node {name} twice; include each stack in a namespace of its own "
                    "(namespace:=NAME)"
                )
        check_names(deployment.full_names, os.environ)
        self._progress.begin(deployment)
        if SAFE_SOURCE in self._specs:
            self._progress.log.info(MOCK_IMAGES_WORDS if given.get("system1_bundle") else SAFE_SOURCE_WORDS)
        self._write(context, given)

    def _write(self, context: LaunchContext, given: dict[str, str]) -> None:
        text = parameter_file(overrides(self._specs, given, managed=True))
        folder = launch.logging.launch_config.log_dir
        with tempfile.NamedTemporaryFile(
            "w", prefix="parameters_", suffix=".yaml", dir=folder, delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        defaults = default_parameters()
        own = given.get("params_file", "")
        files = (defaults, Path(own).expanduser() if own else defaults, Path(file.name))
        for name, path in zip(PARAMETER_FILES, files, strict=True):
            context.launch_configurations[name] = str(path)


def check_values(specs: tuple[NodeSpec, ...], given: dict[str, str]) -> None:
    """Let the nodes' own Python judge the values of launch arguments (`video2act check-arguments`).

    Launch itself runs in the system's Python, which does not see the virtual environment with their libraries.

    Raises:
        ConfigurationError: one cannot be used; the check's own words.
    """
    program = Path(get_package_prefix(PACKAGE), "lib", PACKAGE, "video2act")
    stack = next(name for name, nodes in LAUNCH_FILES.items() if nodes == specs)
    arguments = [f"{name}:={value}" for name, value in given.items()]
    done = subprocess.run(
        [program, "check-arguments", stack, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConfigurationError(done.stderr.strip().removeprefix("error: ") or f"{program} failed")


def _namespace(context: LaunchContext, namespace: str) -> str:
    """Return the absolute namespace, that of enclosing groups included; the root one is empty."""
    base = context.launch_configurations.get("ros_namespace", None)
    return (make_namespace_absolute(prefix_namespace(base, namespace)) or "").rstrip("/")


def refuse_unknown_arguments(context: LaunchContext, known: list[str]) -> None:
    """Refuse names on the command line of `ros2 launch` that the launched file does not take.

    Where another launch file includes this one, the command line is that one's and is not judged.

    Raises:
        ConfigurationError: names the closest of the known ones, or all.
    """
    if not _is_launched_itself(context):
        return
    for text in context.argv:
        name = text.split(":=")[0]
        if name in known or name in _LAUNCH_OWN:
            continue
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}:=…? " if close else ""
        raise ConfigurationError(f"{hint}{unknown_choice('launch argument', name, known)}")


def _is_launched_itself(context: LaunchContext) -> bool:
    """Return whether the file that is being visited is the one named on the command line."""
    values = context.get_locals_as_dict()
    root = getattr(values.get("event"), "launch_description", None)
    here = values.get("current_launch_file_path")
    if root is None or here is None:
        return False
    return any(
        isinstance(entity, IncludeLaunchDescription)
        and os.path.abspath(_location(entity, context)) == os.path.abspath(here)
        for entity in root.entities
    )


def _location(entity: IncludeLaunchDescription, context: LaunchContext) -> str:
    location = normalize_to_list_of_substitutions(entity.launch_description_source.location)
    return perform_substitutions(context, location)
