"""Robot profiles: joints, limits, grippers, cameras, topics and thresholds of one robot, read from YAML."""

from __future__ import annotations

import math
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from video2act_ros.core.errors import ConfigurationError, InputError

PositiveFloat = Annotated[float, Field(gt=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Joint(_Frozen):
    """One joint in the policy's order, its limits in the robot's own unit (rad, or m for a gripper)."""

    name: str
    position_min: float
    position_max: float
    velocity_max: PositiveFloat
    acceleration_max: PositiveFloat
    jerk_max: PositiveFloat
    start: float
    gripper: bool = False

    @model_validator(mode="after")
    def _check(self) -> Joint:
        if not self.position_min < self.position_max:
            raise ValueError(f"joint '{self.name}': position_min must be below position_max")
        if not self.position_min <= self.start <= self.position_max:
            raise ValueError(f"joint '{self.name}': start lies outside its position limits")
        return self


class Camera(_Frozen):
    """One camera: the model's name for it and the topic that carries its images."""

    name: str
    topic: str
    transport: Literal["raw", "compressed"] = "raw"


class JointStateSource(_Frozen):
    """A JointState topic and, where its names differ from ours, how they map (ours: theirs)."""

    topic: str
    names: dict[str, str] = Field(default_factory=dict)


class CommandOutput(_Frozen):
    """A command topic, its message type, and the joints it drives in the order they are sent."""

    topic: str
    type: Literal["joint_trajectory", "forward_position", "joint_state"]
    joints: tuple[str, ...]
    names: dict[str, str] = Field(default_factory=dict)


class Outcome(IntEnum):
    """What a violated threshold does to the arm, mildest first."""

    SLOW = 1  # execute chunks more slowly
    HOLD = 2  # decelerate and hold until the input is good again
    FAULT = 3  # decelerate and hold until engaged anew


class Threshold(_Frozen):
    """From which value on each outcome applies; None: never. A plain number in YAML means `hold`."""

    slow: PositiveFloat | None = None
    hold: PositiveFloat | None = None
    fault: PositiveFloat | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: object) -> object:
        return {"hold": value} if isinstance(value, (int, float)) else value

    @model_validator(mode="after")
    def _check(self) -> Threshold:
        limits = [limit for limit in (self.slow, self.hold, self.fault) if limit is not None]
        if not limits or limits != sorted(limits):
            raise ValueError("give at least one of slow, hold and fault, in rising order")
        return self

    @property
    def stop(self) -> float:
        """The smallest value that stops the arm; infinite where none does."""
        return min((limit for limit in (self.hold, self.fault) if limit is not None), default=math.inf)

    def outcome(self, value: float) -> Outcome | None:
        """Return the gravest outcome that `value` has, or None."""
        graded = ((Outcome.FAULT, self.fault), (Outcome.HOLD, self.hold), (Outcome.SLOW, self.slow))
        return next((outcome for outcome, limit in graded if limit is not None and value > limit), None)


class Thresholds(_Frozen):
    """What is watched, and when it slows or stops the arm."""

    joint_state_age_s: Threshold
    chunk_age_s: Threshold  # counted from its observation
    latent_age_s: Threshold  # counted from the newest frame of their window
    image_age_s: Threshold  # of every camera of the profile
    image_frozen_s: Threshold  # unchanged while joints move
    image_dark_s: Threshold  # without content
    frame_gap_s: Threshold  # between two frames of System 2's history
    tracking_error_rad: Threshold  # between command and measured arm joints
    second_publisher_s: Threshold  # somebody else publishes commands
    clock_offset_s: Threshold = Threshold(hold=0.05)  # of a system's clock from the command node's
    camera_skew_s: PositiveFloat  # largest difference of capture times within one set of images


class RobotProfile(_Frozen):
    """Everything that differs from robot to robot. Joint order is the policy's order."""

    name: str
    description: str = ""
    joints: tuple[Joint, ...]
    cameras: tuple[Camera, ...]
    joint_states: tuple[JointStateSource, ...]
    commands: tuple[CommandOutput, ...]
    thresholds: Thresholds
    command_speed: Annotated[float, Field(gt=0, le=1)] = 1.0  # share of velocity_max that commands use

    @model_validator(mode="after")
    def _check(self) -> RobotProfile:
        names = self.joint_names
        if len(set(names)) != len(names):
            raise ValueError("joint names must be unique")
        driven = [joint for output in self.commands for joint in output.joints]
        unknown = sorted(set(driven) - set(names))
        if unknown:
            raise ValueError(f"commands name unknown joints {unknown}; known: {', '.join(names)}")
        if sorted(driven) != sorted(names):
            raise ValueError("every joint must be driven by exactly one command output")
        return self

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names in the policy's order."""
        return tuple(joint.name for joint in self.joints)

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Names in the model's order."""
        return tuple(camera.name for camera in self.cameras)

    def array(self, field: str) -> NDArray[np.float64]:
        """Return one numeric field of every joint as (J,) float64, in the robot's own units."""
        return np.array([getattr(joint, field) for joint in self.joints], dtype=np.float64)

    def _scale(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        gripper = np.array([joint.gripper for joint in self.joints])
        low, high = self.array("position_min"), self.array("position_max")
        return np.where(gripper, low, 0.0), np.where(gripper, high - low, 1.0)

    def to_policy(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert (..., J) positions from the robot's units to policy units (grippers to [0, 1])."""
        offset, scale = self._scale()
        return (np.asarray(positions, dtype=np.float64) - offset) / scale

    def to_robot(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert (..., J) positions from policy units to the robot's units."""
        offset, scale = self._scale()
        return np.asarray(positions, dtype=np.float64) * scale + offset

    def limits(self, field: str) -> NDArray[np.float64]:
        """Return a limit of every joint as (J,) float64 in *policy* units (per s, s², s³ for rates)."""
        values = self.array(field)
        if field in ("position_min", "position_max", "start"):
            return self.to_policy(values)
        return values / self._scale()[1]

    def order(self, names: list[str] | tuple[str, ...], source: JointStateSource) -> dict[str, int]:
        """Return, for each of our joints that `names` carries, its index in `names`.

        Raises:
            InputError: `names` carries none of the profile's joints.
        """
        theirs = {name: index for index, name in enumerate(names)}
        found = {
            joint: theirs[source.names.get(joint, joint)]
            for joint in self.joint_names
            if source.names.get(joint, joint) in theirs
        }
        if not found:
            raise InputError(
                f"'{source.topic}' carries the joints {', '.join(names)} and none of the profile's "
                f"({', '.join(self.joint_names)}); set joint_states.names in the robot profile"
            )
        return found


def load_robot_profile(path: Path) -> RobotProfile:
    """Read and check a robot profile.

    Raises:
        ConfigurationError: the file is missing or a key is wrong; the message lists every problem.
    """
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise ConfigurationError(f"no robot profile at {path}; profiles there: {known}")
    try:
        return RobotProfile.model_validate(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"robot profile {path} is not valid YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'profile'}: {e['msg']}" for e in error.errors()
        )
        raise ConfigurationError(f"robot profile {path}: {problems}") from error
