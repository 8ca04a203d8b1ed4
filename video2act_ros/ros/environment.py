"""What a process needs before its first ROS call, and where the package's files lie.

Imports no ROS: it must run before rclpy is loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import ParseError

from video2act_ros.core.confined import is_inside
from video2act_ros.core.errors import BundleError, ConfigurationError, unknown_choice
from video2act_ros.ros.shared_memory import (
    PREFIXES,
    REMOVED_CAUSE,
    keep_dead_ports,
    processes_without_files,
)
from video2act_ros.ros.transport_profile import file_in_memory, without_shared_memory

PACKAGE = "video2act_ros"
MANIFEST_FILE = "manifest.yaml"

SHARED_MEMORY_FOLDER = Path("/dev/shm")
_BLOCK_BYTES = 512  # unit of st_blocks
_SEGMENT_BYTES = 64 << 20  # of config/fastdds.xml and config/fastdds_two_machines.xml
_PROCESSES = 6  # four nodes and two tools, one segment each
SHARED_MEMORY_NEEDED_BYTES = _PROCESSES * _SEGMENT_BYTES
"""Space in /dev/shm from which transport profiles with shared memory are used."""

SHARED_MEMORY_REMEDY = "docker --shm-size=1g, or mount -o remount,size=1G /dev/shm"

ALL, ROBOT, GPU_HOST = "all", "robot", "gpu_host"
MACHINES = (ALL, ROBOT, GPU_HOST)
MACHINE_VARIABLE = "VIDEO2ACT_MACHINE"
"""Which part of a stack this machine runs; the launch argument `machine` sets it for the nodes."""

PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""What names a transport profile for Fast DDS 3 (from Kilted on) and for Fast DDS 2 (Jazzy), which knows no other."""

_OUR_PROFILE = "_VIDEO2ACT_PROFILE"  # the value of PROFILE_VARIABLES that was not the user's choice
_USERS = "_VIDEO2ACT_USERS_"  # before the name of a variable: the user's value where ours had to replace it
_SHARED_MEMORY_PROFILES = {ALL: "fastdds.xml", ROBOT: "fastdds_two_machines.xml"}
_NETWORK_PROFILES = {ALL: "fastdds_udp.xml", ROBOT: "fastdds_network.xml", GPU_HOST: "fastdds_network.xml"}
_LOOPBACK_PROFILE = "fastdds_udp_localhost.xml"

RANGE_VARIABLE, PEERS_VARIABLE = "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_STATIC_PEERS"
"""Of ROS: how far nodes look for each other, and where besides."""

_LOCALHOST_ONLY = "ROS_LOCALHOST_ONLY"
_LOCALHOST, _AS_THE_PROFILE_SAYS = "LOCALHOST", "SYSTEM_DEFAULT"
_OTHER_RANGES = ("SUBNET", "OFF", _AS_THE_PROFILE_SAYS)  # ROS takes every unknown one for LOCALHOST

SERVER_VARIABLE, SUPER_CLIENT_VARIABLE = "ROS_DISCOVERY_SERVER", "ROS_SUPER_CLIENT"
"""Of Fast DDS: where a discovery server is, and whether a process learns of everything from it."""

_RESTARTED = "_VIDEO2ACT_RESTARTED"
RUNNER_VARIABLE = "_VIDEO2ACT_RUNNER"
"""Holds the process id of the runner in the environment of the processes that it starts."""

_ENDING_S = 0.1  # a process removes its files a little before it is gone
_PR_SET_PDEATHSIG = 1  # prctl option of Linux

_PIP_REMEDY = "pip install -r requirements/ros-installation.txt into the virtual environment of the nodes"
_MODULES = {
    "rclpy": "source the ROS 2 installation (source /opt/ros/$ROS_DISTRO/setup.bash), or run make setup without one",
    "video2act_msgs": "build ros2_ws/src/video2act_msgs in this workspace and source its setup.bash; in a "
    "workspace of your own link it first: ln -s video2act_ros/ros2_ws/src/video2act_msgs src/video2act_msgs",
    "pydantic": _PIP_REMEDY,
}
"""What every node imports that a half-finished installation lacks, and the remedy."""

