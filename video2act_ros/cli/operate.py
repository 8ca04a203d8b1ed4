"""The operator's commands for a running stack: `engage`, `disengage`, `move-to-start`, `estop`, `instruct`, `reset`."""

from __future__ import annotations

from types import ModuleType
from typing import Annotated

import typer

from video2act_ros.cli.options import NamespaceOption
from video2act_ros.cli.output import console
from video2act_ros.ros import environment


def engage_command(namespace: NamespaceOption = "") -> None:
    """Let the policy drive the arm of a running stack."""
    console.print(_operator().engage(namespace))


def disengage_command(namespace: NamespaceOption = "") -> None:
    """Brake the arm to a hold and stop sending commands."""
    console.print(_operator().disengage(namespace))


def move_to_start_command(namespace: NamespaceOption = "") -> None:
    """Bring the arm of a stack in shadow slowly to its start pose."""
    console.print(_operator().move_to_start(namespace))


def estop_command(namespace: NamespaceOption = "") -> None:
    """Emergency stop: brake at once; only disengage and then engage lead back."""
    console.print(_operator().emergency_stop(namespace))


def instruct_command(
    instruction: Annotated[str, typer.Argument(help="one that the bundle knows")],
    namespace: NamespaceOption = "",
) -> None:
    """Give a running stack another instruction."""
    console.print(_operator().instruct(instruction, namespace) or "instruction changed")


def reset_command(
    seed: Annotated[int | None, typer.Option(help="of the cube's pose; the next one by default")] = None,
    namespace: NamespaceOption = "",
) -> None:
    """Put the simulated arms and the cube back, and begin a new episode."""
    console.print(_operator().reset_simulation(seed, namespace))


def _operator() -> ModuleType:
    """Return what calls a stack's services, once this process is ready for ROS: over the network alone."""
    environment.prepare(may_restart=True, shared_memory=False)
    environment.check_installation()
    from video2act_ros.nodes import operator

    return operator
