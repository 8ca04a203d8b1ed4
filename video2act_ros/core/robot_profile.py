"""Robot profiles: joints, limits, grippers, cameras, topics and thresholds of one robot, read from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from video2act_ros.core.errors import ConfigurationError, InputError
from video2act_ros.core.robot_rules import broken_rules
from video2act_ros.core.schema import Flag, Frozen, Lag, Number, Positive, Rate, Share, Text
from video2act_ros.core.schema_mistakes import schema_mistakes
from video2act_ros.core.thresholds import Thresholds
from video2act_ros.core.yaml_source import Mistake, YamlSource, path_text


class ProfileError(ConfigurationError):
    """A robot profile cannot be used. `mistakes` holds one line each: file, line, key, what to write instead."""

    def __init__(self, text: str, mistakes: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.mistakes = mistakes

    @classmethod
    def of(cls, path: Path, mistakes: tuple[str, ...]) -> ProfileError:
        """Return the refusal of a file for its mistakes."""
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        return cls("\n  ".join((f"robot profile '{path.stem}' has {count}:", *mistakes)), mistakes)


class Joint(Frozen):
    """One joint in the policy's order, its limits in the robot's own unit (rad, or m for a gripper)."""

    name: Text = Field(description="our name of the joint", examples=["left_waist"])
    position_min: Number = Field(description="lower end of commands", examples=[-1.5])
    position_max: Number = Field(description="upper end of commands", examples=[1.5])
    velocity_max: Positive = Field(description="largest speed, per s", examples=[0.5])
    acceleration_max: Positive = Field(description="largest change of the speed, per s²", examples=[2.0])
    jerk_max: Positive = Field(description="largest change of the acceleration, per s³", examples=[50.0])
    start: Number = Field(description="where an episode starts", examples=[0.0])
    gripper: Flag = False


class Camera(Frozen):
    """One camera: the model's name for it and the topic that carries its images."""

    name: Text = Field(description="the model's name of the camera", examples=["cam_high"])
    topic: Text = Field(description="of its images", examples=["/cam_high/image_raw"])
    transport: Literal["raw", "compressed"] = "raw"


class JointStateSource(Frozen):
    """A JointState topic and, where its names differ from ours, how they map (ours: theirs)."""

    topic: Text = Field(description="of the measured joints", examples=["/joint_states"])
    names: dict[str, Text] = Field(default_factory=dict)


_NO_RATE = "set-points at a rate that may not be its controller's, which writes each as a step: the arm moves in jerks"


class CommandOutput(Frozen):
    """A command topic, its message type, and the joints it drives in the order they are sent."""

    topic: Text = Field(
        description="that the driver listens to", examples=["/arm_controller/joint_trajectory"]
    )
    type: Literal["joint_trajectory", "forward_position", "joint_state"] = Field(
        description="of the message", examples=["joint_trajectory"]
    )
    joints: tuple[Text, ...] = Field(
        min_length=1, description="that the output drives, in the order sent", examples=["[waist, shoulder]"]
    )
    names: dict[str, Text] = Field(default_factory=dict)
    driver: str = ""  # name of the driver's node; empty: nobody knows
    velocities: Flag = False  # whether a JointState carries joint speeds, too; few drivers take them for such
    rate_hz: Rate | None = (
        None  # of the driver's updates, where it writes each set-point as it is; None: nobody knows
    )


class Mock(Frozen):
    """How the mock driver stands in for this robot's drivers; real drivers do not read it."""

    controller: Literal["simple", "joint_trajectory_controller"] = "simple"
    start_from: Literal["measured", "desired"] = "measured"
    splice_at_stamp: Flag = False
    rate_hz: Rate = 200.0
    lag_s: Lag = 0.0  # of every joint behind its controller, or of those that are named


