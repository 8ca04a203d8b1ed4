"""The stack as a ROS 2 launch description; needs the launch packages of a ROS 2 installation."""

from __future__ import annotations

import functools

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable, Shutdown
from launch.conditions import IfCondition
from launch.substitutions import AndSubstitution, LaunchConfiguration, NotEqualsSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchDescription
from video2act_ros.ros.environment import MACHINE_VARIABLE, MACHINES
from video2act_ros.ros.stack import (
    BOOLEANS,
    COMMAND,
    IN_PROCESS,
    PACKAGE,
    RECORDER,
    REPLAY_NODE,
    LaunchArgument,
    NodeSpec,
    arguments_of,
    default_parameters,
    fixed_parameters,
    machines,
)


def stack_description(specs: tuple[NodeSpec, ...]) -> LaunchDescription:
    """Return the launch description of a stack with its arguments."""
    arguments = [
        DeclareLaunchArgument(
            argument.name,
            default_value=str(default_parameters()) if argument.name == "params_file" else argument.default,
            description=argument.description,
            choices=list(argument.choices) or None,
        )
        for argument in arguments_of(specs)
    ]
    if REPLAY_NODE not in specs:
        arguments.append(SetEnvironmentVariable(MACHINE_VARIABLE, LaunchConfiguration("machine")))
    return LaunchDescription([*arguments, *(_node(spec, specs) for spec in (*specs, RECORDER))])


def _node(spec: NodeSpec, specs: tuple[NodeSpec, ...]) -> Node:
    # No `name`: it would rename the command node too where that one lives in System 1's process.
    return Node(
        package=PACKAGE,
        executable=spec.executable,
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            str(default_parameters()),
            LaunchConfiguration("params_file"),
            _parameters(spec, specs),
        ],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        output="screen",
        condition=_condition(spec, specs),
        on_exit=Shutdown() if spec is REPLAY_NODE else None,
    )


def _condition(spec: NodeSpec, specs: tuple[NodeSpec, ...]) -> IfCondition | None:
    """Return when a node is a process of its own on this machine, None for always."""
    needed = []
    if spec is RECORDER:
        needed.append(NotEqualsSubstitution(LaunchConfiguration("record"), ""))
    if REPLAY_NODE not in specs:
        if spec is COMMAND:
            needed.append(NotEqualsSubstitution(LaunchConfiguration("control"), IN_PROCESS))
        elsewhere = (machine for machine in MACHINES if machine not in machines(spec))
        needed += [NotEqualsSubstitution(LaunchConfiguration("machine"), machine) for machine in elsewhere]
    return IfCondition(functools.reduce(AndSubstitution, needed)) if needed else None


def _parameters(spec: NodeSpec, specs: tuple[NodeSpec, ...]) -> dict[str, ParameterValue | bool | str]:
    """Return a node's parameters; those that nobody can change come last and win."""
    chosen: dict[str, ParameterValue | bool | str] = {
        parameter: ParameterValue(LaunchConfiguration(argument.name), value_type=_type(argument))
        for argument in arguments_of(specs)
        for node, parameter in argument.parameters
        if node == spec.name
    }
    return chosen | {name: value for node, name, value in fixed_parameters(specs) if node == spec.name}


def _type(argument: LaunchArgument) -> type:
    if argument.choices == tuple(BOOLEANS):
        return bool
    return float if argument.number else str
