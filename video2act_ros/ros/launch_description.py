"""The stack as a ROS 2 launch description; needs the launch packages of a ROS 2 installation."""

from __future__ import annotations

import functools
import os
import subprocess

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import (
    AndSubstitution,
    EqualsSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
)
from launch_ros.actions import LifecycleNode

from launch import LaunchDescription
from video2act_ros.recording.writing.bag_records import CLOSE_S
from video2act_ros.ros.environment import MACHINE_VARIABLE, MACHINES, RUNNER_VARIABLE
from video2act_ros.ros.launch_arguments import arguments_of
from video2act_ros.ros.launch_events import RESPAWN_DELAY_S, NodeEvents, StackProgress
from video2act_ros.ros.launch_preparation import PARAMETER_FILES, PrepareStack
from video2act_ros.ros.stack import (
    COMMAND,
    IN_PROCESS,
    PACKAGE,
    RECORDER,
    REPLAY_NODE,
    SAFE_SOURCE,
    SYSTEM1,
    SYSTEM2,
    NodeSpec,
    WhenEnded,
    machines,
)

_STOP_S = 8.0  # for a node to end after SIGINT: twice what the longest needs
_RECORDER_STOP_S = CLOSE_S + 4.0  # what waits must reach the disk


def stack_description(specs: tuple[NodeSpec, ...]) -> LaunchDescription:
    """Return the launch description of a stack with its arguments.

    What was asked for is checked first. Then every process starts; launch configures its node as soon as it
    answers and activates it once it is configured.
    """
    progress = StackProgress(specs)
    processes = {spec: _process(spec, specs) for spec in (*specs, RECORDER)}
    arguments = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.description,
            choices=list(argument.choices) or None,
        )
        for argument in arguments_of(specs)
    ]
    handlers = [
        handler
        for spec, process in processes.items()
        for handler in NodeEvents(spec, process, progress).handlers()
    ]
    if REPLAY_NODE not in specs:
        arguments.append(SetEnvironmentVariable(MACHINE_VARIABLE, LaunchConfiguration("machine")))
    return LaunchDescription([PrepareStack(specs, progress), *arguments, *handlers, *processes.values()])


def _process(spec: NodeSpec, specs: tuple[NodeSpec, ...]) -> LifecycleNode:
    # `name` renames every node of the process; a companion keeps its own (`ros/process.py`).
    return LifecycleNode(
        package=PACKAGE,
        executable=spec.executable,
        name=spec.name,
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration(name) for name in PARAMETER_FILES],
        exec_name=spec.executable,
        prefix=[LaunchConfiguration("launch-prefix", default=""), " ", *_hold_back_interrupts()],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
        additional_env={RUNNER_VARIABLE: str(os.getpid())},  # should launch be killed, the nodes stop
        respawn=_respawn(spec, specs),
        respawn_delay=RESPAWN_DELAY_S,
        sigterm_timeout=LaunchConfiguration(
            "sigterm_timeout", default=str(_RECORDER_STOP_S if spec is RECORDER else _STOP_S)
        ),
        condition=_condition(spec, specs),
    )


@functools.cache
def _hold_back_interrupts() -> tuple[str, ...]:
    """Return a prefix with which Ctrl-C reaches a node only once it can stop in order, if there is one.

    A terminal sends SIGINT to the nodes, too. One that still starts would break off with a traceback.
    """
    prefix = ("env", "--block-signal=INT")
    try:
        works = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        works = False
    return (" ".join(prefix),) if works else ()


def _respawn(spec: NodeSpec, specs: tuple[NodeSpec, ...]) -> bool | NotEqualsSubstitution:
    if spec is SYSTEM1 and REPLAY_NODE not in specs:  # with the command node inside it, it stays away
        return NotEqualsSubstitution(LaunchConfiguration("control"), IN_PROCESS)
    return spec.when_ended is WhenEnded.RESPAWN


def _condition(spec: NodeSpec, specs: tuple[NodeSpec, ...]) -> IfCondition | None:
    """Return when a node is a process of its own on this machine, None for always."""
    needed: list[EqualsSubstitution | NotEqualsSubstitution] = []
    if SAFE_SOURCE in specs and spec in (SAFE_SOURCE, SYSTEM1, SYSTEM2):
        compare = EqualsSubstitution if spec is SAFE_SOURCE else NotEqualsSubstitution
        needed.append(compare(LaunchConfiguration("system1_bundle"), ""))
    if spec is RECORDER:
        needed.append(NotEqualsSubstitution(LaunchConfiguration("record"), ""))
    if REPLAY_NODE not in specs:
        if spec is COMMAND:
            needed.append(NotEqualsSubstitution(LaunchConfiguration("control"), IN_PROCESS))
        elsewhere = (machine for machine in MACHINES if machine not in machines(spec))
        needed += [NotEqualsSubstitution(LaunchConfiguration("machine"), machine) for machine in elsewhere]
    return IfCondition(functools.reduce(AndSubstitution, needed)) if needed else None
