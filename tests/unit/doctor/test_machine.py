"""Questions to this machine itself."""

import fcntl

from video2act_ros.doctor.machine import ThisMachine


def test_only_a_dead_owners_lock_is_free(tmp_path):
    """Looking at a segment's lock tells whether its owner lives, and takes nothing away."""
    path = tmp_path / "fastdds_el"
    path.touch()
    machine = ThisMachine()
    with path.open("wb") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        assert not machine.unlocked(path)
    assert machine.unlocked(path)
    assert machine.unlocked(path)
