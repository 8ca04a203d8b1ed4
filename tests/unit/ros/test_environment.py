"""Which transport profile a process gets, and what it says where shared memory is too small."""

import os
import subprocess
import sys

import pytest

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.ros import environment

PLENTY = environment.SHARED_MEMORY_NEEDED_BYTES
SHOW = """
import os
from video2act_ros.ros import environment
environment.prepare()
print(os.path.basename(os.environ.get(environment.profile_variable(), "built-in")))
print(environment.shared_memory_problem(environment.machine()))
"""


def with_shared_memory(size, *command, **environ):
    """Run a command with a /dev/shm of that size; skip where that is not permitted."""
    script = f'mount -t tmpfs -o size={size} tmpfs /dev/shm || exit 99; exec "$@"'
    line = ["unshare", "--mount", "sh", "-c", script, "sh", *command]
    names = (*environment.PROFILE_VARIABLES, "_VIDEO2ACT_PROFILE", environment.MACHINE_VARIABLE)
    clean = {name: value for name, value in os.environ.items() if name not in names}
    try:
        done = subprocess.run(line, capture_output=True, text=True, env=clean | environ, timeout=120)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip("mount namespaces are not permitted")
    return done


@pytest.mark.parametrize(
    ("server", "wanted", "got"),
    [("", "", ""), ("10.0.0.1:11811", "", "TRUE"), ("10.0.0.1:11811", "FALSE", "TRUE")],
)
def test_a_discovery_server_tells_every_node_everything(server, wanted, got):
    """Otherwise the command node would not see a second publisher of commands, whatever the user wants."""
    code = "import os; from video2act_ros.ros import environment; environment.prepare(); "
    code += "print(os.environ['ROS_SUPER_CLIENT'])"
    environ = os.environ | {"ROS_DISCOVERY_SERVER": server, "ROS_SUPER_CLIENT": wanted}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, timeout=60
    )
    assert done.stdout.strip() == got, done.stderr


@pytest.mark.parametrize(
    ("machine", "usable", "file"),
    [
        ("all", PLENTY, "fastdds.xml"),
        ("all", PLENTY - 1, None),
        ("all", 0, "fastdds_udp.xml"),
        ("robot", PLENTY, "fastdds_two_machines.xml"),
        ("robot", PLENTY - 1, "fastdds_network.xml"),
        ("gpu_host", 0, "fastdds_network.xml"),
    ],
)
def test_the_profile_suits_the_machine_and_its_shared_memory(machine, usable, file):
    """One computer, a robot with a GPU host, and the GPU host, which needs no shared memory."""
    assert environment.transport_profile(machine, usable) == file
    assert file is None or (environment.share_path() / "config" / file).is_file()


@pytest.mark.parametrize(
    ("size", "machine", "file"),
    [
        ("64m", "all", "built-in"),
        ("64m", "robot", "fastdds_network.xml"),
        ("1g", "all", "fastdds.xml"),
        ("64m", "gpu_host", "fastdds_network.xml"),
    ],
)
def test_a_small_shared_memory_is_told_with_the_remedy(size, machine, file):
    """One line where it matters, and the profile that works without it; none on a GPU host."""
    done = with_shared_memory(size, sys.executable, "-c", SHOW, VIDEO2ACT_MACHINE=machine)
    profile, problem = done.stdout.splitlines()
    assert profile == file
    if size == "64m" and machine != "gpu_host":
        assert problem.startswith("too little shared memory: ")
        assert "docker --shm-size=1g, or mount -o remount,size=1G /dev/shm" in problem
    else:
        assert problem == "None"


