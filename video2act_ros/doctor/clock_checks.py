"""Check of the wall clock: two machines that work together need the same time."""

from __future__ import annotations

from video2act_ros.core.thresholds import Thresholds
from video2act_ros.doctor.findings import Finding, ok, problem, warning
from video2act_ros.doctor.kernel_clock import KernelClock
from video2act_ros.doctor.machine import Machine
from video2act_ros.ros import environment

LIMIT_S: float = Thresholds.model_fields["clock_offset_s"].default.stop
"""Between two machines; what a robot profile permits that says nothing else."""

TOPIC = "wall clock"
_TIME_SERVER_PORTS = (123, 319)  # UDP: NTP, PTP
_UDP_SOCKETS = ("/proc/net/udp", "/proc/net/udp6")
_LOOPBACK = ("0100007F", "00000000000000000000000001000000")  # as a little-endian kernel writes them
_SEE = "see Clocks in docs/two_machines.md"
_REMEDIES = {
    environment.ALL: f"synchronise it by chrony or PTP once System 2 runs on another machine; {_SEE}",
    environment.ROBOT: "follow a time server ('rtcsync' in chrony.conf tells the kernel), or serve the time to the GPU "
    f"host ('allow' and 'local stratum 8' in chrony.conf); {_SEE}",
    environment.GPU_HOST: "follow the robot's clock by chrony ('server ROBOT iburst' and 'rtcsync' in chrony.conf) or "
    f"PTP; {_SEE}",
}


def check_clock_synchronisation(machine: Machine) -> Finding:
    """Judge whether a time service disciplines the wall clock, by the kernel's word.

    With two machines an undisciplined clock is a problem, since engage may be refused; except on a robot that serves
    the time itself, as one without internet does. With one machine it is a warning.
    """
    part = machine.environ.get(environment.MACHINE_VARIABLE) or environment.ALL
    alone = part not in (environment.ROBOT, environment.GPU_HOST)
    clock = machine.kernel_clock()
    if clock is None:
        text = "unknown: the kernel's clock status (adjtimex) cannot be read here"
        return ok(TOPIC, text) if alone else warning(TOPIC, text, f"run chronyc tracking on the host; {_SEE}")
    if _good(clock):
        return ok(TOPIC, _text(clock))
    if part == environment.ROBOT and (port := _served_port(machine)) is not None:
        return ok(TOPIC, f"{_text(clock)}; serves the time (UDP port {port}), so the GPU host must follow it")
    judge = warning if alone else problem
    return judge(TOPIC, _text(clock), _REMEDIES[environment.ALL if alone else part])


def _good(clock: KernelClock) -> bool:
    return clock.synchronised and (clock.estimated_error_s or 0.0) <= LIMIT_S


def _text(clock: KernelClock) -> str:
    if not clock.synchronised:
        return "not synchronised by NTP, chrony or PTP"
    most = f"at most {1e3 * clock.maximum_error_s:.1f} ms"
    if clock.estimated_error_s is None:
        return f"synchronised; error not estimated, {most}"
    text = f"synchronised; estimated error {1e3 * clock.estimated_error_s:.1f} ms, {most}"
    return text if _good(clock) else f"{text}; {1e3 * LIMIT_S:.0f} ms are permitted between two machines"


def _served_port(machine: Machine) -> int | None:
    """Return the UDP port of a time server on this machine, or None; loopback addresses serve nobody else."""
    for path in _UDP_SOCKETS:
        for line in (machine.read(path) or "").splitlines()[1:]:
            address, _, port = line.split()[1].partition(":")
            if int(port, 16) in _TIME_SERVER_PORTS and address not in _LOOPBACK:
                return int(port, 16)
    return None
