"""What drivers do that take plain set-points: the newest one goes to the motors at their own rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import InputError

Array = NDArray[np.float64]


class ForwardController:
    """Writes the newest set-point at each of its updates, whatever it is: no way from one to the next, no time-out.

    So does `forward_command_controller` of ros2_control, which drops a message with a value that is not finite. A
    vendor's driver of `joint_state` commands hands each one on to motors that plan by themselves; how is not known,
    so it is modelled in the same way. One thread.
    """

    def __init__(self, joint_names: Sequence[str], positions: Array) -> None:
        """Hold `positions` (K,), which are those of `joint_names`."""
        self.joint_names = tuple(joint_names)
        self._active = True
        self._positions = self._newest = np.array(positions, dtype=np.float64)

    @property
    def active(self) -> bool:
        """Whether set-points are acted on."""
        return self._active

    @property
    def moves(self) -> bool:
        """Always false: a set-point without a speed does not tell whether it is one of a motion."""
        return False

    def activate(self) -> None:
        """Act from now on, on what comes from now on."""
        self._active = True

    def deactivate(self) -> None:
        """Act no more: what was commanded last stands."""
        self._active, self._newest = False, self._positions

    def receive(self, names: Sequence[str], positions: Array) -> None:
        """Take a set-point (K,) for the next update.

        Raises:
            InputError: it does not name each joint once, or has a value that is not finite; nothing changes.
        """
        if len(names) != len(self.joint_names) or set(names) != set(self.joint_names):
            raise InputError(
                f"a set-point must name each of the {len(self.joint_names)} joints once "
                f"({', '.join(self.joint_names)}); got {', '.join(names) or 'none'}"
            )
        if len(positions) != len(names) or not np.all(np.isfinite(positions)):
            raise InputError(f"a set-point needs {len(names)} finite positions, got {list(positions)}")
        if self._active:
            self._newest = np.array([positions[list(names).index(name)] for name in self.joint_names])

    def update(self) -> Array:
        """Return the command (K,) of one update."""
        if self._active:
            self._positions = self._newest
        return self._positions.copy()
