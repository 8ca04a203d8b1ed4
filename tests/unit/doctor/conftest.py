"""A machine whose every answer a test chooses."""

from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import pytest

from video2act_ros.control.realtime import RealtimeReport
from video2act_ros.control.statistics import Summary
from video2act_ros.doctor.kernel_clock import KernelClock

GIB = 1 << 30
SYNCHRONISED = KernelClock(synchronised=True, estimated_error_s=0.0002, maximum_error_s=0.005)


@dataclass
class FakeMachine:
    environ: dict = field(default_factory=dict)
    python: tuple = (3, 11)
    prefix: Path = Path("/prefix")
    cpu_count: int = 4
    load_average: float = 0.5
    texts: dict = field(default_factory=dict)  # path -> text
    disk: tuple = (2 * GIB, 2 * GIB)
    locked: frozenset = frozenset()
    granted: str = "SCHED_FIFO 40"
    rlimits: tuple = (0, 8 << 20)
    resolution_s: float = 1e-9
    clock: KernelClock | None = SYNCHRONISED
    modules: frozenset = frozenset({"rclpy", "video2act_msgs", "torch"})
    gl: str | None = "egl"
    lost: dict = field(default_factory=dict)  # process id -> name
    log_problem: str | None = None

    def cpus(self):
        return self.cpu_count

    def load(self):
        return self.load_average

    def read(self, path):
        return self.texts.get(str(path))

    def files(self, folder, pattern):
        return tuple(Path(path) for path in sorted(self.texts) if fnmatch(path, f"{folder}/{pattern}"))

    def disk_bytes(self, folder):
        return self.disk

    def unlocked(self, path):
        return path.name not in self.locked

    def without_shared_memory(self):
        return self.lost

    def log_folder_problem(self):
        return self.log_problem

    def scheduling(self, priority):
        return self.granted

    def limits(self):
        return self.rlimits

    def clock_resolution_s(self):
        return self.resolution_s

    def kernel_clock(self):
        return self.clock

    def probe(self, priority, period_s, ticks):
        words = self.granted if priority else "normal"
        return RealtimeReport(ticks, 3, Summary(ticks - 1, 5.0, 5.0, 5.0), words)

    def has_module(self, name):
        return name in self.modules

    def gl_library(self):
        return self.gl


@pytest.fixture
def machine():
    """A machine that grants everything."""
    return FakeMachine(
        texts={
            "/prefix/share/rmw_fastrtps_cpp/package.xml": "",
            "/sys/class/net/lo/flags": "0x1009",
            "/proc/sys/net/core/rmem_max": "8388608",
            "/proc/self/status": "CapEff:\t000001fffeffffff",
        }
    )
