"""The command `video2act check-arguments`: what launch asks the nodes' own Python before it starts them."""

from __future__ import annotations

from typing import Annotated

import typer

from video2act_ros.core.errors import ConfigurationError, unknown_choice


def check_arguments_command(
    stack: Annotated[str, typer.Argument(help="real_robot, sim, mock or replay")],
    arguments: Annotated[list[str] | None, typer.Argument(help="NAME:=VALUE, as for ros2 launch")] = None,
) -> None:
    """Tell whether a stack could be started with these arguments; one line and exit status 1 if not."""
    from video2act_ros.ros.argument_values import check_values
    from video2act_ros.ros.launch_arguments import check_arguments, check_new_bag
    from video2act_ros.ros.stack import LAUNCH_FILES

    if stack not in LAUNCH_FILES:
        raise ConfigurationError(unknown_choice("stack", stack, LAUNCH_FILES))
    specs = LAUNCH_FILES[stack]
    given = {}
    for text in arguments or []:
        name, separator, value = text.partition(":=")
        if not separator:
            raise ConfigurationError(f"'{text}' is no launch argument; write NAME:=VALUE")
        given[name] = value
    check_arguments(specs, given)
    check_new_bag(given)
    check_values(specs, given)
