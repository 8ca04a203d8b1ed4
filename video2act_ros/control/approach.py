"""Quickest jerk-limited motion towards a moving target, each joint by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from ruckig import InputParameter, Result, Ruckig, RuckigError, Synchronization, Trajectory

from video2act_ros.control.joint_limits import JointLimits, Vector

_FRAME_SHARE = (0.98, 0.9)  # of the velocity and acceleration limits: what is left closes the gap


class Approach:
    """Computes the next state on the quickest way to a target that goes on moving.

    It plans in a frame that moves with the target, where the target is a fixed point: so the gap closes without
    lag or overshoot. The velocity and acceleration limits shift with the frame.
    """

    def __init__(self, limits: JointLimits, period_s: float) -> None:
        self._limits = limits
        self._period_s = period_s
        self._joints = len(limits.velocity_max)
        self._planner = Ruckig(self._joints)
        self._plan = Trajectory(self._joints)
        self._input = InputParameter(self._joints)
        self._input.synchronization = Synchronization.No
        self._input.max_jerk = limits.jerk_max.tolist()
        self._input.target_position = [0.0] * self._joints
        self._input.target_velocity = [0.0] * self._joints

    def next(
        self, state: Vector, goal: Vector, wanted: NDArray[np.bool_], accelerating: bool
    ) -> tuple[Vector, Vector]:
        """Return the state after one period and how long the joints still take [s].

        Args:
            state: (3, J) positions, velocities and accelerations now.
            goal: (3, J) where the target is one period from now, within the limits.
            wanted: (J,) the joints to plan for; the others' results mean nothing.
            accelerating: the target goes on with its acceleration, else only with its velocity.

        Returns:
            The next state (3, J) and the durations (J,), infinite where there is no plan.
        """
        period_s, limits = self._period_s, self._limits
        velocity_max, acceleration_max = limits.velocity_max, limits.acceleration_max
        v_share, a_share = _FRAME_SHARE
        v = np.minimum(np.maximum(goal[1], -v_share * velocity_max), v_share * velocity_max)
        if accelerating:
            a = np.minimum(np.maximum(goal[2], -a_share * acceleration_max), a_share * acceleration_max)
            spread = np.abs(a) * period_s  # the frame's velocity changes within the period
        else:
            a = spread = np.zeros_like(v)
        frame = np.array([goal[0] - period_s * (v - a * period_s / 2.0), v - a * period_s, a])
        given = self._input
        given.enabled = wanted.tolist()
        given.current_position, given.current_velocity, given.current_acceleration = (state - frame).tolist()
        given.target_acceleration = (goal[2] - a if accelerating else a).tolist()
        given.min_velocity = (-velocity_max - v - spread).tolist()
        given.max_velocity = (velocity_max - v + spread).tolist()
        given.min_acceleration = (-acceleration_max - a).tolist()
        given.max_acceleration = (acceleration_max - a).tolist()
        following, durations = self._solve(wanted)
        return following + np.array([goal[0], v, a]), durations

    def _solve(self, wanted: NDArray[np.bool_]) -> tuple[Vector, Vector]:
        """Plan all joints at once; should one have no solution, joint by joint."""
        if self._planned():
            return self._read(wanted)
        following = np.zeros((3, self._joints))
        durations = np.full(self._joints, np.inf)
        for joint in np.flatnonzero(wanted):
            alone = np.arange(self._joints) == joint
            self._input.enabled = alone.tolist()
            if self._planned():
                states, times = self._read(alone)
                following[:, joint], durations[joint] = states[:, joint], times[joint]
        return following, durations

    def _planned(self) -> bool:
        try:
            return self._planner.calculate(self._input, self._plan) == Result.Working
        except (
            RuckigError,
            ValueError,
        ):  # some of the library's error codes have no name and become ValueError
            return False

    def _read(self, wanted: NDArray[np.bool_]) -> tuple[Vector, Vector]:
        durations = np.where(wanted, self._plan.independent_min_durations, np.inf)
        return np.array(self._plan.at_time(self._period_s)), durations
