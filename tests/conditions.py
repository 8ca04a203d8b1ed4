"""Waiting in tests: for conditions, never for a time."""

import threading
import time


def until(condition, what, timeout_s=20.0):
    """Wait for something that no callback tells."""
    ticking = threading.Event()
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited for {what}"
        ticking.wait(0.02)
