"""The launch arguments of every stack: names, defaults, choices, and the parameters that they set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from video2act_ros.core.config import DEFAULT_BUNDLE, DEFAULT_ROBOT, ParameterValue, SimRobotConfig
from video2act_ros.core.errors import BagError, ConfigurationError, unknown_choice
from video2act_ros.ros.environment import ALL, GPU_HOST, MACHINES
from video2act_ros.ros.stack import (
    IN_PROCESS,
    MOCK_DRIVER,
    REAL_ROBOT,
    RECORDER,
    REPLAY_NODE,
    SAFE_SOURCE,
    SIM,
    SIM_ROBOT,
    SYSTEM1,
    SYSTEM2,
    NodeSpec,
)

_NO_BAG_FOLDER = ("", "standby", "true")  # values of `record` that name no folder
BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class LaunchArgument:
    """One launch argument and the parameters, as (node name, parameter), that it sets."""

    name: str
    default: str
    description: str
    parameters: tuple[tuple[str, str], ...] = ()
    choices: tuple[str, ...] = ()
    number: bool = False

    def value(self, text: str) -> ParameterValue:
        """Return what the parameters are set to.

        Raises:
            ConfigurationError: the text is no number where one is needed.
        """
        if self.choices == tuple(BOOLEANS):
            return BOOLEANS[text]
        try:
            return float(text) if self.number else text
        except ValueError as error:
            raise ConfigurationError(f"launch argument {self.name} must be a number, got '{text}'") from error


def _for(parameter: str, *specs: NodeSpec) -> tuple[tuple[str, str], ...]:
    return tuple((spec.name, parameter) for spec in specs)


ARGUMENTS = (
    LaunchArgument(
        "namespace",
        "",
        "put before the name of every node, topic and service, so that several robots can share a network: "
        "left makes /left/engage; empty: none",
    ),
    LaunchArgument(
        "robot",
        DEFAULT_ROBOT,
        "robot profile, which describes joints, limits, cameras and topics: a name under config/robots/, or the "
        "path of a YAML file",
        _for("robot", *SIM, SAFE_SOURCE, MOCK_DRIVER, RECORDER, REPLAY_NODE),
    ),
    LaunchArgument(
        "system1_bundle",
        DEFAULT_BUNDLE,
        "checkpoint bundle of System 1, the policy: a name under models/, or the path of a bundle's folder",
        _for("bundle", SYSTEM1),
    ),
    LaunchArgument(
        "system2_bundle",
        DEFAULT_BUNDLE,
        "checkpoint bundle of System 2, the video model: a name under models/, or the path of a bundle's folder; "
        "it must make the features that System 1's bundle was trained on",
        _for("bundle", SYSTEM2),
    ),
    LaunchArgument(
        "bundle_folders",
        "",
        "folders, separated by colons, of the bundles that may be set while the stack runs; empty: models/ alone",
        _for("bundle_folders", SYSTEM1, SYSTEM2),
    ),
    LaunchArgument(
        "instruction",
        "",
        "what the robot is to do, in words that the bundles know; others are refused with the list; empty: the "
        "first one that System 1's bundle knows",
        _for("instruction", *REAL_ROBOT),
    ),
    LaunchArgument(
        "params_file",
        "",
        "path of your own ROS parameter file (YAML); it wins over config/nodes.yaml, the arguments here win over "
        "both; empty: none",
    ),
    LaunchArgument(
        "record",
        "",
        "record every topic in a new bag: its folder, or true for one named after the time; standby begins on "
        "the service 'record'; empty: no recorder",
        _for("bag", RECORDER),
    ),
    LaunchArgument(
        "use_sim_time",
        "false",
        "take the time from the topic /clock instead of from the machine; the simulated robot then publishes it",
        (*_for("use_sim_time", *REAL_ROBOT, SAFE_SOURCE), *_for("publish_clock", SIM_ROBOT)),
        tuple(BOOLEANS),
    ),
    LaunchArgument(
        "control",
        "separate",
        "where the command node, which moves the arm, runs: in a process of its own, which is safer, or in System 1's",
        _for("control", SYSTEM1),
        ("separate", IN_PROCESS),
    ),
    LaunchArgument(
        "machine",
        ALL,
        "which part of the stack this computer runs: all of it, robot (all but System 2) or gpu_host (System 2)",
        (),
        MACHINES,
    ),
    LaunchArgument(
        "log_level",
        "info",
        "what the nodes print: messages of this severity and above",
        (),
        ("debug", "info", "warn", "error", "fatal"),
    ),
)
SIM_ARGUMENTS = (
    LaunchArgument(
        "task",
        "lift",
        "what the simulation sets up: a cube to lift, or to hand from arm to arm",
        _for("task", SIM_ROBOT),
        SimRobotConfig.parameters()["task"].choices,
    ),
)
REPLAY_ARGUMENTS = (
    LaunchArgument("bag", "", "bag to replay: its folder, or a bare .mcap file", _for("bag", REPLAY_NODE)),
    LaunchArgument(
        "rate",
        "1.0",
        "speed relative to the recording; 0: as fast as possible",
        _for("rate", REPLAY_NODE),
        number=True,
    ),
    LaunchArgument(
        "start",
        "0.0",
        "begin so many seconds after the bag's begin",
        _for("start_s", REPLAY_NODE),
        number=True,
    ),
    LaunchArgument(
        "duration",
        "0.0",
        "replay so many seconds of the bag; 0: to its end",
        _for("duration_s", REPLAY_NODE),
        number=True,
    ),
    LaunchArgument(
        "loop",
        "false",
        "begin again at the end, in a new episode",
        _for("loop", REPLAY_NODE),
        tuple(BOOLEANS),
    ),
    LaunchArgument(
        "recorded",
        "false",
        "also publish the recorded chunks, latents and run states, on recorded/… topics",
        _for("recorded", REPLAY_NODE),
        tuple(BOOLEANS),
    ),
    LaunchArgument(
        "recorded_namespace",
        "",
        "namespace of the recorded stack; empty finds the only one",
        _for("recorded_namespace", REPLAY_NODE),
    ),
    LaunchArgument("report", "", "JSON file for the figures at the end", _for("report", REPLAY_NODE)),
)
_NO_BUNDLE = (
    "; empty: no policy, the built-in safe source moves every joint a little around the profile's start pose"
)
_NEED_BUNDLE = ("system2_bundle", "instruction")
_NOT_IN_REPLAY = ("use_sim_time", "control", "machine")


def arguments_of(specs: tuple[NodeSpec, ...]) -> tuple[LaunchArgument, ...]:
    """Return the launch arguments that a stack takes."""
    if REPLAY_NODE in specs:
        kept = (argument for argument in ARGUMENTS if argument.name not in _NOT_IN_REPLAY)
        return (*kept, *REPLAY_ARGUMENTS)
    if SAFE_SOURCE in specs:
        return tuple(_without_bundle(argument) for argument in ARGUMENTS)
    return (*ARGUMENTS, *SIM_ARGUMENTS) if SIM_ROBOT in specs else ARGUMENTS


def _without_bundle(argument: LaunchArgument) -> LaunchArgument:
    """Return an argument as it is where a stack needs no bundle."""
    if argument.name != "system1_bundle":
        return argument
    return replace(argument, default="", description=argument.description + _NO_BUNDLE)


def check_arguments(specs: tuple[NodeSpec, ...], given: Mapping[str, str]) -> None:
    """Raise ConfigurationError for an unknown argument, a value outside its choices, or two that exclude each other."""
    known = {argument.name: argument for argument in arguments_of(specs)}
    for name, value in given.items():
        if name not in known:
            raise ConfigurationError(unknown_choice("launch argument", name, known))
        if known[name].choices and value not in known[name].choices:
            raise ConfigurationError(unknown_choice(f"value of {name}", value, known[name].choices))
    if SAFE_SOURCE in specs and not given.get("system1_bundle"):
        _check_without_bundle(given)
    if given.get("machine") == GPU_HOST and given.get("record"):
        raise ConfigurationError(
            "machine gpu_host runs System 2 alone; give `record` on the robot's computer"
        )


def _check_without_bundle(given: Mapping[str, str]) -> None:
    """Raise ConfigurationError for what means nothing to the safe source, which stands in for both systems."""
    useless = [f"{name} {given[name]}" for name in _NEED_BUNDLE if given.get(name)]
    if given.get("control") == IN_PROCESS:
        useless.append(f"control {IN_PROCESS}")
    if given.get("machine") == GPU_HOST:
        useless.append(f"machine {GPU_HOST}")
    if useless:
        raise ConfigurationError(
            f"{', '.join(useless)}: means nothing without a policy; give system1_bundle, too, or leave it out and try "
            "the robot with the built-in safe source"
        )


def check_new_bag(given: Mapping[str, str]) -> None:
    """Raise ConfigurationError where the bag that `record` names cannot be begun; only before anything has started."""
    from video2act_ros.recording.writing.bag_writer import check_new_folder  # loads what only recorders need

    record = given.get("record", "")
    if record in _NO_BAG_FOLDER:
        return
    try:
        check_new_folder(Path(record).expanduser())
    except BagError as error:
        raise ConfigurationError(f"record: {error}") from error
