"""Where ROS writes the log files of this process, and whether it can. Imports no ROS."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def log_folder(environ: Mapping[str, str]) -> Path | None:
    """Return the folder that ROS will choose; None where the environment names none, not even a home."""
    folder = environ.get("ROS_LOG_DIR")
    if not folder:
        home = environ.get("ROS_HOME")
        folder = f"{home}/log" if home else "~/.ros/log"
    if not folder.startswith("~"):
        return Path(folder)
    home = environ.get("HOME")
    return Path(home + folder[1:]) if home else None


def log_folder_problem(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return, in one line with the remedy, why no log file can be made; None: one can.

    Where it cannot, ROS does not start with log files. The folder is made, as ROS would.
    """
    remedy = "export ROS_LOG_DIR=FOLDER with one that can be written"
    folder = log_folder(environ)
    if folder is None:
        return f"no log folder: HOME is not set; {remedy}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"no log file can be made in {folder} ({error.strerror}); {remedy}"
