"""Shared memory of killed processes is freed, that of living ones is not."""

import fcntl
import os
import time

from video2act_ros.ros.shared_memory import remove_dead_segments


def make(folder, name, age_s=60.0):
    lock = folder / f"{name}_el"
    for path in (folder / name, lock):
        path.touch()
    os.utime(lock, (time.time() - age_s,) * 2)
    return lock


def left(folder):
    return {path.name for path in folder.iterdir()}


def test_only_segments_without_a_living_owner_are_removed(tmp_path):
    """A held lock, a lock about to be taken and a port stay."""
    make(tmp_path, "fastdds_dead")
    make(tmp_path, "fastdds_port7411")
    make(tmp_path, "fastdds_young", age_s=0.0)
    with make(tmp_path, "fastdds_alive").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = left(tmp_path)
        assert remove_dead_segments(tmp_path) == 1
        assert before - left(tmp_path) == {"fastdds_dead", "fastdds_dead_el"}


def test_a_missing_folder_is_no_error(tmp_path):
    """Where there is no /dev/shm there is nothing to free."""
    assert remove_dead_segments(tmp_path / "none") == 0
