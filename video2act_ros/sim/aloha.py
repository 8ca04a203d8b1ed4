"""Physics of the bimanual ALOHA robot and its cube, in plain MuJoCo."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import InputError, unknown_choice
from video2act_ros.sim.scene import PHYSICS_STEP_S, load_model

Array = NDArray[np.float64]

ARMS = ("left", "right")
_ARM_JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
JOINT_NAMES: tuple[str, ...] = tuple(f"{arm}_{joint}" for arm in ARMS for joint in (*_ARM_JOINTS, "gripper"))
GRIPPERS = tuple(JOINT_NAMES.index(f"{arm}_gripper") for arm in ARMS)

# ALOHA's convention for the follower gripper's left finger: opening 0 and 1 in metres.
GRIPPER_CLOSED_M = 0.01844
GRIPPER_OPEN_M = 0.058

LIMP_FRICTION = 0.02
"""Share of the scene's joint friction without power: that of the powered servos would hold the arms up."""

CUBE_REST_HEIGHT_M = 0.02  # half the cube's side: it lies on the table

# ALOHA's rest pose of one arm [rad], gripper [m].
_ARM_START = (0.0, -0.96, 1.16, 0.0, -0.3, 0.0, 0.02239)
START_POSITIONS: Array = np.array(_ARM_START * 2)
START_POSITIONS.flags.writeable = False

_CUBE_GEOM, _CUBE_JOINT, _TABLE_GEOM = "red_box", "red_box_joint", "table"
_FINGERS = ("left", "right")


def gripper_metres(opening: float) -> float:
    """Return the finger-joint position [m] of a gripper opening in [0, 1]."""
    return GRIPPER_CLOSED_M + opening * (GRIPPER_OPEN_M - GRIPPER_CLOSED_M)


