"""Every node's parameters: the only home of their names, types, defaults, units and ranges.

ROS parameters are declared from these dataclasses, YAML files only override them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Union

from video2act_ros.core.errors import ConfigurationError, unknown_choice

ParameterValue = Union[bool, int, float, str]

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
)
"""What the simulated robot can be told to do wrong."""


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """What a ROS parameter descriptor needs beyond name, type and default."""

    description: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = True

    def check(self, name: str, value: ParameterValue) -> None:
        """Raise ConfigurationError when `value` lies outside the range or the choices."""
        if self.choices and value not in self.choices:
            raise ConfigurationError(unknown_choice(f"value of parameter '{name}'", value, self.choices))
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return
        low = float("-inf") if self.minimum is None else self.minimum
        high = float("inf") if self.maximum is None else self.maximum
        if not low <= value <= high:
            given = f"parameter '{name}' is {value} {self.unit}".rstrip()
            raise ConfigurationError(f"{given}; it must lie in [{low}, {high}]")


def parameter(
    default: ParameterValue,
    description: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    read_only: bool = True,
) -> Any:  # a dataclass field stands for its value's type, which only Any can express
    """Return a dataclass field that carries its ParameterInfo."""
    info = ParameterInfo(description, unit, minimum, maximum, choices, read_only)
    return field(default=default, metadata={"parameter": info})


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Parameters that every node has."""

    NODE_NAME: ClassVar[str] = ""

    autostart: bool = parameter(True, "configure and activate without a lifecycle manager")
    diagnostics_period_s: float = parameter(
        1.0, "time between two messages on /diagnostics", unit="s", minimum=0.05, maximum=60.0
    )

    def __post_init__(self) -> None:
        for name, info in self.parameters().items():
            info.check(name, getattr(self, name))

    @classmethod
    def parameters(cls) -> dict[str, ParameterInfo]:
        """Return every parameter's name and description in declaration order."""
        return {item.name: item.metadata["parameter"] for item in fields(cls)}


@dataclass(frozen=True, slots=True)
class ModelConfig(NodeConfig):
    """Parameters that both systems have."""

    bundle: str = parameter(
        "aloha_lift",
        "wanted checkpoint bundle: a folder, or a name under the share folder's models/; "
        "active_bundle tells which one runs",
        read_only=False,
    )
    robot: str = parameter("aloha_sim", "robot profile: a YAML file, or a name under config/robots/")
    instruction: str = parameter(
        "", "instruction at start; empty takes the bundle's first one", read_only=False
    )
    rate_hz: float = parameter(3.0, "largest update rate", unit="Hz", minimum=0.1, maximum=100.0)
    device: str = parameter("auto", "where the model runs", choices=("auto", "cpu", "cuda"))
    threads: int = parameter(
        1, "CPU threads of the model library; 0 leaves its own choice", minimum=0, maximum=256
    )


@dataclass(frozen=True, slots=True)
class System2Config(ModelConfig):
    """Parameters of `/system2`."""

    NODE_NAME: ClassVar[str] = "system2"

    camera_reliability: str = parameter(
        "best_effort",
        "best_effort takes images from every driver; reliable asks for lost pieces again, as over a lossy link, "
        "and needs a driver that publishes reliably",
        choices=("best_effort", "reliable"),
    )


@dataclass(frozen=True, slots=True)
class System1Config(ModelConfig):
    """Parameters of `/system1`."""

    NODE_NAME: ClassVar[str] = "system1"

    rate_hz: float = parameter(4.0, "largest chunk rate", unit="Hz", minimum=0.1, maximum=100.0)
    seed: int = parameter(
        0, "seed of the sampler's noise, equal for every chunk: chunks differ only by their inputs", minimum=0
    )
    backend: str = parameter(
        "torch",
        "library that computes the policy; onnxruntime needs a bundle with exported graphs",
        choices=("torch", "onnxruntime"),
    )
    onnx_providers: str = parameter(
        "CPU", "providers of backend onnxruntime, best first, separated by commas: TensorRT, CUDA, CPU"
    )
    realtime_chunking: bool = parameter(
        False,
        "freeze the actions that will be sent during inference and guide the following ones; "
        "needs splice:=rtc of the command node",
    )
    control: str = parameter(
        "separate",
        "separate: command_node owns the arm; in_process: this process does",
        choices=("separate", "in_process"),
    )


