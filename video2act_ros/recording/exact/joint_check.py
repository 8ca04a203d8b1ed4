"""Whether the joints that a chunk tells follow from the joint states in the bag."""

from __future__ import annotations

from array import array
from enum import Enum
from itertools import product

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import FloatArray, seconds_to_ns
from video2act_ros.recording.reading.decode import Message, stamp_to_ns

_NEAR = 6  # messages on each side of the time asked for
_SPAN_NS = seconds_to_ns(1.0)
_GAP = 1.7  # spacings of messages, from which on one is taken for lost


class JointFinding(Enum):
    """What a check found; UNKNOWN: the message that was used is not in the bag, or carried no stamp."""

    SAME = "same"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


class _Source:
    """One joint-state topic: stamps (n,) and positions (n, own joints) in policy units."""

    def __init__(self, indices: NDArray[np.int64]) -> None:
        self.indices = indices
        self._stamps = array("q")
        self._positions: list[FloatArray] = []

    def add(self, stamp_ns: int, positions: FloatArray) -> None:
        self._stamps.append(stamp_ns)
        self._positions.append(positions)

    def near(self, stamp_ns: int) -> tuple[list[int], FloatArray]:
        """Return the messages around a time, oldest first."""
        stamps = np.array(self._stamps)
        distances = np.abs(stamps - stamp_ns)
        close = np.flatnonzero(distances <= _SPAN_NS)
        chosen = np.sort(close[np.argsort(distances[close], kind="stable")[: 2 * _NEAR]])
        positions = [self._positions[index] for index in chosen]
        return [int(stamp) for stamp in stamps[chosen]], np.reshape(positions, (-1, len(self.indices)))


class JointCheck:
    """Takes every joint state of a bag; then checks chunks' joints bit by bit.

    Several topics arrive in another order at each node, and a node may miss a message. So the joints count as
    the same when some pair of messages around the observation gives exactly these by the interpolation of
    `core/synchroniser`.
    """

    def __init__(self, profile: RobotProfile) -> None:
        self._profile = profile
        self._sources: dict[int, _Source] = {}
        self._stamped = True

    def add(self, source_index: int, message: Message) -> None:
        """Take a message of one of the profile's joint-state topics."""
        profile = self._profile
        found = profile.order(list(message.name), profile.joint_states[source_index])
        indices = np.array([profile.joint_names.index(name) for name in found])
        whole = np.zeros(len(profile.joints))
        whole[indices] = np.asarray(message.position, dtype=np.float64)[list(found.values())]
        source = self._sources.setdefault(source_index, _Source(indices))
        stamp_ns = stamp_to_ns(message.header.stamp)
        self._stamped = self._stamped and stamp_ns != 0
        source.add(stamp_ns, profile.to_policy(whole)[indices])

    def check(self, stamp_ns: int, joint_stamp_ns: int, joints: FloatArray) -> JointFinding:
        """Compare (J,) joints of an observation at `stamp_ns`, measured or interpolated at `joint_stamp_ns`."""
        if not self._stamped:
            return JointFinding.UNKNOWN
        near = [(source.near(joint_stamp_ns), joints[source.indices]) for source in self._sources.values()]
        if all((values == wanted).all(axis=1).any() for (_, values), wanted in near):
            return JointFinding.SAME
        stamps = sorted({stamp for (stamps, _), _ in near for stamp in stamps})
        if joint_stamp_ns == stamp_ns:
            before = [stamp for stamp in reversed(stamps) if stamp < stamp_ns]
            after = [stamp for stamp in stamps if stamp >= stamp_ns]
            for first, last in product(before, after):
                share = (stamp_ns - first) / max(last - first, 1)
                if all(_mixes(values, wanted, share) for (_, values), wanted in near):
                    return JointFinding.SAME
        lost = any(_lacks_message(stamps, joint_stamp_ns) for (stamps, _), _ in near)
        return JointFinding.UNKNOWN if lost else JointFinding.DIFFERENT


def _mixes(values: FloatArray, wanted: FloatArray, share: float) -> bool:
    """Tell whether two rows of `values` (n, j), mixed as the synchroniser does, are exactly `wanted` (j,)."""
    mixed = values[:, None] + share * (values[None] - values[:, None])  # (n, n, j)
    return bool((mixed == wanted).all(axis=2).any())


def _lacks_message(stamps: list[int], stamp_ns: int) -> bool:
    """Tell whether messages are missing around a time: the spacing is uneven, or they end before it."""
    spacings = np.diff(np.array(stamps, dtype=np.int64))
    if not spacings.size or not stamps[0] <= stamp_ns <= stamps[-1]:
        return True
    return bool(spacings.max() > _GAP * float(np.median(spacings)))
