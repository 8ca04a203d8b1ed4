"""Memory that the process holds without using it."""

from __future__ import annotations

import ctypes


def return_free_memory() -> None:
    """Give free pages back to the operating system; takes milliseconds.

    The nodes' allocator keeps what is freed, so that large messages cost no page faults. A replaced model
    would stay resident that way, again and again in another thread's heap. Without glibc nothing happens.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return
    trim(0)
