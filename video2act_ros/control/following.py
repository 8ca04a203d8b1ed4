"""Does the arm do what it is told, and where must its set-point stand when it does not?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video2act_ros.control.problem import Problem
from video2act_ros.control.tracking import TrackingWatch
from video2act_ros.core.motion import MotionState, Vector
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.thresholds import Outcome
from video2act_ros.core.types import FloatArray, JointSample, seconds_to_ns

PROOF_RAD = 0.03  # commanded motion from which on an arm must show that it follows; above noise and backlash
FOLLOWED_RAD = 0.01  # measured motion, in the commanded direction, that shows it
PROOF_S = 0.3  # so long may that take after the command went `PROOF_RAD` away
NEAR_RAD = 0.02  # a set-point this near to the measured pose is there
SAG_RAD = 0.1  # so far load may keep an arm from its set-point; beyond it the measured pose counts
_APPROACHES = 5  # so often a set-point goes after an arm that load keeps below it, which would sink with it

_REMEDY = "check that its servos are on and its controller is active"


@dataclass(slots=True)
class _Proof:
    """One output whose joints have not been seen to follow yet."""

    joints: NDArray[np.int64]  # its arm joints
    from_command: Vector  # (J,) where commands and measured joints were when it began
    from_measured: Vector
    moved_since_ns: int | None = None  # since when a command is `PROOF_RAD` away
    joint: int = 0  # whose


class Following:
    """Compares measured arm joints with commands, and keeps set-points near the arm.

    *Tracking*: a joint outside of what was commanded lately (`TrackingWatch`). *Proof*: of a driver that nobody has
    vouched for, and after each tracking error, the first motion is slow and must be seen in the measured joints within
    `PROOF_S`. *Retreat*: an arm that does not follow may be limp, blocked or held; its set-point goes to the measured
    pose within the limits, and once there to where the arm has gone meanwhile, so that nothing leaps when the cause is
    gone. Grippers are exempt: they
    close on objects. Not thread-safe.
    """

    def __init__(self, profile: RobotProfile, period_s: float, lead_s: float) -> None:
        self._names = profile.joint_names
        self._arm = ~np.array([joint.gripper for joint in profile.joints])
        self._outputs = [
            np.array(
                [self._names.index(name) for name in output.joints if self._arm[self._names.index(name)]]
            )
            for output in profile.commands
        ]
        self._tracking = TrackingWatch(profile, period_s, lead_s)
        self._proofs: list[_Proof] = []
        self._retreating = False
        self._goal: Vector | None = None  # (J,) where a retreating set-point goes: where the arm was measured
        self._approaches = 0
        self._lost = False  # a tracking error came up; the next motion must be proven

    @property
    def retreating(self) -> bool:
        """Whether the set-point is on its way to the measured pose."""
        return self._retreating

    @property
    def proving(self) -> bool:
        """Whether the arm still has to show that it follows."""
        return bool(self._proofs)

    def clear(self) -> None:
        """Forget everything, as when the arm is let go."""
        self._tracking.clear()
        self._proofs.clear()
        self._end_retreat()
        self._lost = False

    def forget_commands(self) -> None:
        """Forget what was commanded: the arm was put elsewhere."""
        self._tracking.clear()

    def prove(self, outputs: Sequence[int], commanded: Vector, measured: FloatArray) -> None:
        """Demand of these command outputs, by index, that their joints are seen to follow from now on."""
        self._proofs = [
            _Proof(self._outputs[index], commanded.copy(), np.array(measured, dtype=np.float64))
            for index in outputs
            if len(self._outputs[index])
        ]

    def prove_again(self, commanded: Vector, sample: JointSample | None) -> None:
        """Demand it of every output where the arm has lost its commands since it was seen to follow."""
        if self._lost and sample is not None:
            self._lost = False
            self.prove(range(len(self._outputs)), commanded, sample.positions)

    def record(self, due_ns: int, positions: Vector) -> None:
        """Remember a command: (J,) positions in policy units, due at `due_ns`."""
        self._tracking.record(due_ns, positions)

    def problems(self, sample: JointSample | None, commanded: Vector) -> Iterator[Problem]:
        """Judge the newest measured pose against the newest command (J,); call it once per tick."""
        problem = self._tracking.problem(sample)
        if problem is not None:
            if problem.outcome is not Outcome.SLOW:
                self._retreating = self._lost = True
            yield problem
        if sample is not None:
            yield from self._judge_proofs(sample, commanded)

    def stand_at(self, sample: JointSample | None, commanded: Vector, at_rest: bool) -> MotionState | None:
        """Return where a held arm's set-point must go, at rest; None: it stays where it comes to rest.

        Args:
            sample: the newest believed measured pose; None where there is none.
            commanded: the newest set-point (J,).
            at_rest: whether that stands.
        """
        if not self._retreating or sample is None:
            return None
        measured = np.where(self._arm, sample.positions, commanded)
        gap = float(np.max(np.abs(measured - commanded)))
        if self._goal is None or at_rest:
            if at_rest and (gap <= NEAR_RAD or (gap <= SAG_RAD and self._approaches >= _APPROACHES)):
                self._end_retreat()
                return None
            self._goal = measured
            self._approaches = self._approaches + 1 if gap <= SAG_RAD else 0  # a fall is no sag
        return MotionState.at_rest(self._goal)

    def _end_retreat(self) -> None:
        self._retreating, self._goal, self._approaches = False, None, 0

    def _judge_proofs(self, sample: JointSample, commanded: Vector) -> Iterator[Problem]:
        for proof in list(self._proofs):
            way = np.abs(commanded - proof.from_command)[proof.joints]
            if proof.moved_since_ns is None and way.max() >= PROOF_RAD:
                proof.moved_since_ns, proof.joint = sample.stamp_ns, int(proof.joints[np.argmax(way)])
            if proof.moved_since_ns is None:
                continue
            joint = proof.joint
            asked = commanded[joint] - proof.from_command[joint]
            done = (sample.positions[joint] - proof.from_measured[joint]) * np.sign(asked)
            if done >= FOLLOWED_RAD:
                self._proofs.remove(proof)
            elif sample.stamp_ns - proof.moved_since_ns > seconds_to_ns(PROOF_S):
                self._proofs.clear()
                self._retreating = self._lost = True
                yield Problem(
                    Outcome.FAULT,
                    f"the arm does not follow: {self._names[joint]} was sent {abs(asked):.2f} rad and moved "
                    f"{max(done, 0.0):.2f} rad within {PROOF_S:g} s; it holds at its measured pose; {_REMEDY}",
                )
                return
