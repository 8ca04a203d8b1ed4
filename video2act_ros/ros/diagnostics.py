"""What a node tells on /diagnostics: rates, figures and the problems it has now."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from video2act_ros.ros import qos

_RATE_WINDOW_S = 5.0
_PROBLEM_HOLD_S = 3.0  # a passing problem stays visible for a few messages


class Level(IntEnum):
    """DiagnosticStatus levels."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(slots=True)
class _Problem:
    level: Level
    text: str
    until_s: float  # monotonic; inf until resolved


@dataclass(frozen=True, slots=True)
class HealthReport:
    """A moment's health: worst level, every problem in words, and named figures."""

    level: Level
    message: str
    values: dict[str, str] = field(default_factory=dict)


class Health:
    """Collects rates, figures and problems of one node. Thread-safe; knows nothing of ROS."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._events: dict[str, deque[float]] = {}
        self._values: dict[str, str] = {}
        self._problems: dict[str, _Problem] = {}

    def count(self, name: str) -> None:
        """Note that `name` happened; its rate over the last seconds is reported as `name_hz`."""
        now_s = self._clock()
        with self._lock:
            events = self._events.setdefault(name, deque())
            events.append(now_s)
            while events[0] < now_s - _RATE_WINDOW_S:
                events.popleft()

    def value(self, name: str, value: float | int | str) -> None:
        """Report a figure or a text under `name`, until it is given anew."""
        with self._lock:
            self._values[name] = f"{value:.4g}" if isinstance(value, float) else str(value)

    def problem(self, name: str, text: str, level: Level = Level.ERROR, *, passing: bool = False) -> None:
        """Report a problem until `resolve(name)`; a `passing` one for a few seconds after its last mention."""
        until_s = self._clock() + _PROBLEM_HOLD_S if passing else float("inf")
        with self._lock:
            self._problems[name] = _Problem(level, text, until_s)

    def resolve(self, name: str) -> None:
        """Take a problem back."""
        with self._lock:
            self._problems.pop(name, None)

    def reset(self) -> None:
        """Forget everything, as after a deactivation."""
        with self._lock:
            self._events.clear()
            self._values.clear()
            self._problems.clear()

    def report(self) -> HealthReport:
        """Return the state now."""
        now_s = self._clock()
        with self._lock:
            self._problems = {k: p for k, p in self._problems.items() if p.until_s > now_s}
            values = {
                f"{name}_hz": f"{sum(t > now_s - _RATE_WINDOW_S for t in events) / _RATE_WINDOW_S:.2f}"
                for name, events in self._events.items()
            }
            problems = sorted(self._problems.values(), key=lambda problem: -problem.level)
            level = problems[0].level if problems else Level.OK
            message = "; ".join(problem.text for problem in problems) or "ok"
            return HealthReport(level, message, values | self._values)


class DiagnosticsPublisher:
    """Publishes a node's Health on /diagnostics; `publish` is called by the node's timer and on changes."""

    def __init__(self, node: Node, health: Health) -> None:
        self._node = node
        self._health = health
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", qos.DATA)

    def publish(self, state: str) -> None:
        """Publish the health now; `state` is the lifecycle state's name."""
        report = self._health.report()
        values = {"lifecycle": state} | report.values
        status = DiagnosticStatus(
            level=bytes([report.level]),
            name=self._node.get_fully_qualified_name(),
            message=report.message,
            hardware_id="video2act",
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
