"""The unified state/action vector and what an action in it means (docs/reference.md, "state vector")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from video2act_ros.system1.config import ActionsConfig, StateVectorConfig

GRIPPER_CENTRE = 0.5  # middle of the opening range [0, 1]


class StateVector(nn.Module):
    """Scatters J joints into the vector of A elements, gathers them back, and gives the element mask."""

    indices: Tensor
    mask: Tensor

    def __init__(self, config: StateVectorConfig) -> None:
        super().__init__()
        indices = torch.tensor(config.indices, dtype=torch.long)
        self.size = config.size
        self.register_buffer("indices", indices, persistent=False)
        self.register_buffer("mask", torch.zeros(config.size).index_fill_(0, indices, 1.0), persistent=False)

    def scatter(self, joints: Tensor) -> Tensor:
        """Return (..., J) joints as (..., A), zero in the unused elements."""
        vector = joints.new_zeros(*joints.shape[:-1], self.size)
        return vector.index_copy(-1, self.indices, joints)

    def gather(self, vector: Tensor) -> Tensor:
        """Return the (..., J) joints of (..., A)."""
        return vector.index_select(-1, self.indices)


class ActionSpace:
    """Converts joint positions in policy units to the numbers the action head predicts, and back.

    The constants stay float64 whatever dtype the policy runs in, and follow each call's dtype and device.
    """

    def __init__(self, config: ActionsConfig, joints: int) -> None:
        relative = torch.full(
            (joints,), float(config.representation == "joint_relative"), dtype=torch.float64
        )
        grippers = list(config.gripper_joints)
        centre = torch.zeros(joints, dtype=torch.float64)
        centre[grippers] = GRIPPER_CENTRE * relative[grippers]
        relative[grippers] = 0.0
        scale = (
            torch.ones(joints) if config.scale is None else torch.tensor(config.scale, dtype=torch.float64)
        )
        self._relative, self._centre, self._scale = relative, centre, scale.double()

    def encode(self, positions: Tensor, joints: Tensor) -> Tensor:
        """Return (B, H, J) positions as normalised actions; `joints` (B, J) are those of the observation."""
        relative, centre, scale = (c.to(positions) for c in (self._relative, self._centre, self._scale))
        return (positions - joints.unsqueeze(-2) * relative - centre) / scale

    def decode(self, actions: Tensor, joints: Tensor) -> Tensor:
        """Return (B, H, J) normalised actions as positions; the inverse of `encode`."""
        relative, centre, scale = (c.to(actions) for c in (self._relative, self._centre, self._scale))
        return actions * scale + joints.unsqueeze(-2) * relative + centre
