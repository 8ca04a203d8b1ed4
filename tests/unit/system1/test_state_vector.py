"""Action units and the unified vector."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from video2act_ros.system1.config import ActionsConfig, StateVectorConfig
from video2act_ros.system1.state_vector import ActionSpace, StateVector

JOINTS = 14
GRIPPERS = (6, 13)
SCALE = tuple(0.05 + 0.1 * joint for joint in range(JOINTS))


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("representation", ["absolute", "joint_relative"])
@pytest.mark.parametrize("scale", [None, SCALE])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_decoding_inverts_encoding(representation, scale, seed):
    """Positions survive normalisation and back, absolute and relative, with and without scale."""
    config = ActionsConfig(representation=representation, scale=scale, gripper_joints=GRIPPERS)
    space = ActionSpace(config, JOINTS)
    positions, joints = random(2, 5, JOINTS, seed=seed), random(2, JOINTS, seed=seed + 1)
    torch.testing.assert_close(space.decode(space.encode(positions, joints), joints), positions)


@given(shift=st.floats(-2.0, 2.0))
@settings(max_examples=20, deadline=None)
def test_relative_actions_ignore_where_the_arm_is(shift):
    """Moving arm and target together leaves relative actions as they are; grippers stay absolute."""
    space = ActionSpace(ActionsConfig(representation="joint_relative", gripper_joints=GRIPPERS), JOINTS)
    positions, joints = random(1, 5, JOINTS, seed=1), random(1, JOINTS, seed=2)
    before, after = space.encode(positions, joints), space.encode(positions + shift, joints + shift)
    arms = [joint for joint in range(JOINTS) if joint not in GRIPPERS]
    torch.testing.assert_close(after[..., arms], before[..., arms])
    torch.testing.assert_close(after[..., GRIPPERS], before[..., GRIPPERS] + shift)


def test_grippers_are_centred_in_relative_mode():
    """Closed and open grippers lie at −½ and ½ before the scale."""
    space = ActionSpace(ActionsConfig(representation="joint_relative", gripper_joints=(0,)), 1)
    encoded = space.encode(torch.tensor([[[0.0], [1.0]]]), torch.tensor([[0.3]]))
    assert encoded.flatten().tolist() == [-0.5, 0.5]


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(20)), count=st.integers(1, 20), seed=st.integers(0, 2**31))
def test_gather_inverts_scatter(order, count, seed):
    """Any assignment of joints to elements is undone by gathering; the mask marks exactly the used ones."""
    vector = StateVector(StateVectorConfig(size=20, indices=tuple(order[:count])))
    joints = random(3, count, seed=seed)
    scattered = vector.scatter(joints)
    assert torch.equal(vector.gather(scattered), joints)
    assert torch.equal(scattered * vector.mask, scattered)
    assert int(vector.mask.sum()) == count


def test_indices_outside_the_vector_are_refused():
    """A manifest that puts a joint outside the vector, or two on one element, does not load."""
    with pytest.raises(ValueError, match=r"0\.\.3"):
        StateVectorConfig(size=4, indices=(0, 4))
    with pytest.raises(ValueError, match="distinct"):
        StateVectorConfig(size=4, indices=(1, 1))
