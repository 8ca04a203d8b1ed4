"""Bounded steps between joint positions."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from video2act_ros.control.step_limits import interpolate, ramp

JOINTS = st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3).map(np.array)
LIMITS = np.array([0.01, 0.05, 0.2])


@given(JOINTS, JOINTS)
def test_interpolation_arrives_in_equal_bounded_steps(previous, target):
    """The last step is the target and no joint moves more than its limit in any step."""
    path = np.concatenate([previous[None], interpolate(previous, target, LIMITS)])
    steps = np.diff(path, axis=0)
    assert (np.abs(steps) <= LIMITS + 1e-9).all()
    np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-9)
    np.testing.assert_allclose(path[-1], target, atol=1e-9)


@given(JOINTS, JOINTS)
def test_a_ramp_never_overshoots_and_arrives(start, target):
    """Every joint goes straight to its target by its own limit and stays there."""
    path = np.concatenate([start[None], ramp(start, target, LIMITS)])
    assert (np.abs(np.diff(path, axis=0)) <= LIMITS + 1e-9).all()
    assert (np.diff(np.abs(path - target), axis=0) <= 1e-9).all()
    np.testing.assert_allclose(path[-1], target, atol=1e-9)