@pytest.mark.parametrize("variable", ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"])
def test_a_profile_that_the_user_has_chosen_stays_and_nothing_is_said(variable):
    """Only he knows what it needs; Fast DDS of Jazzy and of Kilted read different variables, here either counts."""
    done = with_shared_memory("64m", sys.executable, "-c", SHOW, **{variable: "/mine.xml"})
    assert done.stdout.splitlines() == ["mine.xml", "None"]


@pytest.mark.parametrize(("library", "index"), [("libfastdds.so", 0), ("libfastrtps.so", 1)])
def test_the_profile_reaches_the_fast_dds_that_is_installed(tmp_path, monkeypatch, library, index):
    """Version 2 reads one variable only, version 3 warns about that one: ours is set alone, a user's two both stay."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / library).touch()
    monkeypatch.setattr(environment.sys, "prefix", str(tmp_path))
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    monkeypatch.setenv(environment.MACHINE_VARIABLE, environment.GPU_HOST)
    for variable in (*environment.PROFILE_VARIABLES, "_VIDEO2ACT_PROFILE"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    environment.prepare()
    named = {variable for variable in environment.PROFILE_VARIABLES if variable in os.environ}
    assert named == {environment.PROFILE_VARIABLES[index]}

    for variable in environment.PROFILE_VARIABLES:
        monkeypatch.setenv(variable, f"/{variable}.xml")
    environment.prepare()
    assert all(os.environ[variable] == f"/{variable}.xml" for variable in environment.PROFILE_VARIABLES)


SHOW_NETWORK = """
import os, sys
from video2act_ros.ros import environment
environment.prepare(shared_memory=False)
path = os.environ[environment.profile_variable()]
print(os.path.basename(path))
print(os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", ""))
print(" ".join(open(path).read().split()))
environment.prepare()
print(os.environ.get(environment.profile_variable(), ""))
print(os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", ""))
"""


def network_profile(**environ):
    """Return what a process without shared memory gets, and what it gets back: (file, range, text, file, range)."""
    names = (*environment.PROFILE_VARIABLES, "_VIDEO2ACT_PROFILE", environment.RANGE_VARIABLE)
    names += (environment.MACHINE_VARIABLE, environment.PEERS_VARIABLE)
    clean = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", SHOW_NETWORK], capture_output=True, text=True, env=clean | environ, timeout=60
    )
    return *done.stdout.split("\n")[:5], done.stderr


@pytest.mark.parametrize(
    ("machine", "file"),
    [("all", "fastdds_udp.xml"), ("robot", "fastdds_network.xml"), ("gpu_host", "fastdds_network.xml")],
)
def test_what_must_always_reach_the_others_uses_no_shared_memory(machine, file):
    """Not even where there is plenty; processes of this machine are found without multicast."""
    name, _, text, *_ = network_profile(VIDEO2ACT_MACHINE=machine)
    assert name == file
    assert "SHM" not in text
    assert "<useBuiltinTransports>false" in text
    assert "<address>127.0.0.1</address>" in text


@pytest.mark.parametrize("variable", environment.PROFILE_VARIABLES)
def test_a_users_profile_is_kept_but_for_its_shared_memory(tmp_path, variable):
    """And given back to a child that may use it."""
    mine = tmp_path / "mine.xml"
    mine.write_text('<dds><profiles><participant is_default_profile="true"><rtps><name>my_arm</name></rtps>')
    mine.write_text(f"{mine.read_text()}</participant></profiles></dds>")
    _, _, text, back, *_ = network_profile(**{variable: str(mine)})
    assert "<name>my_arm</name>" in text
    assert "<type>UDPv4</type>" in text
    assert back == str(mine)


def test_a_users_profile_that_is_one_of_ours_gives_way_to_ours():
    """Drivers are given the same profile; what finds processes without multicast is in the other one."""
    shared = environment.share_path() / "config" / "fastdds.xml"
    name, _, _, back, *_ = network_profile(FASTDDS_DEFAULT_PROFILES_FILE=str(shared))
    assert (name, back) == ("fastdds_udp.xml", str(shared))


@pytest.mark.parametrize("content", [None, "no XML", b"\xff\xfe"])
def test_a_users_profile_that_cannot_be_used_gives_way_with_a_warning(tmp_path, content):
    """Missing or damaged: an emergency stop does not wait for its repair."""
    mine = tmp_path / "mine.xml"
    if content is not None:
        mine.write_bytes(content if isinstance(content, bytes) else content.encode())
    name, *_, told = network_profile(FASTDDS_DEFAULT_PROFILES_FILE=str(mine))
    assert name == "fastdds_udp.xml"
    assert f"the transport profile {mine} cannot be used" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("wanted", ["LOCALHOST", "mistyped"])
def test_on_this_machine_alone_ros_adds_no_shared_memory(wanted):
    """It would for LOCALHOST, for which it takes every unknown word; the profile says the same without."""
    name, given, text, _, back, _ = network_profile(ROS_AUTOMATIC_DISCOVERY_RANGE=wanted)
    assert (name, given, back) == ("fastdds_udp_localhost.xml", "SYSTEM_DEFAULT", wanted)
    assert "<interfaceWhiteList> <address>127.0.0.1</address> </interfaceWhiteList>" in text


@pytest.mark.parametrize("wanted", ["SUBNET", "OFF", "SYSTEM_DEFAULT"])
def test_other_ranges_stay(wanted):
    """They add no transport."""
    name, given, _, _, back, _ = network_profile(ROS_AUTOMATIC_DISCOVERY_RANGE=wanted)
    assert (name, given, back) == ("fastdds_udp.xml", wanted, wanted)


@pytest.mark.parametrize("options", ["64k", "1g,ro"])
def test_where_shared_memory_cannot_be_used_nobody_tries(options):
    """The built-in transports end the process with a bus error where it is full."""
    done = with_shared_memory(options, sys.executable, "-c", SHOW)
    assert done.stdout.splitlines()[0] == "fastdds_udp.xml"


LOSE = """
import fcntl, os, subprocess, sys
file = open("/dev/shm/fastdds_port7411_el", "w")
fcntl.flock(file, fcntl.LOCK_EX)
os.unlink("/dev/shm/fastdds_port7411_el")
subprocess.run([sys.executable, "-c", sys.argv[1]])
"""


@pytest.mark.parametrize(("domain", "file"), [("0", "fastdds_udp.xml"), ("1", "fastdds.xml")])
def test_beside_processes_that_lost_their_shared_memory_a_new_one_uses_none(domain, file):
    """It would not reach them through files of its own; it says whom, and what to do. Other domains do not matter."""
    done = with_shared_memory("1g", sys.executable, "-c", LOSE, SHOW, ROS_DOMAIN_ID=domain)
    assert done.stdout.splitlines()[0] == file
    assert ("was removed from /dev/shm" in done.stderr) == (domain == "0")
    assert ("loginctl enable-linger" in done.stderr) == (domain == "0")


def test_a_child_chooses_anew_what_its_parent_chose(monkeypatch):
    """A runner's own profile does not bind the nodes that it starts for another part of the stack."""
    for variable in (*environment.PROFILE_VARIABLES, "_VIDEO2ACT_PROFILE"):
        monkeypatch.setenv(variable, "/share/config/fastdds.xml")
    monkeypatch.setenv(environment.MACHINE_VARIABLE, environment.GPU_HOST)
    environment.prepare()
    assert os.environ[environment.profile_variable()].endswith("fastdds_network.xml")


@pytest.mark.parametrize("name", ["fastdds_0123", "fastrtps_0123"])
def test_what_processes_hold_of_shared_memory_counts_as_usable(tmp_path, monkeypatch, name):
    """The last process of a stack comes to the same answer as the first, whichever Fast DDS it uses."""
    monkeypatch.setattr(environment, "SHARED_MEMORY_FOLDER", tmp_path)
    before = environment.shared_memory_bytes()
    (tmp_path / name).write_bytes(b"x" * (1 << 20))
    assert environment.shared_memory_bytes() == pytest.approx(before, abs=1 << 19)
    monkeypatch.setattr(environment, "SHARED_MEMORY_FOLDER", tmp_path / "none")
    assert environment.shared_memory_bytes() == 0


def test_an_unknown_part_of_the_stack_is_refused_with_the_known_ones(monkeypatch):
    """One clear line."""
    monkeypatch.setenv(environment.MACHINE_VARIABLE, "moon")
    with pytest.raises(ConfigurationError, match=r"'moon'.*all, robot, gpu_host"):
        environment.machine()