@dataclass(frozen=True, slots=True)
class CommandConfig(NodeConfig):
    """Parameters of `/command`."""

    NODE_NAME: ClassVar[str] = "command"

    robot: str = parameter("aloha_sim", "robot profile: a YAML file, or a name under config/robots/")
    instruction: str = parameter("", "instruction at start; empty takes System 1's choice", read_only=False)
    rate_hz: float = parameter(50.0, "rate of joint commands", unit="Hz", minimum=1.0, maximum=1000.0)
    splice: str = parameter(
        "ensemble",
        "how a chunk takes over: replace at once, blend by a cross-fade, ensemble weighs several, "
        "rtc by a short fade where System 1's realtime_chunking continues the motion",
        choices=("replace", "blend", "ensemble", "rtc"),
    )
    average_decay: float = parameter(
        0.8,
        "weight of each older chunk relative to the next newer one in splice mode ensemble",
        minimum=0.0,
        maximum=1.0,
    )
    reach_rad: float = parameter(
        0.5,
        "the arm is driven only to a first command within this distance of where it stands, on each arm joint",
        unit="rad",
        minimum=0.01,
        maximum=3.2,
    )
    slow_scale: float = parameter(
        0.4,
        "share of full speed at which chunks are executed while an input is beyond its slow threshold",
        minimum=0.1,
        maximum=1.0,
    )
    start_speed: float = parameter(
        0.15,
        "share of the velocity, acceleration and jerk limits used by move_to_start",
        minimum=0.01,
        maximum=1.0,
    )
    external_timeout_s: float = parameter(
        0.25,
        "an external source drives until no message of it has come for this long",
        unit="s",
        minimum=0.02,
        maximum=2.0,
    )
    replay: bool = parameter(
        False,
        "cameras and joints come from a bag: the arm cannot be engaged, commands would go to replay/…",
    )
    realtime_priority: int = parameter(
        40,
        "SCHED_FIFO priority of the control thread where permitted; 0 keeps the normal class",
        minimum=0,
        maximum=99,
    )


@dataclass(frozen=True, slots=True)
class ReplayConfig(NodeConfig):
    """Parameters of `/replay`."""

    NODE_NAME: ClassVar[str] = "replay"

    bag: str = parameter("", "bag to replay: its folder, or a bare .mcap file")
    robot: str = parameter("aloha_sim", "robot profile: a YAML file, or a name under config/robots/")
    rate: float = parameter(
        1.0, "speed relative to the recording; 0 publishes as fast as possible", minimum=0.0, maximum=100.0
    )
    start_s: float = parameter(0.0, "begin so long after the bag's begin", unit="s", minimum=0.0, maximum=1e9)
    duration_s: float = parameter(
        0.0, "replay so much of the bag; 0 replays to its end", unit="s", minimum=0.0, maximum=1e9
    )
    recorded_namespace: str = parameter("", "namespace of the recorded stack; empty finds the only one")
    loop: bool = parameter(False, "begin again at the end, in a new episode, until stopped")
    recorded: bool = parameter(
        False, "also publish the recorded chunks, latents and run states, on recorded/… topics"
    )
    wait_s: float = parameter(
        60.0,
        "largest time to wait for both systems to listen; 0 begins at once",
        unit="s",
        minimum=0.0,
        maximum=3600.0,
    )
    report: str = parameter("", "JSON file for the figures at the end; empty writes none")