class RobotProfile(Frozen):
    """Everything that differs from robot to robot. Joint order is the policy's order."""

    name: Text = Field(description="how messages and logs call the robot", examples=["my_robot"])
    description: str = ""
    joints: tuple[Joint, ...] = Field(min_length=1, description="in the policy's order")
    cameras: tuple[Camera, ...] = Field(
        min_length=1,
        description="that the model looks at",
        examples=["[{name: cam_high, topic: /image_raw}]"],
    )
    joint_states: tuple[JointStateSource, ...] = Field(
        min_length=1, description="where positions come from", examples=["[{topic: /joint_states}]"]
    )
    commands: tuple[CommandOutput, ...] = Field(min_length=1, description="where commands go")
    thresholds: Thresholds = Field(description="what is watched, and when it stops the arm")
    command_speed: Share = 1.0  # share of velocity_max that commands use
    mock: Mock = Mock()

    @model_validator(mode="after")
    def _check(self) -> RobotProfile:
        broken = [f"{path_text(item.location)}: {item.text}" for item in broken_rules(self.model_dump())]
        if broken:
            raise ValueError("; ".join(broken))
        return self

    def command_rate_hz(self, least_hz: float) -> float:
        """Return the rate of commands [Hz], at least `least_hz`, that brings each driver a new set-point per update."""
        return max(least_hz, *(output.rate_hz or 0.0 for output in self.commands))

    @property
    def unknown_rates(self) -> tuple[str, ...]:
        """What to add where a controller writes set-points as they are and nobody knows how often, in words."""
        return tuple(
            f"{output.topic} gets {_NO_RATE}; say the controller manager's update_rate as commands[{index}].rate_hz"
            for index, output in enumerate(self.commands)
            if output.type == "forward_position" and output.rate_hz is None
        )

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names in the policy's order."""
        return tuple(joint.name for joint in self.joints)

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Names in the model's order."""
        return tuple(camera.name for camera in self.cameras)

    @property
    def carried_joints(self) -> tuple[tuple[str, ...], ...]:
        """Which joints each joint-state topic carries.

        Those that its `names` list; the others are on the topics without such a list, or on all of them.
        """
        listed = {joint for source in self.joint_states for joint in source.names}
        plain = any(not source.names for source in self.joint_states)
        return tuple(
            tuple(
                joint
                for joint in self.joint_names
                if joint in source.names or (joint not in listed and not (plain and source.names))
            )
            for source in self.joint_states
        )

    def array(self, field: str) -> NDArray[np.float64]:
        """Return one numeric field of every joint as (J,) float64, in the robot's own units."""
        return np.array([getattr(joint, field) for joint in self.joints], dtype=np.float64)

    @property
    def mock_lag_s(self) -> NDArray[np.float64]:
        """By how much each joint of the mock robot follows its controller late [s], (J,) float64."""
        lag_s = self.mock.lag_s
        lags = [lag_s.get(name, 0.0) if isinstance(lag_s, dict) else lag_s for name in self.joint_names]
        return np.array(lags, dtype=np.float64)

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
        ProfileError: the file is missing or has mistakes; the message lists each with its line.
    """
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise ProfileError(f"no robot profile at {path}; profiles there: {known}")
    try:
        source = YamlSource.read(path)
    except OSError as error:
        raise ProfileError(f"robot profile {path} cannot be read: {error.strerror}") from error
    return profile_from(source)


def profile_from(source: YamlSource) -> RobotProfile:
    """Check a robot profile that was read already.

    Raises:
        ProfileError: it has mistakes; the message lists each with its line.
    """
    if mistakes := profile_mistakes(source):
        raise ProfileError.of(source.path, source.describe(mistakes))
    return RobotProfile.model_validate(source.content)


def profile_mistakes(source: YamlSource) -> tuple[Mistake, ...]:
    """Return everything that keeps a document from being a robot profile."""
    mistakes = list(source.mistakes)
    if source.content is not None or not mistakes:
        mistakes += [*schema_mistakes(RobotProfile, source.content), *broken_rules(source.content)]
    return tuple(mistakes)