class AlohaSim:
    """The robot's joints and the cube on the table.

    Positions are (14,) float64 in the order of `joint_names`: rad, and for a gripper the left finger's
    joint position in metres (the right finger mirrors it). Not thread-safe: one thread steps it; give
    others a `snapshot`.
    """

    joint_names = JOINT_NAMES
    step_s = PHYSICS_STEP_S

    def __init__(self, model: mujoco.MjModel | None = None) -> None:
        self.model = load_model() if model is None else model
        self._data = mujoco.MjData(self.model)
        joints = [
            f"vx300s_{arm}/{joint}" for arm in ARMS for joint in (*_ARM_JOINTS, "left_finger", "right_finger")
        ]
        finger = np.array([name.endswith("/right_finger") for name in joints])
        qpos = np.array([self.model.joint(name).qposadr[0] for name in joints])
        dofs = np.array([self.model.joint(name).dofadr[0] for name in joints])
        self._qpos, self._dofs = qpos[~finger], dofs[~finger]
        self._mirror_qpos = qpos[finger]
        self._controls = np.flatnonzero(~finger)  # the scene lists actuators in the joints' order
        self._mirror_controls = np.flatnonzero(finger)
        self._cube_qpos = int(self.model.joint(_CUBE_JOINT).qposadr[0])
        self._cube_geom = int(self.model.geom(_CUBE_GEOM).id)
        self._targets = START_POSITIONS.copy()
        self._powered = True
        self._friction = self.model.dof_frictionloss[self._dofs].copy()
        self.reset()

    def reset(self, cube_pose: Array | None = None, positions: Array | None = None) -> None:
        """Put the arms and the cube in place, at rest, and hold there; time starts again at zero.

        Args:
            cube_pose: (7,) position [m] and unit quaternion (w, x, y, z) in the world; the scene's own
                pose by default.
            positions: (14,) joints, `START_POSITIONS` by default.
        """
        if cube_pose is None:
            cube_pose = np.array([0.2, 0.5, CUBE_REST_HEIGHT_M, 1.0, 0.0, 0.0, 0.0])
        if np.shape(cube_pose) != (7,):
            raise InputError(f"a cube pose is (7,) x y z qw qx qy qz, got shape {np.shape(cube_pose)}")
        positions = self._clip(START_POSITIONS if positions is None else positions)
        mujoco.mj_resetData(self.model, self._data)
        self._data.qpos[self._qpos] = positions
        self._data.qpos[self._mirror_qpos] = -positions[list(GRIPPERS)]
        self._data.qpos[self._cube_qpos : self._cube_qpos + 7] = cube_pose
        self.set_targets(positions)
        mujoco.mj_forward(self.model, self._data)

    def _clip(self, positions: Array) -> Array:
        values = np.asarray(positions, dtype=np.float64)
        if values.shape != (len(JOINT_NAMES),) or not np.all(np.isfinite(values)):
            raise InputError(f"the robot takes {len(JOINT_NAMES)} finite joint positions, got {values}")
        low, high = self.model.actuator_ctrlrange[self._controls].T
        return np.clip(values, low, high)

    def set_targets(self, positions: Array) -> None:
        """Set the position servos' targets (14,), clipped to the actuators' ranges."""
        self._targets = self._clip(positions)
        self._data.ctrl[self._controls] = self._targets
        self._data.ctrl[self._mirror_controls] = -self._targets[list(GRIPPERS)]

    def set_power(self, powered: bool) -> None:
        """Switch the servos of both arms on, with the targets then in force, or off: the arms fall."""
        self._powered = powered
        self.model.dof_frictionloss[self._dofs] = self._friction * (1.0 if powered else LIMP_FRICTION)

    def step(self, n: int = 1) -> None:
        """Advance `n` physics steps of `step_s`."""
        if self._powered:
            mujoco.mj_step(self.model, self._data, n)
            return
        data = self._data
        for _ in range(n):  # a servo whose target is where its joint is pulls at nothing
            data.ctrl[self._controls] = data.qpos[self._qpos]
            data.ctrl[self._mirror_controls] = data.qpos[self._mirror_qpos]
            mujoco.mj_step(self.model, data)
        self.set_targets(self._targets)

    @property
    def time_s(self) -> float:
        """Simulated time since the reset [s]."""
        return float(self._data.time)

    def targets(self) -> Array:
        """Return the servo targets in force, (14,)."""
        return self._targets.copy()

    def positions(self) -> Array:
        """Return the measured joint positions, (14,) rad and m."""
        return self._data.qpos[self._qpos].copy()

    def velocities(self) -> Array:
        """Return the measured joint velocities, (14,) rad/s and m/s."""
        return self._data.qvel[self._dofs].copy()

    def contact_torques(self) -> Array:
        """Return what contacts exert on the joints now, (14,) N m, and N on a gripper's left finger."""
        data, count = self._data, self._data.nefc
        contact = data.efc_type[:count] >= int(mujoco.mjtConstraint.mjCNSTR_CONTACT_FRICTIONLESS)
        jacobian = data.efc_J.reshape(-1, self.model.nv)[:count]  # dense: MuJoCo's choice for few joints
        return (jacobian[contact].T @ data.efc_force[:count][contact])[self._dofs]

    def snapshot(self) -> Array:
        """Return a copy of the whole configuration, (nq,) float64, for a renderer in another thread."""
        return self._data.qpos.copy()

    def cube_position(self) -> Array:
        """Return the cube's centre in the world, (3,) m; the table's top is at z = 0."""
        return self._data.qpos[self._cube_qpos : self._cube_qpos + 3].copy()

    def _cube_contacts(self) -> set[int]:
        pairs = self._data.contact.geom[: self._data.ncon]  # (ncon, 2) geom ids
        touching = pairs[np.any(pairs == self._cube_geom, axis=1)]
        return set(touching.ravel().tolist()) - {self._cube_geom}

    def fingers_on_cube(self, arm: str) -> int:
        """Return how many of the two fingers of `arm` ("left" or "right") touch the cube."""
        if arm not in ARMS:
            raise InputError(unknown_choice("arm", arm, ARMS))
        geoms = {self.model.geom(f"vx300s_{arm}/10_{finger}_gripper_finger").id for finger in _FINGERS}
        return len(geoms & self._cube_contacts())

    def cube_on_table(self) -> bool:
        """Return whether the cube touches the table."""
        return self.model.geom(_TABLE_GEOM).id in self._cube_contacts()