# glibc mallopt: parameter number, value. Without them every large message is mapped, faulted in page by page
# and unmapped again.
_MALLOC_OPTIONS = (
    (-3, 1 << 30),
    (-1, (1 << 31) - 1),
    (-2, 64 << 20),
)  # mmap threshold, trim threshold, top pad


log = logging.getLogger("video2act")


def prepare(*, may_restart: bool = False, shared_memory: bool = True) -> None:
    """Set up transport, allocator and library paths; call it before `rclpy` is imported.

    From then on this process also keeps a killed one from blocking those who write to it.

    What the user has set already stays as it is, except that every process becomes a super client of a discovery
    server: an ordinary client is not told of a second publisher of its topics, and so the watch for one would be blind.

    Args:
        may_restart: replace this process by itself with a longer LD_LIBRARY_PATH where the messages were
            built into a virtual environment that uses an installed ROS 2. The dynamic loader reads that
            variable only at process start. Only a program's `main` may say so.
        shared_memory: False for a process that carries no images and must reach the others whatever happens to
            /dev/shm. Others, too, do without it where it cannot be used, or where processes of this domain run
            whose files there were removed: they are reached over the network alone.
    """
    _find_own_prefix(may_restart)
    os.environ.setdefault("RMW_FASTRTPS_PUBLICATION_MODE", "ASYNCHRONOUS")  # a dead reader must not block
    if os.environ.get(SERVER_VARIABLE):
        os.environ[SUPER_CLIENT_VARIABLE] = "TRUE"
    _choose_profile(shared_memory and _shared_memory_works())
    _tune_allocator()
    keep_dead_ports()


def check_installation() -> None:
    """Raise ConfigurationError, with the remedy, where an installation lacks what every node imports."""
    for module, remedy in _MODULES.items():
        if find_spec(module) is None:
            raise ConfigurationError(f"the Python module {module} is not installed here; {remedy}")
    if (version := metadata.version("pydantic")) < "2":
        raise ConfigurationError(f"pydantic {version} is too old, 2 is needed; {_PIP_REMEDY}")


def machine() -> str:
    """Return which part of a stack this machine runs.

    Raises:
        ConfigurationError: the environment names another one; lists the known ones.
    """
    value = os.environ.get(MACHINE_VARIABLE) or ALL
    if value not in MACHINES:
        raise ConfigurationError(unknown_choice(MACHINE_VARIABLE, value, MACHINES))
    return value


def transport_profile(machine: str, usable_bytes: int) -> str | None:
    """Return the file under config/ for Fast DDS on a machine with so much shared memory; None: built-in.

    Without any, the built-in transports would end the process: they write to memory that there is not.
    """
    profiles = _SHARED_MEMORY_PROFILES if usable_bytes >= SHARED_MEMORY_NEEDED_BYTES else {}
    if machine in profiles:
        return profiles[machine]
    return None if machine == ALL and usable_bytes else _NETWORK_PROFILES[machine]


def profile_variable() -> str:
    """Return the one of PROFILE_VARIABLES that this installation's Fast DDS reads without a complaint."""
    version_2 = any((prefix / "lib" / "libfastrtps.so").exists() for prefix in _prefixes())
    return PROFILE_VARIABLES[version_2]


def chosen_profile(environ: Mapping[str, str]) -> str | None:
    """Return the transport profile that the user has chosen, by the variable of either Fast DDS; None: he has not."""
    ours = environ.get(_OUR_PROFILE)
    variables = (profile_variable(), *PROFILE_VARIABLES)
    values = (environ.get(name) for variable in variables for name in (_USERS + variable, variable))
    return next((value for value in values if value and value != ours), None)


def shared_memory_problem(machine: str) -> str | None:
    """Return, in one line with the remedy, that /dev/shm is too small for that machine's transport; None if not.

    Not where the user has chosen a transport profile: only he knows what it needs.
    """
    chosen, usable = chosen_profile(os.environ), shared_memory_bytes()
    if chosen or machine not in _SHARED_MEMORY_PROFILES or usable >= SHARED_MEMORY_NEEDED_BYTES:
        return None
    return (
        f"too little shared memory: {usable >> 20} MB of /dev/shm are free and {SHARED_MEMORY_NEEDED_BYTES >> 20} MB "
        f"wanted; images are sent in small pieces, late, and some are lost; {SHARED_MEMORY_REMEDY}"
    )


