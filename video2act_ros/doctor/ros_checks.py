"""Checks of ROS 2 and its transport, without importing it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from video2act_ros.doctor.findings import Finding, ok, problem, warning
from video2act_ros.doctor.machine import Machine
from video2act_ros.ros import environment
from video2act_ros.ros.log_folder import log_folder
from video2act_ros.ros.shared_memory import PREFIXES, REMOVED_CAUSE

DEFAULT_RMW = "rmw_fastrtps_cpp"
LAST_SAFE_DOMAIN, LAST_DOMAIN = 101, 232
SOCKET_BUFFER_BYTES = 2 << 20  # several camera images

_SHARED_MEMORY = "/dev/shm"
_NETWORK = "/sys/class/net"
_LOGIND = "logind.conf"
_SYSTEMD_FOLDERS = (
    "/etc/systemd",
    "/run/systemd",
    "/usr/local/lib/systemd",
    "/usr/lib/systemd",
)  # the first wins
_NO = ("no", "n", "false", "f", "off", "0")
_FIRST_LOGIN_USER = 1000  # system users below keep their shared memory
_UP, _MULTICAST = 0x1, 0x1000  # interface flags of Linux


def check_ros(machine: Machine, share: Path) -> Iterator[Finding]:
    """Yield the findings about ROS; `share` is the package's share folder."""
    yield check_installation(machine)
    yield check_middleware(machine)
    yield check_domain(machine)
    yield check_messages(machine)
    yield check_shared_memory(machine)
    yield check_leftovers(machine)
    yield check_removed_files(machine)
    yield check_removal_at_logout(machine)
    yield check_log_folder(machine)
    yield check_profile(machine, share)
    yield check_discovery(machine)
    yield check_network(machine)
    yield check_socket_buffers(machine)


def check_installation(machine: Machine) -> Finding:
    """Judge whether rclpy is there, from an installation or from wheels."""
    distribution = (
        machine.environ.get("ROS_DISTRO") or machine.read(str(machine.prefix / ".ros")) or "unknown"
    )
    if not machine.has_module("rclpy"):
        return problem("ROS 2", "rclpy not found", "make setup, or source an installation's setup.bash first")
    return ok("ROS 2", f"rclpy found ({distribution})")


def check_middleware(machine: Machine) -> Finding:
    """Judge the RMW implementation that would be loaded."""
    name = machine.environ.get("RMW_IMPLEMENTATION") or DEFAULT_RMW
    prefixes = [Path(item) for item in machine.environ.get("AMENT_PREFIX_PATH", "").split(":") if item]
    found = any(
        machine.files(str(prefix / "share" / name), "package.xml") for prefix in [machine.prefix, *prefixes]
    )
    if not found:
        return problem("middleware", f"{name} is not installed", "unset RMW_IMPLEMENTATION, or install it")
    if name != DEFAULT_RMW:
        return warning(
            "middleware",
            f"{name}: the transport profile and the measured figures are those of {DEFAULT_RMW}",
            f"export RMW_IMPLEMENTATION={DEFAULT_RMW}",
        )
    return ok("middleware", name)


def check_domain(machine: Machine) -> Finding:
    """Judge ROS_DOMAIN_ID: higher ones use ports that the system hands to other programs."""
    text = machine.environ.get("ROS_DOMAIN_ID") or "0"
    remedy = f"export ROS_DOMAIN_ID with a number from 0 to {LAST_SAFE_DOMAIN}"
    if not text.isdecimal() or int(text) > LAST_DOMAIN:
        return problem("domain", f"ROS_DOMAIN_ID is '{text}'", remedy)
    if int(text) > LAST_SAFE_DOMAIN:
        return warning("domain", f"ROS_DOMAIN_ID {text} uses ports that other programs may hold", remedy)
    return ok("domain", f"ROS_DOMAIN_ID {text}")


def check_messages(machine: Machine) -> Finding:
    """Judge whether the message package was built."""
    if machine.has_module("video2act_msgs"):
        return ok("messages", "video2act_msgs found")
    return problem(
        "messages", "video2act_msgs not found", "make setup, or build and source the ROS workspace"
    )


