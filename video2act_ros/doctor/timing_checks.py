"""Checks of what decides how regular the control tick is: CPUs, scheduling class, memory, clock."""

from __future__ import annotations

from collections.abc import Iterator

from video2act_ros.control.realtime import RealtimeReport
from video2act_ros.core.config import CommandConfig
from video2act_ros.doctor.findings import Finding, ok, problem, warning
from video2act_ros.doctor.machine import Machine

PYTHON_FIRST, PYTHON_LAST = (3, 10), (3, 13)
MEMLOCK_BYTES = 256 << 20  # more than the command process needs
PROBE_PERIOD_S, PROBE_TICKS = 0.01, 100
_CAP_IPC_LOCK = 14  # bit of Linux
_COARSE_CLOCK_S = 1e-6
_STOLEN_LIMIT = 1e-3
PROC_STAT = "/proc/stat"


def check_timing(machine: Machine) -> Iterator[Finding]:
    """Yield the findings about Python, CPUs and real-time care; takes about two seconds."""
    yield check_python(machine)
    yield check_cpus(machine)
    yield check_governor(machine)
    yield check_scheduling(machine)
    yield check_memory_lock(machine)
    yield check_clock(machine)
    before = machine.read(PROC_STAT)
    for priority in (CommandConfig().realtime_priority, 0):
        report = machine.probe(priority, PROBE_PERIOD_S, PROBE_TICKS)
        yield ok(f"timer, {report.scheduling.split(' (')[0]}", probe_text(report))
    yield stolen_time(before, machine.read(PROC_STAT))


def check_python(machine: Machine) -> Finding:
    """Judge the interpreter's version."""
    text = "{}.{}".format(*machine.python)
    if PYTHON_FIRST <= machine.python <= PYTHON_LAST:
        return ok("Python", text)
    return problem(
        "Python", f"{text} is not supported", "use Python 3.10 to 3.13: PYTHON=python3.12 make setup"
    )


def check_cpus(machine: Machine) -> Finding:
    """Judge the number of CPUs and how busy they are already."""
    cpus, load = machine.cpus(), machine.load()
    text = f"{cpus} usable, load {load:.1f}"
    if cpus < 2:
        return warning(
            "CPUs", text, "give the stack two CPUs or more: two models, the cameras and the control"
        )
    if load > cpus:
        return warning("CPUs", f"{text}: busy already", "end other programs before the arm moves")
    return ok("CPUs", text)


def check_governor(machine: Machine) -> Finding:
    """Judge the CPU frequency governor; a virtual machine shows none."""
    files = machine.files("/sys/devices/system/cpu", "cpu*/cpufreq/scaling_governor")
    governors = sorted({text for file in files if (text := machine.read(str(file)))})
    if not governors:
        return ok("CPU frequency", "governor not readable here (usual in a virtual machine)")
    text = f"governor {', '.join(governors)}"
    if governors == ["performance"]:
        return ok("CPU frequency", text)
    return warning(
        "CPU frequency", f"{text}: ticks wake a sleeping CPU", "cpupower frequency-set -g performance"
    )


def check_scheduling(machine: Machine) -> Finding:
    """Judge whether the control thread may run in SCHED_FIFO."""
    priority = CommandConfig().realtime_priority
    granted = machine.scheduling(priority)
    if granted.startswith("SCHED_FIFO"):
        return ok("scheduling", f"{granted} permitted")
    limit = machine.limits()[0]
    return warning(
        "scheduling",
        f"{granted}; rtprio limit {limit}",
        f"put '@users - rtprio {priority}' into /etc/security/limits.d/realtime.conf and log in again (container: "
        f"--ulimit rtprio={priority}), or grant CAP_SYS_NICE",
    )


def check_memory_lock(machine: Machine) -> Finding:
    """Judge whether the command process may keep its memory from being swapped out."""
    if _has_capability(machine, _CAP_IPC_LOCK):
        return ok("memory lock", "unlimited (CAP_IPC_LOCK)")
    limit = machine.limits()[1]
    text = "unlimited" if limit < 0 else f"{limit / 2**20:.0f} MB"
    if limit < 0 or limit >= MEMLOCK_BYTES:
        return ok("memory lock", text)
    if (machine.read("/proc/swaps") or "").count("\n") == 0:
        return ok("memory lock", f"{text}; enough, since this machine has no swap")
    return warning(
        "memory lock",
        f"{text}: swapping can delay the control thread",
        "switch swap off, or put '@users - memlock unlimited' into /etc/security/limits.d/realtime.conf",
    )


def _has_capability(machine: Machine, bit: int) -> bool:
    for line in (machine.read("/proc/self/status") or "").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> bit & 1)
    return False


def check_clock(machine: Machine) -> Finding:
    """Judge the monotonic clock's resolution."""
    resolution_s = machine.clock_resolution_s()
    text = f"resolution {1e9 * resolution_s:.0f} ns"
    if resolution_s <= _COARSE_CLOCK_S:
        return ok("clock", text)
    return warning("clock", text, "use a kernel with high-resolution timers (CONFIG_HIGH_RES_TIMERS)")


def probe_text(report: RealtimeReport) -> str:
    """Return the figures of an idle control thread; they are reported, never judged."""
    error = report.period_error_s
    figures = [("p50", error.p50), ("p99", error.p99), ("max", error.maximum)]
    words = ", ".join(f"{name} {1e6 * value:.0f} µs" for name, value in figures if value is not None)
    return f"period error at {1 / PROBE_PERIOD_S:.0f} Hz: {words}; {report.missed} missed"


def stolen_share(before: str | None, after: str | None) -> float | None:
    """Return which share of all CPUs' time the host of a virtual machine took between two texts of /proc/stat."""
    if not before or not after:
        return None
    first, last = ([int(item) for item in text.splitlines()[0].split()[1:9]] for text in (before, after))
    return (last[7] - first[7]) / max(sum(last) - sum(first), 1)


def stolen_time(before: str | None, after: str | None) -> Finding:
    """Judge the CPU time that the host of a virtual machine took from it: no priority helps against that."""
    share = stolen_share(before, after)
    if share is None:
        return ok("stolen time", "not readable here")
    text = f"{share:.2%} of the CPU time went to the host during the probes"
    if share < _STOLEN_LIMIT:
        return ok("stolen time", text)
    return warning("stolen time", f"{text}: ticks stall whatever their priority", "run on a host of its own")
