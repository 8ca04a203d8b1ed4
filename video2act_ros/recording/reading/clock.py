"""Finds jumps of the clock that stamped a bag's messages."""

from __future__ import annotations

from video2act_ros.core.errors import BagError
from video2act_ros.core.types import NS_PER_S, seconds_to_ns
from video2act_ros.recording.reading.decode import stamp_to_ns
from video2act_ros.recording.reading.streams import RobotBag

_BACKWARD_NS = seconds_to_ns(0.5)  # a driver may deliver two messages in the wrong order
_FORWARD_NS = seconds_to_ns(1.0)  # beyond what the recorder's own clock moved


def check_clock(source: RobotBag, allowed: bool) -> int:
    """Count the jumps of the joint states' stamps against the times at which they were received.

    Raises:
        BagError: there are some and they are not `allowed`; tells the first one.
    """
    jumps = 0
    last: dict[int, tuple[int, int]] = {}  # by source: receive time, stamp
    for item in source.joint_messages():
        time_ns, (index, message) = item.time_ns, item.value
        stamp_ns = stamp_to_ns(message.header.stamp)
        if index in last and stamp_ns:
            received_ns, before_ns = last[index]
            step_ns = stamp_ns - before_ns
            if step_ns < -_BACKWARD_NS or step_ns - max(time_ns - received_ns, 0) > _FORWARD_NS:
                jumps += 1
                if not allowed:
                    at_s = (time_ns - source.bag.start_ns) / NS_PER_S
                    raise BagError(
                        f"the clock in bag {source.bag.path} jumps by {step_ns / NS_PER_S:+.2f} s after {at_s:.1f} s, "
                        "so stamps may be ambiguous; give --partial to take it nevertheless"
                    )
        last[index] = (time_ns, stamp_ns)
    return jumps
