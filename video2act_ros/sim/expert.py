"""A scripted expert: way-points of the tool, solved to joints and joined by minimum-jerk motion at 50 Hz.

Each `Move` adds a joint displacement that starts at its own time, so that moves may overlap and the arm
need not stop at every way-point. Blending joints instead of tool poses keeps the wrist away from its
singularity. Inverse kinematics is damped least squares on MuJoCo's Jacobians.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from video2act_ros.core.errors import ConfigurationError, SimulationError, unknown_choice
from video2act_ros.sim.aloha import ARMS, JOINT_NAMES, AlohaSim, Array, gripper_metres

CONTROL_STEP_S = 0.02

TOOL_AHEAD_M = 0.14  # the grasp point lies this far ahead of the gripper's frame, along its x axis
GRIPPER_OPEN, GRIPPER_ON_CUBE = 0.95, 0.3  # openings in [0, 1]

_DAMPING = 1e-4
_MAX_ITERATIONS = 200
_MAX_STEP = 0.2  # rad per iteration
_TOLERANCE = 1e-4  # m and rad

# Bent wrist and elbow: from here the search finds the solution without a turned forearm.
_IK_POSTURE = np.array([0.0, -0.6, 0.8, 0.0, 0.8, 0.0])


@dataclass(frozen=True, slots=True)
class Move:
    """Bring the tool to a pose in the world (`position` in m) from `start_s` within `duration_s`."""

    start_s: float
    duration_s: float
    position: tuple[float, float, float]
    rotation: Rotation


@dataclass(frozen=True, slots=True)
class Grip:
    """Bring the gripper to `opening` in [0, 1] from `start_s` within `duration_s`."""

    start_s: float
    duration_s: float
    opening: float


@dataclass(frozen=True, slots=True)
class ArmScript:
    """What one arm does; an empty script holds it where it is."""

    moves: tuple[Move, ...] = ()
    grips: tuple[Grip, ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    """What both arms do for `duration_s`."""

    duration_s: float
    arms: dict[str, ArmScript] = field(default_factory=dict)


def minimum_jerk(phase: Array) -> Array:
    """Return 10 p³ - 15 p⁴ + 6 p⁵ of `phase` clipped to [0, 1]."""
    p = np.clip(phase, 0.0, 1.0)
    return p**3 * (10.0 - 15.0 * p + 6.0 * p**2)


def lift_script(cube: Array) -> Script:
    """Grasp the cube (3,) [m] from above with the right arm, lift it, and hold it for a second."""
    x, y, z = (float(value) for value in cube)
    down = Rotation.from_euler("ZY", (180.0, 60.0), degrees=True)  # fingers close along the world's y
    moves = (
        Move(0.0, 1.1, (x, y, z + 0.10), down),
        Move(0.7, 0.9, (x, y, z), down),
        Move(1.9, 0.9, (x, y, z + 0.16), down),
    )
    grips = (Grip(0.0, 0.7, GRIPPER_OPEN), Grip(1.55, 0.45, GRIPPER_ON_CUBE))
    return Script(duration_s=3.8, arms={"right": ArmScript(moves, grips)})


def transfer_script(cube: Array) -> Script:
    """Lift the cube with the right arm and hand it over to the left arm in mid-air."""
    x, y, z = (float(value) for value in cube)
    down = Rotation.from_euler("ZY", (180.0, 60.0), degrees=True)
    level = Rotation.from_euler("x", 90.0, degrees=True)  # fingers take the cube's top and bottom
    meet = (0.02, 0.5, 0.28)
    right = ArmScript(
        moves=(
            Move(0.0, 1.1, (x, y, z + 0.10), down),
            Move(0.7, 0.9, (x, y, z), down),
            Move(1.9, 1.2, meet, down),
            Move(4.3, 0.9, (0.2, 0.5, 0.30), down),
        ),
        grips=(Grip(0.0, 0.7, GRIPPER_OPEN), Grip(1.55, 0.45, GRIPPER_ON_CUBE), Grip(4.0, 0.4, GRIPPER_OPEN)),
    )
    left = ArmScript(
        moves=(Move(0.2, 2.2, (-0.12, 0.5, 0.28), level), Move(2.6, 0.8, meet, level)),
        grips=(Grip(0.6, 0.7, GRIPPER_OPEN), Grip(3.45, 0.45, GRIPPER_ON_CUBE)),
    )
    return Script(duration_s=6.0, arms={"right": right, "left": left})


SCRIPTS: dict[str, Callable[[Array], Script]] = {"lift": lift_script, "transfer": transfer_script}


def gripper_path(script: ArmScript, times_s: Array, start_m: float) -> Array:
    """Return the gripper's joint positions (T,) [m] from `start_m` on."""
    path, previous = np.full(len(times_s), start_m), start_m
    for grip in script.grips:
        goal = gripper_metres(grip.opening)
        path += minimum_jerk((times_s - grip.start_s) / grip.duration_s) * (goal - previous)
        previous = goal
    return path


