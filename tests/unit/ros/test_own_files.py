"""A process notices that its shared memory was removed, and a new one that others have lost theirs."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from video2act_ros.ros.shared_memory import OwnFiles, missing_files, processes_without_files

SELF = Path("/proc/self")
OWNER = """
import fcntl, sys
files = [open(path + "_el", "w") for path in sys.argv[1:]]
for path, file in zip(sys.argv[1:], files):
    open(path, "w").close()
    fcntl.flock(file, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path):
    """Take a segment or port as Fast DDS does: lock(name), or as one who only guards it: lock(name, shared)."""
    files = []

    def take(name, kind=fcntl.LOCK_EX):
        (tmp_path / name).touch()
        files.append((tmp_path / f"{name}_el").open("w"))
        fcntl.flock(files[-1], kind)
        return tmp_path / name

    yield take
    for file in files:
        file.close()


@pytest.fixture
def owner(tmp_path):
    """Start another process that owns segments and ports: owner(name, …); return its process id."""
    processes = []

    def start(*names):
        paths = [str(tmp_path / name) for name in names]
        command = [sys.executable, "-c", OWNER, *paths]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        processes[-1].stdout.readline()
        return processes[-1].pid

    yield start
    for process in processes:
        process.communicate()


def remove(path, *suffixes):
    for suffix in suffixes:
        path.with_name(path.name + suffix).unlink()


@pytest.mark.parametrize("name", ["fastdds_0123456789abcdef", "fastdds_port7411", "fastrtps_port7411"])
@pytest.mark.parametrize("suffixes", [("", "_el"), ("",), ("_el",)])
def test_a_removed_file_of_ones_own_is_missing(tmp_path, lock, name, suffixes):
    """Segments and ports of either Fast DDS, all of it or a part."""
    path = lock(name)
    assert not missing_files(SELF, tmp_path)
    remove(path, *suffixes)
    assert missing_files(SELF, tmp_path) == {name}


def test_a_lock_that_is_only_guarded_is_not_ones_own(tmp_path, lock):
    """The port of a killed process is guarded by everybody; when it goes nobody has lost anything."""
    remove(lock("fastdds_port7411", fcntl.LOCK_SH), "", "_el")
    assert not missing_files(SELF, tmp_path)


def test_a_file_that_another_made_anew_is_missing(tmp_path, lock):
    """A process that came later has the name; the memory behind it is another."""
    path = lock("fastdds_port7411")
    remove(path, "", "_el")
    lock(path.name)
    assert missing_files(SELF, tmp_path) == {path.name}


def test_removal_counts_at_the_second_look(tmp_path, lock):
    """A transport that is closed just now removes its files, too, a moment before it lets them go."""
    files = OwnFiles(folder=tmp_path)
    remove(lock("fastdds_port7411"), "", "_el")
    assert not files.removed()
    assert files.removed()


def test_other_processes_that_lost_theirs_are_named(tmp_path, owner, lock):
    """With what they run; this process itself and those that have lost nothing are not."""
    first, second = owner("fastdds_port7411", "fastdds_0123456789abcdef"), owner("fastdds_port7413")
    remove(lock("fastdds_port7415"), "", "_el")
    assert not processes_without_files(folder=tmp_path)
    remove(tmp_path / "fastdds_0123456789abcdef", "", "_el")
    assert set(processes_without_files(folder=tmp_path)) == {first}
    remove(tmp_path / "fastdds_port7413", "", "_el")
    lost = processes_without_files(folder=tmp_path)
    assert set(lost) == {first, second}
    assert all(lost.values())


@pytest.mark.parametrize(("port", "domain"), [(7411, 0), (7649, 0), (7650, 1), (32650, 101)])
def test_only_processes_of_the_same_domain_matter_to_a_new_one(tmp_path, owner, port, domain):
    """Each domain has 250 ports from 7400 on."""
    process = owner(f"fastdds_port{port}")
    remove(tmp_path / f"fastdds_port{port}", "", "_el")
    assert set(processes_without_files(domain, folder=tmp_path)) == {process}
    assert not processes_without_files(domain + 1, folder=tmp_path)


def test_who_cannot_be_looked_at_has_lost_nothing(tmp_path):
    """A process that has ended, or another user's."""
    assert not missing_files(tmp_path / "4711", tmp_path)
    (tmp_path / str(os.getpid() + 1)).mkdir()
    assert not processes_without_files(processes=tmp_path, folder=tmp_path)