@dataclass(frozen=True, slots=True)
class SimRobotConfig(NodeConfig):
    """Parameters of `/sim_robot`."""

    NODE_NAME: ClassVar[str] = "sim_robot"

    robot: str = parameter("aloha_sim", "robot profile: a YAML file, or a name under config/robots/")
    task: str = parameter(
        "lift", "task whose cube pose and success are simulated", choices=("lift", "transfer")
    )
    seed: int = parameter(
        0, "seed of the cube pose and the sensor noise; `reset` with no seed adds one", minimum=0
    )
    joint_rate_hz: float = parameter(100.0, "rate of joint_states", unit="Hz", minimum=50.0, maximum=500.0)
    camera_rate_hz: float = parameter(20.0, "rate of each camera", unit="Hz", minimum=1.0, maximum=60.0)
    image_width: int = parameter(320, "width of published images", unit="px", minimum=32, maximum=1920)
    image_height: int = parameter(240, "height of published images", unit="px", minimum=32, maximum=1080)
    image_noise: float = parameter(
        2.0, "standard deviation of the sensor noise in grey levels", minimum=0.0, maximum=50.0
    )
    command_timeout_s: float = parameter(
        0.2,
        "without a command for this long the driver brakes and holds",
        unit="s",
        minimum=0.02,
        maximum=10.0,
    )
    publish_clock: bool = parameter(False, "publish simulated time on /clock")
    fault: str = parameter(
        "none", "what the robot does wrong from now on; none ends it", choices=SIM_FAULTS, read_only=False
    )


@dataclass(frozen=True, slots=True)
class MockDriverConfig(NodeConfig):
    """Parameters of `/mock_driver`."""

    NODE_NAME: ClassVar[str] = "mock_driver"

    robot: str = parameter("aloha_sim", "robot profile: a YAML file, or a name under config/robots/")
    joint_rate_hz: float = parameter(
        100.0, "rate of the joint states", unit="Hz", minimum=10.0, maximum=500.0
    )
    camera_rate_hz: float = parameter(20.0, "rate of each camera", unit="Hz", minimum=1.0, maximum=60.0)
    image_width: int = parameter(160, "width of published images", unit="px", minimum=32, maximum=1920)
    image_height: int = parameter(120, "height of published images", unit="px", minimum=32, maximum=1080)
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
    silent: str = parameter(
        "", "what is not published from now on: joints, cameras, or a camera's name", read_only=False
    )


@dataclass(frozen=True, slots=True)
class RecorderConfig(NodeConfig):
    """Parameters of `/recorder`."""

    NODE_NAME: ClassVar[str] = "recorder"

    robot: str = parameter("aloha_sim", "robot profile: a YAML file, or a name under config/robots/")
    bag: str = parameter(
        "",
        "bag that begins at the start: a new folder, or true: one named after the time in `folder`; "
        "empty or standby: none",
    )
    folder: str = parameter("out/bags", "folder of the bags that are named after the time")
    topics: str = parameter(".*", "regular expression of the topics that are recorded, the whole name")
    exclude: str = parameter(
        ".*/true_joint_states", "regular expression of topics that are not recorded, the whole name"
    )
    images: str = parameter(
        "raw", "images as they come, or as JPEG on <topic>/compressed", choices=("raw", "jpeg")
    )
    jpeg_quality: int = parameter(90, "quality of JPEG images", minimum=1, maximum=100)
    compression: str = parameter("none", "of the bag's chunks, without loss", choices=("none", "lz4", "zstd"))
    queue_mb: int = parameter(
        512,
        "messages that may wait for the disk; beyond it they are dropped and counted",
        unit="MB",
        minimum=1,
        maximum=65536,
    )
    depth: int = parameter(
        1000,
        "messages of each topic that may wait in the middleware; of images at most 100",
        minimum=1,
        maximum=10000,
    )
    min_free_mb: int = parameter(
        500, "the bag ends while there is still so much free space on its disk", unit="MB", minimum=0
    )
    ring_s: float = parameter(
        0.0,
        "time kept in memory and saved on a fault or by save_recording; 0 keeps nothing",
        unit="s",
        minimum=0.0,
        maximum=3600.0,
    )
    ring_mb: int = parameter(
        1024, "largest size of what is kept in memory", unit="MB", minimum=1, maximum=65536
    )
