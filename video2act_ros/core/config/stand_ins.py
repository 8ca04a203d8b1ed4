"""Parameters of the nodes that stand in for a robot, or for a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from video2act_ros.core.config.parameter import NodeConfig, parameter, with_default
from video2act_ros.core.safe_source import SAFE_SOURCE

SIM_CAMERA_FAULTS = ("freeze", "drop", "delay", "black")
SIM_FAULTS = (
    "none",
    *(
        f"{kind}_{camera}"
        for kind in SIM_CAMERA_FAULTS
        for camera in ("cam_high", "cam_right_wrist", "cam_left_wrist")
    ),
    "joint_states_stop",
    "joint_states_nan",
    "clock_step_forward",
    "clock_step_back",
    "servos_off",
    "controller_inactive",
    "deaf",
)
"""What the simulated robot can be told to do wrong."""


@dataclass(frozen=True, slots=True)
class StandInConfig(NodeConfig):
    """Parameters of both nodes that stand in for drivers and cameras."""

    joint_rate_hz: float = parameter(
        100.0, "rate of the joint states", unit="Hz", minimum=10.0, maximum=500.0
    )
    camera_rate_hz: float = parameter(20.0, "rate of each camera", unit="Hz", minimum=1.0, maximum=60.0)
    image_width: int = parameter(320, "width of published images", unit="px", minimum=32, maximum=1920)
    image_height: int = parameter(240, "height of published images", unit="px", minimum=32, maximum=1080)
    image_noise: float = parameter(
        2.0, "standard deviation of the sensor noise in grey levels", minimum=0.0, maximum=50.0
    )
    command_timeout_s: float = parameter(
        0.2,
        "without a command for this long the drivers brake and hold",
        unit="s",
        minimum=0.02,
        maximum=10.0,
    )


@dataclass(frozen=True, slots=True)
class SimRobotConfig(StandInConfig):
    """Parameters of `/sim_robot`."""

    NODE_NAME: ClassVar[str] = "sim_robot"

    task: str = parameter(
        "lift", "task whose cube pose and success are simulated", choices=("lift", "transfer")
    )
    seed: int = parameter(
        0, "seed of the cube pose and the sensor noise; `reset` with no seed adds one", minimum=0
    )
    joint_rate_hz: float = parameter(100.0, "rate of joint_states", unit="Hz", minimum=50.0, maximum=500.0)
    publish_clock: bool = parameter(False, "publish simulated time on /clock")
    fault: str = parameter(
        "none", "what the robot does wrong from now on; none ends it", choices=SIM_FAULTS, read_only=False
    )


@dataclass(frozen=True, slots=True)
class MockDriverConfig(StandInConfig):
    """Parameters of `/mock_driver`."""

    NODE_NAME: ClassVar[str] = "mock_driver"

    image_width: int = with_default(StandInConfig, "image_width", 160)
    image_height: int = with_default(StandInConfig, "image_height", 120)
    silent: str = parameter(
        "", "what is not published from now on: joints, cameras, or a camera's name", read_only=False
    )
    controllers: str = parameter(
        "active",
        "inactive: the drivers listen to commands and judge them, and move nothing",
        choices=("active", "inactive"),
        read_only=False,
    )


@dataclass(frozen=True, slots=True)
class SafeSourceConfig(NodeConfig):
    """Parameters of `/safe_source`."""

    NODE_NAME: ClassVar[str] = SAFE_SOURCE

    rate_hz: float = parameter(4.0, "largest chunk rate", unit="Hz", minimum=0.1, maximum=100.0)
