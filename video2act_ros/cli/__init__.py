"""The `video2act` command: one module for each command, or for a few that belong together.

Heavy libraries are imported by the command that needs them, so that `--help` and errors come at once.
"""

from video2act_ros.cli.commands import app, main

__all__ = ["app", "main"]
