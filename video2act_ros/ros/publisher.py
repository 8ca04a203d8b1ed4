"""A publisher whose failures cost one message and never the thread that publishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.publisher import Publisher

from video2act_ros.core.errors import TransportError


class GuardedPublisher(Publisher):  # type: ignore[misc]  # rclpy's is generic in some releases only
    """Reports a message that the middleware did not take instead of raising.

    Fast DDS refuses one now and then: when a subscriber dies, or when its own threads get no time to run. The
    next message is as likely to go through as any, and a control or driver thread must live to send it.
    """

    on_failure: Callable[[TransportError], None] | None = None

    def publish(self, msg: Any) -> None:
        """Send a message; `on_failure` is called, in this thread, when it could not be sent."""
        try:
            super().publish(msg)
        except rclpy_implementation.RCLError as error:
            if self.on_failure is None:
                raise
            self.on_failure(
                TransportError(f"a message on {self.topic_name} was lost ({error}); check the machine's load")
            )