class Expert:
    """Plans a task's joint targets from the simulation's present state, which it only reads."""

    def __init__(self, sim: AlohaSim) -> None:
        self._sim = sim
        self._model = sim.model
        self._data = mujoco.MjData(sim.model)

    def plan(self, task: str) -> Array:
        """Return the joint targets (T, 14) [rad, m] of `task` at 50 Hz; row 0 is due now.

        Raises:
            ConfigurationError: no expert for this task.
            SimulationError: a way-point is out of the arm's reach.
        """
        if task not in SCRIPTS:
            raise ConfigurationError(unknown_choice("expert task", task, SCRIPTS))
        script = SCRIPTS[task](self._sim.cube_position())
        steps = round(script.duration_s / CONTROL_STEP_S)
        times_s = np.asarray(np.arange(1, steps + 1) * CONTROL_STEP_S, dtype=np.float64)
        start = self._sim.targets()
        targets = np.tile(start, (len(times_s), 1))  # (T, 14)
        for arm, arm_script in script.arms.items():
            first = ARMS.index(arm) * (len(JOINT_NAMES) // len(ARMS))
            last = first + 6
            targets[:, first:last] = self._solve(arm, arm_script, times_s, start[first:last])
            targets[:, last] = gripper_path(arm_script, times_s, float(start[last]))
        return targets

    def _solve(self, arm: str, script: ArmScript, times_s: Array, joints: Array) -> Array:
        """Return joint targets (T, 6) that take the tool through the arm's way-points from `joints` (6,)."""
        targets = np.tile(joints, (len(times_s), 1))  # (T, 6)
        previous, guess = joints, _IK_POSTURE
        for move in script.moves:
            goal = guess = self._inverse(arm, np.array(move.position), move.rotation, guess)
            progress = minimum_jerk((times_s - move.start_s) / move.duration_s)  # (T,)
            targets += progress[:, None] * (goal - previous)
            previous = goal
        return targets

    def _inverse(self, arm: str, position: Array, rotation: Rotation, guess: Array) -> Array:
        """Return the arm's joints (6,) for a tool pose, by damped least squares from `guess` (6,)."""
        body = self._model.body(f"vx300s_{arm}/gripper_link").id
        joint = self._model.joint(f"vx300s_{arm}/waist")
        dof = int(joint.dofadr[0])
        limits = self._model.jnt_range[joint.id : joint.id + 6]  # (6, 2)
        joints = self._data.qpos[int(joint.qposadr[0]) :][:6]  # a view: writing it moves the arm
        joints[:] = guess
        jacobian = np.zeros((6, self._model.nv))
        for _ in range(_MAX_ITERATIONS):
            mujoco.mj_kinematics(self._model, self._data)
            mujoco.mj_comPos(self._model, self._data)
            matrix = self._data.xmat[body].reshape(3, 3)
            tool = self._data.xpos[body] + TOOL_AHEAD_M * matrix[:, 0]
            turn = (rotation * Rotation.from_matrix(matrix).inv()).as_rotvec()
            error = np.concatenate([position - tool, turn])  # (6,) m, rad
            if np.abs(error).max() < _TOLERANCE:
                return joints.copy()
            mujoco.mj_jac(self._model, self._data, jacobian[:3], jacobian[3:], tool, body)
            local = jacobian[:, dof : dof + 6]  # (6, 6)
            change = local.T @ np.linalg.solve(local @ local.T + _DAMPING * np.eye(6), error)
            joints[:] = np.clip(joints + np.clip(change, -_MAX_STEP, _MAX_STEP), limits[:, 0], limits[:, 1])
        raise SimulationError(f"the {arm} arm cannot reach {np.round(position, 3)} m in this orientation")
