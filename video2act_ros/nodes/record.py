"""`video2act record`: the recorder in this process, with parameters from a command line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from video2act_ros.core.config import ParameterValue, RecorderConfig
from video2act_ros.nodes.recorder_node import NICENESS, RecorderNode
from video2act_ros.ros.process import run_node


def run_recorder(parameters: Mapping[str, ParameterValue], namespace: str) -> int:
    """Run the recorder until SIGINT or SIGTERM; return the exit status.

    Raises:
        ConfigurationError: a parameter is outside its range or choices.
    """
    RecorderConfig(**parameters)  # type: ignore[arg-type]
    os.nice(NICENESS)
    arguments = ["--ros-args"]
    for name, value in parameters.items():
        arguments += ["-p", f"{name}:={json.dumps(value)}"]
    if name := namespace.strip("/"):
        arguments += ["-r", f"__ns:=/{name}"]
    return run_node(RecorderNode, args=arguments)
