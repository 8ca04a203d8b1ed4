"""The project's types to messages: stamps and bytes. The way back is `recording/decode`, which bags share."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from numpy.typing import NDArray

from video2act_ros.core.types import NS_PER_S
from video2act_ros.recording.reading.decode import JointStateMerger as JointStateMerger
from video2act_ros.recording.reading.decode import duration_to_s as duration_to_s
from video2act_ros.recording.reading.decode import stamp_to_ns as stamp_to_ns


def ns_to_stamp(stamp_ns: int) -> Time:
    """Return nanoseconds as a ROS time."""
    return Time(sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)


def ns_to_duration(duration_ns: int) -> Duration:
    """Return nanoseconds as a ROS duration."""
    return Duration(sec=duration_ns // NS_PER_S, nanosec=duration_ns % NS_PER_S)


def set_bytes(message: Any, values: NDArray[Any]) -> None:
    """Put an array's bytes into the message's uint8[] field `data` with one copy.

    The generated setter would check or copy element by element; the field's own storage is array('B').
    """
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(values).data.cast("B"))
    message._data = data
