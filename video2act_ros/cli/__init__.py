"""The `video2act` command: one module for each command, or for a few that belong together.

Heavy libraries are imported by the command that needs them, so that `--help` and errors come at once. What an
operator asks of a running stack comes before whatever else keeps the machine busy, from the first import on.
"""

import sys

from video2act_ros.core.priority import run_at_once

URGENT = frozenset({"engage", "disengage", "move-to-start", "estop", "instruct", "reset"})
"""Commands to a running stack: short, and somebody waits for them."""

URGENT_PRIORITY = 20
"""SCHED_FIFO priority, where permitted; below every thread of the command process."""

if URGENT.intersection(sys.argv[1:2]):
    run_at_once(URGENT_PRIORITY, inherited=True)

from video2act_ros.cli.commands import app, main  # noqa: E402

__all__ = ["app", "main"]
