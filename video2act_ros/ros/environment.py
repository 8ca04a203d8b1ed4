"""What a process needs before its first ROS call, and where the package's files lie.

Imports no ROS: it must run before rclpy is loaded.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from video2act_ros.core.errors import BundleError, ConfigurationError, unknown_choice
from video2act_ros.ros.shared_memory import PREFIXES, keep_dead_ports

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
_SHARED_MEMORY_PROFILES = {ALL: "fastdds.xml", ROBOT: "fastdds_two_machines.xml"}
_NETWORK_PROFILES = {ROBOT: "fastdds_network.xml", GPU_HOST: "fastdds_network.xml"}

SERVER_VARIABLE, SUPER_CLIENT_VARIABLE = "ROS_DISCOVERY_SERVER", "ROS_SUPER_CLIENT"
"""Of Fast DDS: where a discovery server is, and whether a process learns of everything from it."""

_RESTARTED = "_VIDEO2ACT_RESTARTED"
RUNNER_VARIABLE = "_VIDEO2ACT_RUNNER"
"""Holds the process id of the runner in the environment of the processes that it starts."""

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


def prepare(*, may_restart: bool = False) -> None:
    """Set up transport, allocator and library paths; call it before `rclpy` is imported.

    From then on this process also keeps a killed one from blocking those who write to it.

    What the user has set already stays as it is, except that every process becomes a super client of a discovery
    server: an ordinary client is not told of a second publisher of its topics, and so the watch for one would be blind.

    Args:
        may_restart: replace this process by itself with a longer LD_LIBRARY_PATH where the messages were
            built into a virtual environment that uses an installed ROS 2. The dynamic loader reads that
            variable only at process start. Only a program's `main` may say so.
    """
    _find_own_prefix(may_restart)
    os.environ.setdefault("RMW_FASTRTPS_PUBLICATION_MODE", "ASYNCHRONOUS")  # a dead reader must not block
    if os.environ.get(SERVER_VARIABLE):
        os.environ[SUPER_CLIENT_VARIABLE] = "TRUE"
    _choose_profile()
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
    """Return the file under config/ for Fast DDS on a machine with so much shared memory; None: built-in."""
    profiles = _SHARED_MEMORY_PROFILES if usable_bytes >= SHARED_MEMORY_NEEDED_BYTES else {}
    return profiles.get(machine) or _NETWORK_PROFILES.get(machine)


def profile_variable() -> str:
    """Return the one of PROFILE_VARIABLES that this installation's Fast DDS reads without a complaint."""
    version_2 = any((prefix / "lib" / "libfastrtps.so").exists() for prefix in _prefixes())
    return PROFILE_VARIABLES[version_2]


def chosen_profile(environ: Mapping[str, str]) -> str | None:
    """Return the transport profile that the user has chosen, by the variable of either Fast DDS; None: he has not."""
    ours = environ.get(_OUR_PROFILE)
    values = (environ.get(variable) for variable in (profile_variable(), *PROFILE_VARIABLES))
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


def shared_memory_bytes() -> int:
    """Return how much of /dev/shm Fast DDS can use, what its processes hold now included.

    So the first and the last process of a stack come to the same answer. 0 where not even one more fits.
    """
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


def _choose_profile() -> None:
    """Let Fast DDS read the profile that suits this machine, unless the user has chosen one."""
    profile, variable = chosen_profile(os.environ), profile_variable()
    before = os.environ.pop(_OUR_PROFILE, None)
    if profile is None and (name := transport_profile(machine(), shared_memory_bytes())):
        profile = os.environ[_OUR_PROFILE] = str(share_path() / "config" / name)
    if os.environ.get(variable) in ("", before):
        os.environ.pop(variable, None)
    if profile:
        os.environ.setdefault(variable, profile)


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
        sys.stdout.flush()
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
