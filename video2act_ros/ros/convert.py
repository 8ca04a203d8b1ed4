"""Messages to the project's types and back: stamps and joints. Images: `convert_images`."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from video2act_ros.core.errors import InputError
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import NS_PER_S, JointSample, seconds_to_ns


def stamp_to_ns(stamp: Time) -> int:
    """Return a ROS time in nanoseconds."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def ns_to_stamp(stamp_ns: int) -> Time:
    """Return nanoseconds as a ROS time."""
    return Time(sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)


def duration_to_s(duration: Duration) -> float:
    """Return a ROS duration in seconds."""
    return float(duration.sec + duration.nanosec / NS_PER_S)


def s_to_duration(duration_s: float) -> Duration:
    """Return seconds as a ROS duration."""
    duration_ns = seconds_to_ns(duration_s)
    return Duration(sec=duration_ns // NS_PER_S, nanosec=duration_ns % NS_PER_S)


def set_bytes(message: Any, values: NDArray[Any]) -> None:
    """Put an array's bytes into the message's uint8[] field `data` with one copy.

    The generated setter would check or copy element by element; the field's own storage is array('B').
    """
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(values).data.cast("B"))
    message._data = data


class JointStateMerger:
    """Joins the JointState topics of a robot profile into samples in the profile's joint order. One thread."""

    def __init__(self, profile: RobotProfile) -> None:
        self._profile = profile
        count = len(profile.joints)
        self._positions = np.full(count, np.nan)  # robot units
        self._velocities = np.full(count, np.nan)
        self._stamps_ns = np.zeros(count, dtype=np.int64)

    @property
    def missing(self) -> tuple[str, ...]:
        """Joints that no message has carried yet."""
        unknown = np.isnan(self._positions)
        return tuple(name for name, gone in zip(self._profile.joint_names, unknown, strict=True) if gone)

    def clear(self) -> None:
        """Forget every value."""
        self._positions[:] = np.nan
        self._velocities[:] = np.nan
        self._stamps_ns[:] = 0

    def update(self, source_index: int, message: JointState, now_ns: int) -> JointSample | None:
        """Take a message of one source; return a sample in policy units once every joint is known.

        Its stamp is the oldest of its parts'. A message without a stamp counts as measured at `now_ns`.

        Raises:
            InputError: names and positions differ in length, no joint is ours, or a value is not finite.
        """
        source = self._profile.joint_states[source_index]
        if len(message.name) != len(message.position):
            raise InputError(
                f"'{source.topic}' carries {len(message.name)} names and {len(message.position)} positions; "
                "check the joint_states source"
            )
        found = self._profile.order(list(message.name), source)
        ours = np.array([self._profile.joint_names.index(name) for name in found])
        theirs = np.fromiter(found.values(), dtype=np.int64)
        positions = np.asarray(message.position, dtype=np.float64)[theirs]
        if not np.all(np.isfinite(positions)):
            broken = [name for name, value in zip(found, positions, strict=True) if not np.isfinite(value)]
            raise InputError(
                f"'{source.topic}' gives NaN or infinite positions for {', '.join(broken)}; check the arm's driver"
            )
        self._positions[ours] = positions
        has_velocities = len(message.velocity) == len(message.name)
        self._velocities[ours] = np.asarray(message.velocity)[theirs] if has_velocities else np.nan
        self._stamps_ns[ours] = stamp_to_ns(message.header.stamp) or now_ns
        return None if self.missing else self._sample()

    def _sample(self) -> JointSample:
        zero = self._profile.to_policy(np.zeros_like(self._positions))
        velocities = self._profile.to_policy(self._velocities) - zero  # rates have no offset
        return JointSample(
            int(self._stamps_ns.min()),
            self._profile.to_policy(self._positions),
            velocities if np.all(np.isfinite(velocities)) else None,
        )
