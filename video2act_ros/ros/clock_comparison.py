"""Compares a node's clock with the command node's, which reckons with every stamp."""

from __future__ import annotations

import time
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType

from video2act_msgs.srv import ReadClock
from video2act_ros.core.clock_offset import ClockExchange, ClockOffset
from video2act_ros.core.input_report import InputValue
from video2act_ros.ros.convert import stamp_to_ns
from video2act_ros.ros.lifecycle import ManagedNode

SERVICE = "read_clock"
_PERIOD_S = 0.5
_GIVE_UP_S = 2.0  # an answer after that would say little


class ClockComparison:
    """Asks the command node for its time, twice a second, in the executor's thread.

    It is the ROS clock that is compared, since stamps come from it: the machines' clocks, or the simulated
    ones where both follow `/clock`. Make it in the node's `start`.
    """

    def __init__(self, node: ManagedNode) -> None:
        self._node = node
        self._offset = ClockOffset()
        self._client = node.create_client(ReadClock, SERVICE)
        self._question: Any = None  # future
        self._asked_s = 0.0
        node.create_timer(_PERIOD_S, self._ask, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def values(self) -> tuple[InputValue, ...]:
        """Return how far the node's clock is ahead of the command node's, and how far behind."""
        return self._offset.values(time.monotonic())

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _ask(self) -> None:
        with self._node.reporting(SERVICE):
            if self._question is not None:
                if time.monotonic() - self._asked_s < _GIVE_UP_S:
                    return
                self._client.remove_pending_request(self._question)
                self._question = None
            if not self._client.service_is_ready():
                return
            asked_ns, self._asked_s = self._now_ns(), time.monotonic()
            question = self._question = self._client.call_async(ReadClock.Request())
            question.add_done_callback(lambda future: self._take(future, asked_ns))

    def _take(self, question: Any, asked_ns: int) -> None:
        returned_ns, now_s = self._now_ns(), time.monotonic()
        with self._node.reporting(SERVICE):
            if question is not self._question or question.cancelled():
                return
            self._question = None
            told_ns = stamp_to_ns(question.result().stamp)
            self._offset.add(ClockExchange(asked_ns, told_ns, returned_ns, now_s - self._asked_s), now_s)
            best = self._offset.best(now_s)
            if best is not None:
                self._node.health.value("clock_offset_s", best.offset_s)
                self._node.health.value("clock_uncertainty_s", best.uncertainty_s)
