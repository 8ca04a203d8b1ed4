"""Whether the joints that a chunk tells follow from the joint states in the bag."""

from __future__ import annotations

from array import array
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import FloatArray, seconds_to_ns
from video2act_ros.recording.reading.decode import Message, stamp_to_ns

_NEAR = 6  # messages on each side of the time asked for, which nearly always suffice
_SPAN_NS = seconds_to_ns(1.0)
_FAR_NS = seconds_to_ns(0.2)  # on each side: a node that missed messages mixed two that lie so far apart
_ROUNDING = 1e-14  # of positions up to some radians or metres, with room
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

    def far(self, stamp_ns: int) -> tuple[list[int], FloatArray]:
        """Return every message around a time that a node may have mixed, oldest first."""
        stamps = np.array(self._stamps)
        return self._rows(stamps, np.flatnonzero(np.abs(stamps - stamp_ns) <= _FAR_NS))

    def near(self, stamp_ns: int) -> tuple[list[int], FloatArray]:
        """Return the few messages nearest to a time, oldest first."""
        stamps = np.array(self._stamps)
        distances = np.abs(stamps - stamp_ns)
        close = np.flatnonzero(distances <= _SPAN_NS)
        chosen = np.sort(close[np.argsort(distances[close], kind="stable")[: 2 * _NEAR]])
        return self._rows(stamps, chosen)

    def _rows(self, stamps: NDArray[np.int64], chosen: NDArray[np.int64]) -> tuple[list[int], FloatArray]:
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
        if joint_stamp_ns == stamp_ns and (
            self._mixed(near, stamp_ns)
            or self._mixed(
                [(source.far(stamp_ns), joints[source.indices]) for source in self._sources.values()],
                stamp_ns,
            )
        ):
            return JointFinding.SAME
        lost = any(_lacks_message(stamps, joint_stamp_ns) for (stamps, _), _ in near)
        return JointFinding.UNKNOWN if lost else JointFinding.DIFFERENT

    @staticmethod
    def _mixed(sources: list[tuple[tuple[list[int], FloatArray], FloatArray]], stamp_ns: int) -> bool:
        """Tell whether one pair of the messages' stamps mixes every source's joints to exactly what is wanted."""
        stamps = np.array(sorted({stamp for (stamps, _), _ in sources for stamp in stamps}), dtype=np.int64)
        before, after = stamps[stamps < stamp_ns], stamps[stamps >= stamp_ns]
        if not before.size or not after.size:
            return False
        spans = np.maximum(after[None] - before[:, None], 1)
        shares = np.unique((stamp_ns - before[:, None]) / spans)  # rising
        for (_, values), wanted in sources:
            shares = _fitting(values, wanted, shares)
        return bool(shares.size)


def _fitting(values: FloatArray, wanted: FloatArray, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return those of the rising `shares` (k,) with which two rows of `values` (n, j) mix to exactly `wanted` (j,).

    The synchroniser mixes a + share (b - a). The joint that differs most between a and b tells the share but for
    rounding, so that only few of the k n² combinations are computed.
    """
    if not len(values) or not shares.size:
        return shares[:0]
    first, steps = values[:, None], values[None] - values[:, None]  # (n, 1, j), (n, n, j)
    axis = np.abs(steps).argmax(axis=2)[..., None]
    step = np.take_along_axis(steps, axis, axis=2)[..., 0]  # (n, n)
    offset = np.take_along_axis(np.broadcast_to(wanted - first, steps.shape), axis, axis=2)[..., 0]
    still = step == 0
    if (still & (values == wanted).all(axis=1)[:, None]).any():
        return shares  # two equal rows mix to themselves with any share
    likely = np.divide(offset, step, out=np.full_like(step, -1.0), where=~still)
    slack = _ROUNDING * np.divide(1.0 + np.abs(offset), np.abs(step), out=np.zeros_like(step), where=~still)
    low, high = np.searchsorted(shares, likely - slack), np.searchsorted(shares, likely + slack, side="right")
    rows, columns = np.nonzero(high > low)
    found = {
        index
        for row, column in zip(rows, columns, strict=True)
        for index in range(low[row, column], high[row, column])
        if (values[row] + shares[index] * steps[row, column] == wanted).all()
    }
    return shares[sorted(found)]


def _lacks_message(stamps: list[int], stamp_ns: int) -> bool:
    """Tell whether messages are missing around a time: the spacing is uneven, or they end before it."""
    spacings = np.diff(np.array(stamps, dtype=np.int64))
    if not spacings.size or not stamps[0] <= stamp_ns <= stamps[-1]:
        return True
    return bool(spacings.max() > _GAP * float(np.median(spacings)))
