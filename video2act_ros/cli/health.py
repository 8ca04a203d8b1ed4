"""The command `video2act health`: for health checks of containers and services. Loads no model library."""

from __future__ import annotations

from typing import Annotated

import typer

from video2act_ros.cli.output import console
from video2act_ros.ros import environment

NODES_VARIABLE = "VIDEO2ACT_NODES"
"""Environment variable with the names of the nodes that run here, for a container that runs a part of the stack."""

NAMESPACE_VARIABLE = "VIDEO2ACT_NAMESPACE"


def health_command(
    nodes: Annotated[
        list[str] | None,
        typer.Argument(
            envvar=NODES_VARIABLE, help="nodes that must be active; default: the three of a real robot"
        ),
    ] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", envvar=NAMESPACE_VARIABLE, help="namespace of the stack")
    ] = "",
    timeout: Annotated[float, typer.Option(min=0.1, help="how long to wait for answers [s]")] = 5.0,
) -> None:
    """Tell whether the nodes are active: exit status 0, or 1 and one line that says which are not."""
    environment.prepare(may_restart=True, shared_memory=False)
    from video2act_ros.nodes import health

    names = nodes or list(health.DEFAULT_NODES)
    health.check_nodes(names, namespace, timeout)
    console.print(f"active: {', '.join(names)}")