def check_shared_memory(machine: Machine) -> Finding:
    """Judge the size of /dev/shm: the transport profile wants a segment per process."""
    total, free = machine.disk_bytes(_SHARED_MEMORY)
    text = f"{_SHARED_MEMORY} {total / 2**20:.0f} MB, {free / 2**20:.0f} MB free"
    if free >= environment.SHARED_MEMORY_NEEDED_BYTES:
        return ok("shared memory", text)
    needed_mb = environment.SHARED_MEMORY_NEEDED_BYTES >> 20
    return warning(
        "shared memory",
        f"{text}; {needed_mb} MB wanted, so images are sent in fragments",
        environment.SHARED_MEMORY_REMEDY,
    )


def check_leftovers(machine: Machine) -> Finding:
    """Judge what dead Fast DDS processes left: they never give their shared memory back."""
    locks = (prefix + "[0-9a-f]" * 16 + "_el" for prefix in PREFIXES)
    segments = [path for pattern in locks for path in machine.files(_SHARED_MEMORY, pattern)]
    dead = sum(machine.unlocked(path) for path in segments)
    text = f"{len(segments) - dead} segments in use, {dead} left by dead processes"
    if dead:
        names = " ".join(f"{_SHARED_MEMORY}/{prefix}* {_SHARED_MEMORY}/sem.{prefix}*" for prefix in PREFIXES)
        return warning("segments", text, f"stop every ROS 2 process, then: rm -f {names}")
    return ok("segments", text)


def check_removed_files(machine: Machine) -> Finding:
    """Judge whether running processes have lost their shared memory: new ones reach them over the network alone."""
    lost = machine.without_shared_memory()
    if not lost:
        return ok("segments in use", "none was removed under a running process")
    names = ", ".join(f"{name} ({process})" for process, name in lost.items())
    return problem(
        "segments in use",
        f"removed from {_SHARED_MEMORY} under {names}: what goes through them arrives no more",
        f"restart those processes; {REMOVED_CAUSE}",
    )


def check_removal_at_logout(machine: Machine) -> Finding:
    """Judge whether systemd removes this user's shared memory at the last log-out, as it does by default."""
    topic = "shared memory at log-out"
    user, name = _user(machine)
    if not machine.files("/run/systemd/users", str(user)):
        return ok(topic, f"stays: {name} is not logged in by systemd-logind here")
    if user < _FIRST_LOGIN_USER:
        return ok(topic, "stays: systemd-logind spares root and system users")
    if _setting(machine, _LOGIND, "RemoveIPC", "yes") in _NO:
        return ok(topic, "stays: RemoveIPC=no")
    if machine.files("/var/lib/systemd/linger", name):
        return ok(topic, f"stays: {name} lingers")
    return warning(
        topic,
        f"systemd-logind removes it from {_SHARED_MEMORY}, also under running processes of {name}",
        f"loginctl enable-linger {name}, or RemoveIPC=no in /etc/systemd/logind.conf",
    )


def _user(machine: Machine) -> tuple[int, str]:
    """Return the number and the name of who runs this; the number again where no name is known."""
    status = (machine.read("/proc/self/status") or "").splitlines()
    user = next((int(line.split()[1]) for line in status if line.startswith("Uid:")), 0)
    entries = [line.split(":") for line in (machine.read("/etc/passwd") or "").splitlines()]
    return user, next((entry[0] for entry in entries if entry[2:3] == [str(user)]), str(user))


def _setting(machine: Machine, name: str, key: str, default: str) -> str:
    """Return a value, in lower case, of a configuration of systemd: the last one of the main file and its drop-ins."""
    files = [Path(folder) / name for folder in reversed(_SYSTEMD_FOLDERS)]
    drop_ins = {
        path.name: path
        for folder in reversed(_SYSTEMD_FOLDERS)
        for path in machine.files(f"{folder}/{name}.d", "*.conf")
    }
    main = [path for path in files if machine.read(str(path)) is not None][-1:]
    value = default
    for path in (*main, *(drop_ins[name] for name in sorted(drop_ins))):
        for line in (machine.read(str(path)) or "").splitlines():
            word, _, text = line.partition("=")
            if word.strip() == key:
                value = text.strip().lower() or default
    return value


