"""The command node of the fault bench: the real one, and on request something in its process goes wrong."""

from __future__ import annotations

import sys
import threading
from typing import NoReturn

from std_msgs.msg import String

from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.ros import qos
from video2act_ros.ros.process import run_node

MISBEHAVE = "command/misbehave"
"""Topic (std_msgs/String) that says what goes wrong from now on: one of these, or NOTHING."""

RAISE, JAM, NOTHING = "policy_raises", "jammed_executor", "none"
JAM_S = 2.0


class FaultyCommandNode(CommandNode):
    """Replaces nothing of the command node but what a fault replaces: RAISE, JAM."""

    def setup(self) -> None:
        """Connect as the command node does, and listen for what is to go wrong."""
        super().setup()
        self.subscribe(String, MISBEHAVE, self._misbehave, qos.DATA)

    def _misbehave(self, message: String) -> None:
        if self._control is None:
            return
        policy = vars(self._control._loop._supervisor.policy)  # the product has no hook for faults
        policy.pop("target", None)
        if message.data == RAISE:
            policy["target"] = _fail
        elif message.data == JAM:
            threading.Event().wait(JAM_S)  # in the executor's thread


def _fail(*_arguments: object) -> NoReturn:
    raise RuntimeError("the policy's path broke, as the fault bench wants")


def main() -> int:
    """Run the node in the command node's place."""
    return run_node(FaultyCommandNode)


if __name__ == "__main__":
    sys.exit(main())
