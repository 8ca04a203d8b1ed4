"""Which inputs are too old to act on."""

from __future__ import annotations

from dataclasses import dataclass

from video2act_ros.control.timeline import FUTURE_TOLERANCE_S
from video2act_ros.core.robot_profile import Thresholds
from video2act_ros.core.types import NS_PER_S, ActionChunk, JointSample


@dataclass(frozen=True, slots=True)
class InputAges:
    """Ages of what the next command would rest on [s]; None where there is no such input.

    `chunk_s` and `joint_state_s` count from now. `image_s` and `latent_s` say how old those inputs were
    when the newest chunk's observation was taken, so that a dead camera or System 2 shows in them
    however fast chunks keep coming.
    """

    chunk_s: float | None = None
    joint_state_s: float | None = None
    image_s: tuple[float, ...] = ()
    latent_s: float | None = None

    @classmethod
    def at(cls, now_ns: int, chunk: ActionChunk | None, joints: JointSample | None) -> InputAges:
        """Measure the ages at `now_ns`."""
        joint_state_s = None if joints is None else (now_ns - joints.stamp_ns) / NS_PER_S
        if chunk is None:
            return cls(joint_state_s=joint_state_s)
        return cls(
            chunk_s=(now_ns - chunk.stamp_ns) / NS_PER_S,
            joint_state_s=joint_state_s,
            image_s=tuple((chunk.stamp_ns - stamp_ns) / NS_PER_S for stamp_ns in chunk.image_stamps_ns),
            latent_s=(chunk.stamp_ns - chunk.latent_stamp_ns) / NS_PER_S if chunk.latent_stamp_ns else None,
        )


@dataclass(frozen=True, slots=True)
class _Check:
    """One row of the table: an input, its largest age, where to look, and whether it must exist."""

    name: str
    limit_s: float
    age_s: float | None
    remedy: str
    required: bool = False

    def problem(self) -> str | None:
        if self.age_s is None:
            return f"no {self.name} yet; {self.remedy}" if self.required else None
        if self.age_s > self.limit_s:
            return f"{self.name} too old ({self.age_s:.2f} s, limit {self.limit_s:g} s); {self.remedy}"
        if self.age_s < -FUTURE_TOLERANCE_S:
            return f"{self.name} stamped {-self.age_s:.2f} s in the future; synchronise the clocks"
        return None


class Watchdog:
    """Compares ages with the robot profile's thresholds. Every reason it gives makes the arm hold."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds

    def check(self, ages: InputAges) -> tuple[str, ...]:
        """Return one reason, naming the remedy, per input that is missing or too old."""
        limits = self._thresholds
        oldest_image_s = max(ages.image_s, default=None)
        table = (
            _Check(
                "joint state",
                limits.joint_state_age_s.stop,
                ages.joint_state_s,
                "check the robot driver",
                True,
            ),
            _Check("chunk of this epoch", limits.chunk_age_s.stop, ages.chunk_s, "check System 1", True),
            _Check(
                "camera image of the newest chunk",
                limits.image_age_s.stop,
                oldest_image_s,
                "check the cameras",
            ),
            _Check("latents of the newest chunk", limits.latent_age_s.stop, ages.latent_s, "check System 2"),
        )
        return tuple(problem for check in table if (problem := check.problem()) is not None)
