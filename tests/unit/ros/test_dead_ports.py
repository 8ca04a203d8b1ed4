"""A new process keeps away from the ports of killed ones that others still write to."""

import fcntl

import pytest

from video2act_ros.ros.shared_memory import dead_ports_avoided


@pytest.fixture
def machine(tmp_path):
    """Return the folder of the shared memory, that of the processes, and what lets a process open some ports."""
    folder, processes = tmp_path / "shm", tmp_path / "proc"
    folder.mkdir()

    def maps(pid, *lines):
        (processes / str(pid)).mkdir(parents=True, exist_ok=True)
        text = "".join(f"7f0000-7f1000 rw-s 00000000 00:19 42   {line}\n" for line in lines)
        (processes / str(pid) / "maps").write_text(f"{text}7f2000-7f3000 rw-p 00000000 00:00 0\n")

    return folder, processes, maps


def taken(lock):
    """Return whether Fast DDS, which asks for an exclusive lock, would find the port taken."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize("prefix", ["fastdds", "fastrtps"])
@pytest.mark.parametrize("ending", ["", " (deleted)"])
def test_a_dead_port_that_somebody_has_open_is_taken_meanwhile(machine, prefix, ending):
    """Whether or not its file was made anew; two processes that start at once both hold it."""
    folder, processes, maps = machine
    lock = folder / f"{prefix}_port7411_el"
    lock.touch()
    maps(1, f"{folder}/{prefix}_port7411{ending}")
    with dead_ports_avoided(folder, processes):
        assert taken(lock)
        with dead_ports_avoided(folder, processes):
            assert taken(lock)
        assert taken(lock)
    assert not taken(lock)


def test_a_port_whose_lock_others_have_removed_is_taken_too(machine):
    """The lock is made for the time and leaves no trace."""
    folder, processes, maps = machine
    maps(1, f"{folder}/fastdds_port7411")
    with dead_ports_avoided(folder, processes):
        assert taken(folder / "fastdds_port7411_el")
    assert not list(folder.iterdir())


def test_ports_that_nobody_has_open_are_free(machine):
    """They would run out in the end; so are those that several read."""
    folder, processes, maps = machine
    lock, shared = folder / "fastdds_port7411_el", folder / "fastdds_port7400_el"
    for path in (lock, shared, folder / "fastdds_port7400_sl"):
        path.touch()
    maps(1, f"{folder}/fastdds_port74", f"{folder}/fastdds_port7400", f"/other{folder}/fastdds_port7411")
    with dead_ports_avoided(folder, processes):
        assert not taken(shared)
        assert not taken(lock)


def test_living_processes_keep_their_ports(machine):
    """What has an owner is not waited for."""
    folder, processes, maps = machine
    lock = folder / "fastdds_port7411_el"
    maps(1, f"{folder}/fastdds_port7411")
    with lock.open("w") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        with dead_ports_avoided(folder, processes):
            assert taken(lock)
        assert lock.exists()
        assert taken(lock)


def test_where_nothing_is_known_nothing_is_held(tmp_path):
    """No shared memory, no /proc."""
    with dead_ports_avoided(tmp_path / "none", tmp_path / "none"):
        pass
