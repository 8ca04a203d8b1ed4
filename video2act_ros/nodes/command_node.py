"""`/command`: owns the arm. Action chunks in, one joint command per control tick out; loads no model."""

from __future__ import annotations

import sys
from typing import Any

from video2act_ros.core.config import CommandConfig, NodeConfig
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.ros import environment
from video2act_ros.ros.control_interface import ControlInterface
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.process import run_node


class CommandNode(ManagedNode):
    """The control half as a process of its own."""

    CONFIG = CommandConfig
    config: CommandConfig

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__(**node_arguments)
        self._control: ControlInterface | None = None

    def setup(self) -> None:
        """Read the robot profile and connect."""
        profile = load_robot_profile(environment.resolve_profile(self.config.robot))
        self._control = ControlInterface(self, profile, self.config)

    def start(self) -> None:
        """Begin to tick, in shadow."""
        if self._control is not None:
            self._control.start()

    def stop(self) -> None:
        """Leave the arm standing and end the control thread."""
        if self._control is not None:
            self._control.stop()

    def teardown(self) -> None:
        """Forget the robot."""
        if self._control is not None:
            self._control.close()
        self._control = None

    def check_config(self, config: NodeConfig) -> None:
        """Refuse an instruction that System 1 does not know."""
        if isinstance(config, CommandConfig) and self._control is not None:
            self._control.check_instruction(config.instruction)

    def config_changed(self, previous: NodeConfig) -> None:
        """Follow the `instruction` parameter."""
        if self._control is not None:
            self._control.set_instruction(self.config.instruction)

    def collect_diagnostics(self) -> None:
        """Report the run state and the real-time figures."""
        if self._control is not None:
            self._control.collect_diagnostics()


def main() -> int:
    """Run `/command` until it is told to stop."""
    return run_node(CommandNode)


if __name__ == "__main__":
    sys.exit(main())
