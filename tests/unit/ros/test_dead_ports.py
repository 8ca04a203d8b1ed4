"""Nobody hangs on the ports of killed processes, and a new process keeps away from those that others still write to."""

import fcntl
import os
import time

import pytest

from video2act_ros.ros.shared_memory import DeadPorts, dead_ports_avoided


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


@pytest.fixture
def port(tmp_path):
    """Make the lock of a port that was taken a while ago: port("fastdds_port7411")."""

    def make(name="fastdds_port7411"):
        lock = tmp_path / f"{name}_el"
        lock.touch()
        os.utime(lock, (time.time() - 60.0,) * 2)
        return lock

    return make


@pytest.mark.parametrize("name", ["fastdds_port7411", "fastrtps_port7411"])
def test_a_port_is_held_from_its_owners_death_on_for_a_while(tmp_path, port, name):
    """Alive: its owner's. Dead: held, also by a second process. Later it is free for a new one, and held again then."""
    lock = port(name)
    with lock.open() as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        ports, others = DeadPorts(tmp_path), DeadPorts(tmp_path)
        ports.look(100.0)
    assert not taken(lock)
    ports.look(100.2)
    others.look(100.2)
    assert taken(lock)
    ports.look(109.0)
    ports.look(111.0)
    assert taken(lock)
    others.look(111.0)
    assert not taken(lock)
    with lock.open() as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        ports.look(111.2)
    ports.look(111.4)
    assert taken(lock)


def test_what_was_dead_before_is_left(tmp_path, port):
    """A new process would find numbers taken for nothing."""
    lock = port()
    ports = DeadPorts(tmp_path)
    ports.look(100.0)
    assert not taken(lock)


def test_a_port_that_is_just_being_taken_is_left(tmp_path, port):
    """Its owner makes the file first and locks it then."""
    ports = DeadPorts(tmp_path)
    lock = port()
    os.utime(lock)
    ports.look(100.0)
    assert not taken(lock)


def test_a_port_that_several_read_is_left(tmp_path, port):
    """Fast DDS looks at another lock of it."""
    ports = DeadPorts(tmp_path)
    lock = port()
    (tmp_path / "fastdds_port7411_sl").touch()
    ports.look(100.0)
    assert not taken(lock)


def test_a_lock_that_was_made_anew_is_its_new_owners(tmp_path, port):
    """The old file is let go at once; the new one is held when its owner dies in turn."""
    ports = DeadPorts(tmp_path)
    lock = port()
    ports.look(100.0)
    assert taken(lock)
    lock.unlink()
    lock = port()
    with lock.open() as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        ports.look(100.2)
    ports.look(100.4)
    assert taken(lock)


def test_without_shared_memory_nothing_happens(tmp_path):
    """Other systems have no such folder."""
    DeadPorts(tmp_path / "none").look(100.0)
