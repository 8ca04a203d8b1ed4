"""How every process of this package starts ROS."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import rclpy
from rclpy.context import Context

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.ros.log_folder import log_folder_problem

_CONSOLE_ONLY = ("--ros-args", "--disable-external-lib-logs")


def start_ros(context: Context | None = None, args: Sequence[str] | None = None, **options: Any) -> None:
    """Initialise ROS, whether or not log files can be written: without them it logs to the console alone.

    Args:
        context: what to initialise; None: the process's own.
        args: the command line; None: this process's.
        options: of `rclpy.init`.

    Raises:
        ConfigurationError: ROS cannot start here; in one line.
    """
    problem = log_folder_problem()
    arguments = [*(sys.argv if args is None else args), *(_CONSOLE_ONLY if problem else ())]
    try:
        rclpy.init(context=context, args=arguments, **options)
    except (RuntimeError, ValueError) as error:  # rclpy's own errors are RuntimeErrors
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"ROS cannot start: {reason}; `video2act doctor` looks for the cause"
        ) from error
    if problem:
        rclpy.logging.get_logger("video2act").warning(f"{problem}; logs go to the console only")
