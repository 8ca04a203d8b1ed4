"""What the kernel knows of its wall clock: whether a time service (NTP, chrony, PTP) disciplines it, and how well.

The kernel's own answer holds for every such service, and inside a container too.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

UNSYNCHRONISED = 0x40  # STA_UNSYNC of <sys/timex.h>
LARGEST_ERROR_US = 16_000_000
"""The kernel's largest error; it starts with it, and PTP services leave the estimated error there."""
_US_PER_S = 1e6
_RESERVED_BYTES = 128  # of `struct timex` behind the fields used here, and some more


class Timex(ctypes.Structure):
    """The beginning of Linux's `struct timex`; errors in µs."""

    _fields_ = (
        ("modes", ctypes.c_uint),  # 0: read only
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maximum_error", ctypes.c_long),
        ("estimated_error", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("fraction", ctypes.c_long),
        ("reserved", ctypes.c_byte * _RESERVED_BYTES),
    )


@dataclass(frozen=True, slots=True)
class KernelClock:
    """How the wall clock stands to true time, by the service that disciplines it."""

    synchronised: bool
    estimated_error_s: float | None  # None: the service told none
    maximum_error_s: float  # grows by 0.5 ms a second between two corrections


def read_timex() -> Timex | None:
    """Ask the kernel without changing anything; None where the call is missing or not permitted."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except AttributeError:
        return None
    timex = Timex()
    return timex if adjtimex(ctypes.byref(timex)) >= 0 else None


def kernel_clock(timex: Timex) -> KernelClock:
    """Return what the checks need of the kernel's answer.

    An estimated error of 0 (systemd-timesyncd) and the kernel's largest one (PTP) are no estimates.
    """
    estimated_us = timex.estimated_error
    return KernelClock(
        synchronised=not timex.status & UNSYNCHRONISED,
        estimated_error_s=estimated_us / _US_PER_S if 0 < estimated_us < LARGEST_ERROR_US else None,
        maximum_error_s=timex.maximum_error / _US_PER_S,
    )
