"""Shared memory of killed processes is freed, that of living ones is not."""

import fcntl
import os
import time

import pytest

from video2act_ros.ros.shared_memory import remove_dead_segments


def make(folder, name, age_s=60.0):
    lock = folder / f"{name}_el"
    for path in (folder / name, lock):
        path.touch()
    os.utime(lock, (time.time() - age_s,) * 2)
    return lock


def left(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("prefix", ["fastdds", "fastrtps"])
def test_only_segments_without_a_living_owner_are_removed(tmp_path, prefix):
    """A held lock, a lock about to be taken and a port stay, with the names of Fast DDS 3 and of Fast DDS 2."""
    make(tmp_path, f"{prefix}_dead")
    make(tmp_path, f"{prefix}_port7411")
    make(tmp_path, f"{prefix}_young", age_s=0.0)
    with make(tmp_path, f"{prefix}_alive").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = left(tmp_path)
        assert remove_dead_segments(tmp_path) == 1
        assert before - left(tmp_path) == {f"{prefix}_dead", f"{prefix}_dead_el"}


def test_a_missing_folder_is_no_error(tmp_path):
    """Where there is no /dev/shm there is nothing to free."""
    assert remove_dead_segments(tmp_path / "none") == 0
