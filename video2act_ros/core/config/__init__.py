"""Every node's parameters: the only home of their names, types, defaults, units and ranges.

ROS parameters are declared from these dataclasses, YAML files only override them.
"""

from video2act_ros.core.config.bags import RecorderConfig, ReplayConfig
from video2act_ros.core.config.command import CommandConfig
from video2act_ros.core.config.parameter import DEFAULT_ROBOT, NodeConfig, ParameterInfo, ParameterValue
from video2act_ros.core.config.stand_ins import (
    SIM_CAMERA_FAULTS,
    SIM_FAULTS,
    MockDriverConfig,
    SafeSourceConfig,
    SimRobotConfig,
)
from video2act_ros.core.config.systems import DEFAULT_BUNDLE, ModelConfig, System1Config, System2Config

__all__ = [
    "DEFAULT_BUNDLE",
    "DEFAULT_ROBOT",
    "SIM_CAMERA_FAULTS",
    "SIM_FAULTS",
    "CommandConfig",
    "MockDriverConfig",
    "ModelConfig",
    "NodeConfig",
    "ParameterInfo",
    "ParameterValue",
    "RecorderConfig",
    "ReplayConfig",
    "SafeSourceConfig",
    "SimRobotConfig",
    "System1Config",
    "System2Config",
]
