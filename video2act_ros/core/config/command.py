"""Parameters of the node that owns the arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from video2act_ros.core.config.parameter import NodeConfig, parameter


@dataclass(frozen=True, slots=True)
class CommandConfig(NodeConfig):
    """Parameters of `/command`."""

    NODE_NAME: ClassVar[str] = "command"

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
    bridge_s: float = parameter(
        0.04,
        "a trajectory may reach its controller so much later than it was stamped without a jump of the arm; decisions, "
        "also to brake, take effect later by as much",
        unit="s",
        minimum=0.0,
        maximum=0.2,
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
