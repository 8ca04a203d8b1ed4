"""The last seconds of a run in memory, to be written as a bag when something went wrong."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

from video2act_ros.core.types import NS_PER_S
from video2act_ros.recording.writing.bag_records import RecordedMessage

PARAMETER_EVENTS = "/parameter_events"

_KEPT_CHANGES = 1000  # changes of parameters from before the window; older ones are forgotten


class RingBuffer:
    """Keeps messages of the last seconds, within a number of bytes. Thread-safe.

    What a late joiner must know outlives the window: states (of every latched topic the newest message of each
    publisher; all parameters of each node) and the changes of parameters.
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._span_ns = round(seconds * NS_PER_S)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._messages: deque[RecordedMessage] = deque()
        self._bytes = 0
        self._states: dict[tuple[str, bytes], RecordedMessage] = {}
        self._changes: deque[RecordedMessage] = deque(maxlen=_KEPT_CHANGES)

    @property
    def bytes(self) -> int:
        """Size of the messages in the window."""
        return self._bytes

    def add(self, message: RecordedMessage) -> None:
        """Add the newest message; what falls out of the window is forgotten, or kept as described."""
        with self._lock:
            self._messages.append(message)
            self._bytes += len(message.data)
            oldest_ns = message.log_ns - self._span_ns
            while self._bytes > self._max_bytes or self._messages[0].log_ns < oldest_ns:
                self._retire(self._messages.popleft())
                if not self._messages:
                    return

    def snapshot(self) -> list[RecordedMessage]:
        """Return what is kept: first the state at the window's begin, stamped with it, then the window."""
        with self._lock:
            window = list(self._messages)
            kept = sorted((*self._states.values(), *self._changes), key=lambda message: message.log_ns)
        start_ns = min((message.log_ns for message in window), default=0)
        return [*(replace(message, log_ns=start_ns or message.log_ns) for message in kept), *window]

    def _retire(self, message: RecordedMessage) -> None:
        self._bytes -= len(message.data)
        if message.state_of:
            self._states[message.topic.name, message.state_of] = message
        elif message.topic.name == PARAMETER_EVENTS:
            self._changes.append(message)
