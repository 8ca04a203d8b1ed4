import time

import pytest
from typer.testing import CliRunner

from video2act_ros.cli import app
from video2act_ros.doctor import clock_checks as checks
from video2act_ros.doctor.findings import Level
from video2act_ros.doctor.kernel_clock import (
    LARGEST_ERROR_US,
    UNSYNCHRONISED,
    KernelClock,
    Timex,
    kernel_clock,
    read_timex,
)
from video2act_ros.doctor.machine import ThisMachine

UNKNOWN_ERROR = KernelClock(synchronised=True, estimated_error_s=None, maximum_error_s=0.2)
POOR = KernelClock(synchronised=True, estimated_error_s=0.08, maximum_error_s=0.4)
LOST = KernelClock(synchronised=False, estimated_error_s=None, maximum_error_s=16.0)
SOCKETS = "  sl  local_address rem_address   st\n 1: {} 00000000:0000 07\n"


def finding_of(machine, part, clock):
    machine.clock = clock
    machine.environ = {"VIDEO2ACT_MACHINE": part}
    return checks.check_clock_synchronisation(machine)


@pytest.mark.parametrize("part", ["", "all", "robot", "gpu_host"])
def test_a_synchronised_clock_is_told_with_its_error(machine, part):
    """Whatever the machine runs; an error that no service told is not made up."""
    finding = finding_of(machine, part, machine.clock)
    assert finding.level is Level.OK
    assert finding.text == "synchronised; estimated error 0.2 ms, at most 5.0 ms"
    finding = finding_of(machine, part, UNKNOWN_ERROR)
    assert finding.level is Level.OK
    assert finding.text == "synchronised; error not estimated, at most 200.0 ms"


@pytest.mark.parametrize(
    ("part", "level", "remedy"),
    [
        ("", Level.WARNING, "another machine"),
        ("all", Level.WARNING, "another machine"),
        ("robot", Level.PROBLEM, "serve the time"),
        ("gpu_host", Level.PROBLEM, "server ROBOT iburst"),
    ],
)
@pytest.mark.parametrize(("clock", "words"), [(LOST, "not synchronised"), (POOR, "error 80.0 ms")])
def test_a_clock_that_is_off_matters_where_two_machines_work_together(
    machine, part, level, remedy, clock, words
):
    """One clear line with the remedy and where to read on: unsynchronised, or worse than engaging permits."""
    finding = finding_of(machine, part, clock)
    assert finding.level is level
    assert words in finding.text
    assert remedy in finding.remedy
    assert "docs/two_machines.md" in finding.remedy


@pytest.mark.parametrize(
    ("file", "address", "level"),
    [
        ("/proc/net/udp", "00000000:007B", Level.OK),
        ("/proc/net/udp6", f"{'0' * 32}:013F", Level.OK),
        ("/proc/net/udp", "0100007F:007B", Level.PROBLEM),
        ("/proc/net/udp", "00000000:1CE8", Level.PROBLEM),
    ],
)
def test_a_robot_that_serves_the_time_needs_no_better_source(machine, file, address, level):
    """Without internet the robot's own clock is the reference; a GPU host has to follow it nevertheless."""
    machine.texts[file] = SOCKETS.format(address)
    assert finding_of(machine, "robot", LOST).level is level
    assert finding_of(machine, "gpu_host", LOST).level is Level.PROBLEM


@pytest.mark.parametrize(
    ("part", "level"), [("", Level.OK), ("robot", Level.WARNING), ("gpu_host", Level.WARNING)]
)
def test_a_kernel_that_does_not_tell_is_no_failure(machine, part, level):
    """A container may be refused the call: the line says unknown and, with two machines, how to see it elsewhere."""
    finding = finding_of(machine, part, None)
    assert finding.level is level
    assert finding.text.startswith("unknown")


@pytest.mark.parametrize(
    ("estimated_us", "estimated_s"), [(250, 0.00025), (0, None), (LARGEST_ERROR_US, None)]
)
def test_what_no_service_wrote_is_no_estimate(estimated_us, estimated_s):
    """timesyncd leaves 0 in the kernel, PTP the start value of 16 s."""
    timex = Timex(maximum_error=5000, estimated_error=estimated_us, status=0x1)
    assert kernel_clock(timex) == KernelClock(True, estimated_s, 0.005)
    timex.status |= UNSYNCHRONISED
    assert not kernel_clock(timex).synchronised


def test_the_real_kernel_is_understood():
    """Its answer has the layout that is read here: its own time of day stands where it should."""
    timex = read_timex()
    if timex is None:
        pytest.skip("adjtimex is not permitted here")
    assert abs(timex.seconds - time.time()) < 5.0
    clock = ThisMachine().kernel_clock()
    assert 0.0 <= clock.maximum_error_s <= 16.0
    assert clock.synchronised == (not timex.status & UNSYNCHRONISED)


def test_the_machine_is_told_on_the_command_line(monkeypatch):
    """`--machine` goes before the environment; a wrong one is refused with the choices, first of all."""
    monkeypatch.setenv("VIDEO2ACT_MACHINE", "robot")
    assert ThisMachine({"VIDEO2ACT_MACHINE": "gpu_host"}).environ["VIDEO2ACT_MACHINE"] == "gpu_host"
    assert ThisMachine().environ["VIDEO2ACT_MACHINE"] == "robot"
    result = CliRunner().invoke(app, ["doctor", "--machine", "moon"])
    assert result.exit_code != 0
    assert "all, robot, gpu_host" in str(result.exception)