def check_log_folder(machine: Machine) -> Finding:
    """Judge whether ROS can write log files; the nodes run without them, other ROS programs do not start."""
    text = machine.log_folder_problem()
    if text is None:
        return ok("log folder", str(log_folder(machine.environ)))
    found, _, remedy = text.rpartition("; ")
    return warning(
        "log folder", f"{found}: the nodes log to the console only, other programs do not start", remedy
    )


def check_profile(machine: Machine, share: Path) -> Finding:
    """Judge which Fast DDS profile the nodes will use."""
    part = machine.environ.get(environment.MACHINE_VARIABLE) or environment.ALL
    if part not in environment.MACHINES:
        choices = ", ".join(environment.MACHINES)
        remedy = f"export {environment.MACHINE_VARIABLE} with one of {choices}, or unset it"
        return problem("transport profile", f"{environment.MACHINE_VARIABLE} is '{part}'", remedy)
    chosen = environment.chosen_profile(machine.environ)
    own = environment.transport_profile(part, machine.disk_bytes(_SHARED_MEMORY)[1])
    if not chosen:
        if own is not None:
            return ok("transport profile", f"the package's {own}, set at process start")
        return warning("transport profile", "built-in: shared memory is too small", "see shared memory")
    if machine.read(chosen) is None:
        remedy = f"unset {' '.join(environment.PROFILE_VARIABLES)}"
        return warning("transport profile", f"{chosen} cannot be read", remedy)
    if own is not None and machine.read(chosen) == machine.read(str(share / "config" / own)):
        return ok("transport profile", f"the package's {own}")
    return ok("transport profile", f"{chosen}, chosen by you")


def check_discovery(machine: Machine) -> Finding:
    """Tell how nodes find each other."""
    if machine.environ.get(environment.RANGE_VARIABLE) == "OFF":
        remedy = f"export {environment.RANGE_VARIABLE}=LOCALHOST, or SUBNET"
        return problem("discovery", f"{environment.RANGE_VARIABLE} is OFF: no two processes meet", remedy)
    server, peers = machine.environ.get(environment.SERVER_VARIABLE), machine.environ.get("ROS_STATIC_PEERS")
    if server:
        text = f"by the server {server}, which every process must name; not always reliable"
        return warning(
            "discovery", text, "unset ROS_DISCOVERY_SERVER, set ROS_STATIC_PEERS: docs/two_machines.md"
        )
    return ok("discovery", f"by multicast and at {peers}" if peers else "by multicast")


def check_network(machine: Machine) -> Finding:
    """Judge the interfaces: nodes find each other by multicast, and the command node those of this machine without."""
    flags = {
        path.parent.name: int(text, 16)
        for path in machine.files(_NETWORK, "*/flags")
        if (text := machine.read(str(path)))
    }
    if not flags.get("lo", _UP) & _UP:
        return problem("network", "the loopback interface is down", "ip link set lo up")
    multicast = sorted(name for name, value in flags.items() if value & _UP and value & _MULTICAST)
    if multicast:
        return ok("network", f"multicast on {', '.join(multicast)}")
    return warning(
        "network",
        "no interface with multicast: the nodes of this machine find each other, other programs perhaps not",
        "ip link set lo multicast on",
    )


def check_socket_buffers(machine: Machine) -> Finding:
    """Judge the largest receive buffer; only images from another machine need it."""
    text = machine.read("/proc/sys/net/core/rmem_max")
    if text is None or not text.isdecimal():
        return ok("socket buffers", "net.core.rmem_max not readable here")
    if int(text) >= SOCKET_BUFFER_BYTES:
        return ok("socket buffers", f"net.core.rmem_max {text}")
    return warning(
        "socket buffers",
        f"net.core.rmem_max {text}: images from another machine may be lost",
        f"sysctl -w net.core.rmem_max={4 * SOCKET_BUFFER_BYTES}",
    )
