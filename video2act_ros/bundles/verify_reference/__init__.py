"""Runs a folder of reference values through the package's public functions and says what differs."""

from video2act_ros.bundles.verify_reference.report import Verdict, verify_file, verify_folder

__all__ = ["Verdict", "verify_file", "verify_folder"]
