import pytest

from video2act_ros.doctor import timing_checks as checks
from video2act_ros.doctor.findings import Level


def test_a_good_machine_has_no_complaints(machine):
    """Where all is granted, every line is ok and names no remedy."""
    findings = list(checks.check_timing(machine))
    assert {item.level for item in findings} == {Level.OK}
    assert not any(item.remedy for item in findings)


@pytest.mark.parametrize("version", [(3, 9), (3, 14), (4, 0)])
def test_an_unsupported_python_is_a_problem(machine, version):
    """The stack runs on Python 3.10 to 3.13 only."""
    machine.python = version
    assert checks.check_python(machine).level is Level.PROBLEM


@pytest.mark.parametrize(("cpus", "load"), [(1, 0.0), (2, 2.5)])
def test_few_or_busy_cpus_are_warned_about(machine, cpus, load):
    """The stack runs there, only worse: a warning, no problem."""
    machine.cpu_count, machine.load_average = cpus, load
    assert checks.check_cpus(machine).level is Level.WARNING


def test_a_power_saving_governor_is_warned_about(machine):
    """The governor is named, with the command that changes it."""
    machine.texts["/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"] = "powersave"
    finding = checks.check_governor(machine)
    assert finding.level is Level.WARNING
    assert "powersave" in finding.text
    assert "performance" in finding.remedy


def test_refused_realtime_names_both_ways_to_get_it(machine):
    """A user without SCHED_FIFO learns of the capability and of the limit; the stack still runs."""
    machine.granted = "normal (SCHED_FIFO 40 refused)"
    finding = checks.check_scheduling(machine)
    assert finding.level is Level.WARNING
    assert "CAP_SYS_NICE" in finding.remedy
    assert "rtprio 40" in finding.remedy


@pytest.mark.parametrize(
    ("limit", "swaps", "level"),
    [
        (8 << 20, "Filename\tType\n/swapfile file", Level.WARNING),
        (8 << 20, "Filename\tType", Level.OK),
        (-1, "Filename\tType\n/swapfile file", Level.OK),
    ],
)
def test_a_low_memory_lock_limit_matters_only_with_swap(machine, limit, swaps, level):
    """What cannot be swapped out need not be locked."""
    machine.texts |= {"/proc/self/status": "CapEff:\t0000000000000000", "/proc/swaps": swaps}
    machine.rlimits = (0, limit)
    assert checks.check_memory_lock(machine).level is level


def test_a_coarse_clock_is_warned_about(machine):
    """A clock of whole milliseconds cannot time a tick."""
    machine.resolution_s = 1e-3
    assert checks.check_clock(machine).level is Level.WARNING


def test_timer_figures_are_reported_and_never_judged(machine):
    """Seconds of jitter and missed ticks are still ok lines, one for each scheduling class."""
    probes = [item for item in checks.check_timing(machine) if item.topic.startswith("timer")]
    assert [item.topic for item in probes] == ["timer, SCHED_FIFO 40", "timer, normal"]
    assert {item.level for item in probes} == {Level.OK}
    assert "p99 5000000 µs" in probes[0].text
    assert "3 missed" in probes[0].text


@pytest.mark.parametrize(("after", "level"), [(0, Level.OK), (5, Level.WARNING)])
def test_time_taken_by_the_host_is_warned_about(after, level):
    """No priority helps against a host that stops the virtual machine: the user must know."""
    assert checks.stolen_time("cpu 0 0 0 900 0 0 0 0", f"cpu 50 0 0 1045 0 0 0 {after}").level is level