def follow_runner() -> bool:
    """Let this process get SIGTERM when the runner that started it dies; return whether one did."""
    if os.environ.get(RUNNER_VARIABLE) != str(os.getppid()):
        return False
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return True


def start_again() -> NoReturn:
    """Replace this process by itself, as it was started; what it has open is closed."""
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that listed them
            os.set_inheritable(int(descriptor), int(descriptor) <= 2)
    _execute_again()


def shared_memory_bytes() -> int:
    """Return how much of /dev/shm Fast DDS can use, what its processes hold now included.

    So the first and the last process of a stack come to the same answer. 0 where not even one more fits, or
    nothing can be written.
    """
    if not os.access(SHARED_MEMORY_FOLDER, os.W_OK):
        return 0
    try:
        free = shutil.disk_usage(SHARED_MEMORY_FOLDER).free
        files = (path for prefix in PREFIXES for path in SHARED_MEMORY_FOLDER.glob(f"{prefix}*"))
        held = sum(path.stat().st_blocks for path in files)
    except OSError:
        return 0
    return free + held * _BLOCK_BYTES if free >= _SEGMENT_BYTES else 0


def share_path() -> Path:
    """Return the folder that holds `config/`, `launch/` and `models/`: the source tree or the share folder.

    Raises:
        ConfigurationError: the package is neither in its source tree nor installed.
    """
    source = Path(__file__).resolve().parents[2]
    if (source / "package.xml").is_file() and (source / "config").is_dir():
        return source
    for prefix in _prefixes():
        share = prefix / "share" / PACKAGE
        if (share / "package.xml").is_file():
            return share
    raise ConfigurationError(
        f"the share folder of {PACKAGE} was not found; source the workspace's setup.bash"
    )


def resolve_profile(name: str) -> Path:
    """Return the robot profile of that name under `config/robots/`, or the YAML file that `name` points to.

    Raises:
        ConfigurationError: there is none; lists the known profiles.
    """
    folder = share_path() / "config" / "robots"
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        path = folder / f"{name}.yaml"
    if not name or not path.is_file():
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        raise ConfigurationError(
            unknown_choice("robot profile", name, (*known, "or the path of a YAML file"))
        )
    return path


def resolve_bundle(name: str) -> Path:
    """Return the bundle folder of that name under `models/`, or the folder that `name` points to.

    Raises:
        BundleError: there is none; lists the known bundles.
    """
    folder = share_path() / "models"
    for path in (Path(name).expanduser(), folder / name):
        if name and (path / MANIFEST_FILE).is_file():
            return path
    if name and Path(name).expanduser().is_dir():
        raise BundleError(f"bundle {name} has no {MANIFEST_FILE}; copy it again or give another folder")
    known = sorted(file.parent.name for file in folder.glob(f"*/{MANIFEST_FILE}"))
    choices = (*(known or ["(none is installed)"]), "or the path of a bundle's folder")
    raise BundleError(unknown_choice("bundle", name, choices))


def resolve_bundle_within(name: str, folders: Sequence[Path]) -> Path:
    """Return the bundle folder of that name under `models/`, or the one that `name` points to inside of `folders`.

    Raises:
        BundleError: there is none, or it lies elsewhere; names where bundles may lie.
    """
    path, models = resolve_bundle(name), share_path() / "models"
    if is_inside(path, [models, *folders]) or (path.parent == models and path.name != ".."):
        return path
    allowed = ", ".join(str(folder) for folder in (models, *folders))
    raise BundleError(
        f"bundle {name} lies outside of the folders from which bundles may be set while the node runs ({allowed}); "
        f"start the node with bundle_folders:={path.resolve().parent}, or copy the bundle there"
    )


def _shared_memory_works() -> bool:
    """Return whether a new process can use shared memory; tell why not where others have lost theirs."""
    if not shared_memory_bytes():
        return False
    domain = os.environ.get("ROS_DOMAIN_ID") or "0"
    lost = processes_without_files(int(domain)) if domain.isdecimal() else {}
    if lost:  # or just ending: then it is not there at a second look
        time.sleep(_ENDING_S)
        lost = {
            process: name for process, name in processes_without_files(int(domain)).items() if process in lost
        }
    if lost:
        names = ", ".join(f"{name} ({process})" for process, name in lost.items())
        log.warning(
            "the shared memory of running processes was removed from %s (%s), so this one talks over the network; %s; "
            "then start them all again",
            SHARED_MEMORY_FOLDER,
            names,
            REMOVED_CAUSE,
        )
    return not lost


