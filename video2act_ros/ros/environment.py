"""What a process needs before its first ROS call, and where the package's files lie.

Imports no ROS: it must run before rclpy is loaded.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from video2act_ros.core.errors import BundleError, ConfigurationError, unknown_choice

PACKAGE = "video2act_ros"
MANIFEST_FILE = "manifest.yaml"

_SEGMENT_BYTES = 64 << 20  # of config/fastdds.xml
_PROCESSES = 6  # four nodes and two tools, one segment each
SHARED_MEMORY_NEEDED_BYTES = _PROCESSES * _SEGMENT_BYTES
"""Free space of /dev/shm from which the package's own transport profile is used."""

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

    What the user has set already stays as it is.

    Args:
        may_restart: replace this process by itself with a longer LD_LIBRARY_PATH where the messages were
            built into a virtual environment that uses an installed ROS 2. The dynamic loader reads that
            variable only at process start. Only a program's `main` may say so.
    """
    _find_own_prefix(may_restart)
    os.environ.setdefault("RMW_FASTRTPS_PUBLICATION_MODE", "ASYNCHRONOUS")  # a dead reader must not block
    if shared_memory_bytes() >= SHARED_MEMORY_NEEDED_BYTES:
        os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(share_path() / "config" / "fastdds.xml"))
    _tune_allocator()


def check_installation() -> None:
    """Raise ConfigurationError, with the remedy, where an installation lacks what every node imports."""
    for module, remedy in _MODULES.items():
        if find_spec(module) is None:
            raise ConfigurationError(f"the Python module {module} is not installed here; {remedy}")
    if (version := metadata.version("pydantic")) < "2":
        raise ConfigurationError(f"pydantic {version} is too old, 2 is needed; {_PIP_REMEDY}")


def follow_runner() -> bool:
    """Let this process get SIGTERM when the runner that started it dies; return whether one did."""
    if os.environ.get(RUNNER_VARIABLE) != str(os.getppid()):
        return False
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return True


def shared_memory_bytes() -> int:
    """Return the free space of /dev/shm; 0 where there is none (containers often give only 64 MB)."""
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:
        return 0


def share_path() -> Path:
    """Return the folder that holds `config/`, `launch/` and `models/`: the source tree or the share folder.

    Raises:
        ConfigurationError: the package is neither in its source tree nor installed.
    """
    source = Path(__file__).resolve().parents[2]
    if (source / "package.xml").is_file() and (source / "config").is_dir():
        return source
    for prefix in (*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix):
        share = Path(prefix) / "share" / PACKAGE
        if prefix and (share / "package.xml").is_file():
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
