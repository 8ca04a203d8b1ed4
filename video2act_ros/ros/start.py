"""How every process of this package starts ROS."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.context import Context

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.ros.log_folder import log_folder_problem

_CONSOLE_ONLY = ("--ros-args", "--disable-external-lib-logs")
_LAST_DOMAIN = 232


def start_ros(context: Context | None = None, args: Sequence[str] | None = None, **options: Any) -> None:
    """Initialise ROS, whether or not log files can be written: without them it logs to the console alone.

    Args:
        context: what to initialise; None: the process's own.
        args: the command line; None: this process's.
        options: of `rclpy.init`.

    Raises:
        ConfigurationError: ROS cannot start here; in one line.
    """
    _check_domain(os.environ.get("ROS_DOMAIN_ID") or "0")
    problem = log_folder_problem()
    arguments = [*(sys.argv if args is None else args), *(_CONSOLE_ONLY if problem else ())]
    with refusals_in_one_line():
        rclpy.init(context=context, args=arguments, **options)
    if problem:
        rclpy.logging.get_logger("video2act").warning(f"{problem}; logs go to the console only")


@contextmanager
def refusals_in_one_line() -> Iterator[None]:
    """Turn what ROS raises where it cannot start, or make its first node, into a ConfigurationError."""
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith("rclpy."):  # not of its C part: somebody's mistake
            raise
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"ROS cannot start here: {reason}; `video2act doctor` looks for the cause"
        ) from error


def _check_domain(text: str) -> None:
    """Raise ConfigurationError for a domain that there is not: the middleware would end the process without a word."""
    if not text.isdecimal() or int(text) > _LAST_DOMAIN:
        raise ConfigurationError(f"ROS_DOMAIN_ID is '{text}'; export a number from 0 to 101")