def _choose_profile(shared_memory: bool) -> None:
    """Let Fast DDS read the profile that suits this process, unless the user has chosen one that does."""
    before = os.environ.pop(_OUR_PROFILE, None)
    for variable in (*PROFILE_VARIABLES, RANGE_VARIABLE):
        if os.environ.get(variable) in ("", before):
            os.environ.pop(variable, None)
        if (value := os.environ.pop(_USERS + variable, None)) is not None:
            os.environ[variable] = value
    chosen, ours = chosen_profile(os.environ), None
    if not shared_memory:
        ours = _network_profile(chosen)
        for variable in PROFILE_VARIABLES:  # Fast DDS 3 would read both
            _replace(variable, None)
    elif chosen is None and (name := transport_profile(machine(), shared_memory_bytes())):
        ours = _own_file(name)
    if ours:
        os.environ[_OUR_PROFILE] = ours
    if profile := ours or chosen:
        os.environ.setdefault(profile_variable(), profile)


def _replace(variable: str, value: str | None) -> None:
    """Set or, for None, remove a variable; what it was is kept for the processes that this one starts."""
    before = os.environ.pop(variable, None)
    if before is not None:
        os.environ[_USERS + variable] = before
    if value is not None:
        os.environ[variable] = value


def _network_profile(chosen: str | None) -> str:
    """Return the profile of a process without shared memory: the user's without it, or ours."""
    if profile_variable() != PROFILE_VARIABLES[0] and os.environ.get(_LOCALHOST_ONLY) == "1":
        del os.environ[_LOCALHOST_ONLY]  # its meaning until Jazzy, said in today's words
        os.environ[RANGE_VARIABLE] = _LOCALHOST
        os.environ.pop(PEERS_VARIABLE, None)
    users_range = os.environ.get(RANGE_VARIABLE)
    if users_range and users_range not in _OTHER_RANGES and not os.environ.get(PEERS_VARIABLE):
        _replace(RANGE_VARIABLE, _AS_THE_PROFILE_SAYS)  # ROS itself would add shared memory
        return _own_file(_LOOPBACK_PROFILE)
    if chosen:
        try:
            text = Path(chosen).read_text(encoding="utf-8")
            if all(
                text != file.read_text(encoding="utf-8") for file in (share_path() / "config").glob("*.xml")
            ):
                return file_in_memory(without_shared_memory(text))
        except (OSError, UnicodeDecodeError, ParseError) as error:
            log.warning("the transport profile %s cannot be used (%s); the package's own is", chosen, error)
    return _own_file(_NETWORK_PROFILES[machine()])


def _own_file(name: str) -> str:
    return str(share_path() / "config" / name)


def _prefixes() -> tuple[Path, ...]:
    """Return the installation folders in use, the one that goes first being the first."""
    sourced = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return tuple(Path(prefix) for prefix in (*sourced, sys.prefix) if prefix)


def _find_own_prefix(may_restart: bool) -> None:
    """Let the ament index and the dynamic loader see a message package built into this environment."""
    prefix = Path(sys.prefix)
    if not (prefix / "share" / "video2act_msgs").is_dir():
        return
    _prepend("AMENT_PREFIX_PATH", str(prefix))
    if _prepend("LD_LIBRARY_PATH", str(prefix / "lib")) and may_restart and _RESTARTED not in os.environ:
        os.environ[_RESTARTED] = "1"
        _execute_again()


def _execute_again() -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _prepend(variable: str, path: str) -> bool:
    """Put `path` first unless the variable holds it; return whether it changed."""
    present = [item for item in os.environ.get(variable, "").split(os.pathsep) if item]
    if path in present:
        return False
    os.environ[variable] = os.pathsep.join([path, *present])
    return True


def _tune_allocator() -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # not glibc
        return
    for option, value in _MALLOC_OPTIONS:
        mallopt(option, value)
