"""Which nodes make up a stack, where they run and what their end means: launch and the runner read it here."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from video2act_ros.core.config import (
    CommandConfig,
    MockDriverConfig,
    NodeConfig,
    RecorderConfig,
    ReplayConfig,
    SafeSourceConfig,
    SimRobotConfig,
    System1Config,
    System2Config,
)
from video2act_ros.ros.environment import ALL, GPU_HOST, ROBOT

PACKAGE = "video2act_ros"
IN_PROCESS = "in_process"


class WhenEnded(Enum):
    """What `ros2 launch` does when a process ends while the stack runs."""

    RESPAWN = "respawn"  # the arm holds meanwhile
    END_STACK = "end_stack"  # without it nothing commands the arm, or there is no arm
    FINISH = "finish"  # its work is done; the stack's status is its own
    GO_ON = "go_on"  # the others do not need it


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node: its executable, the configuration that names it, what its end means, and what is run for it.

    `program` names another module of `nodes` that runs in the executable's place; empty: its own.
    """

    executable: str
    config: type[NodeConfig]
    when_ended: WhenEnded = WhenEnded.END_STACK
    program: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """Node name."""
        return self.config.NODE_NAME

    @property
    def module(self) -> str:
        """Python module that runs it."""
        return f"{PACKAGE}.nodes.{self.program or self.executable}"


SYSTEM2 = NodeSpec("system2_node", System2Config, WhenEnded.RESPAWN)
SYSTEM1 = NodeSpec("system1_node", System1Config, WhenEnded.RESPAWN)
COMMAND = NodeSpec("command_node", CommandConfig)
SIM_ROBOT = NodeSpec("sim_robot_node", SimRobotConfig)
SAFE_SOURCE = NodeSpec("safe_source_node", SafeSourceConfig, WhenEnded.RESPAWN)
MOCK_DRIVER = NodeSpec("mock_driver_node", MockDriverConfig)
RECORDER = NodeSpec("recorder_node", RecorderConfig, WhenEnded.GO_ON)
REPLAY_NODE = NodeSpec("replay_node", ReplayConfig, WhenEnded.FINISH)

REAL_ROBOT = (SYSTEM2, SYSTEM1, COMMAND)
SIM = (*REAL_ROBOT, SIM_ROBOT)
MOCK = (*REAL_ROBOT, SAFE_SOURCE, MOCK_DRIVER)
"""The safe source takes the place of both systems where no bundle is given."""
REPLAY = (*REAL_ROBOT, REPLAY_NODE)
STACKS = {"real_robot": REAL_ROBOT, "sim": SIM, "mock": MOCK}
LAUNCH_FILES = STACKS | {"replay": REPLAY}
"""Every launch file's name before `.launch.py`, and the nodes that it starts."""


def machines(spec: NodeSpec) -> tuple[str, ...]:
    """Return the values of the launch argument `machine` with which this computer runs a node."""
    return (ALL, GPU_HOST) if spec is SYSTEM2 else (ALL, ROBOT)
