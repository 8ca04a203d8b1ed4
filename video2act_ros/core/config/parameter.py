"""What a node's parameter is, and the parameters that every node has."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Union

from video2act_ros.core.errors import ConfigurationError, unknown_choice

ParameterValue = Union[bool, int, float, str]

DEFAULT_ROBOT = "aloha_sim"


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


def with_default(config: type[NodeConfig], name: str, default: ParameterValue) -> Any:
    """Return a dataclass field for a parameter that `config` has, with another default."""
    return field(default=default, metadata={"parameter": config.parameters()[name]})


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Parameters that every node has."""

    NODE_NAME: ClassVar[str] = ""

    robot: str = parameter(DEFAULT_ROBOT, "robot profile: a YAML file, or a name under config/robots/")
    autostart: bool = parameter(True, "configure and activate without a lifecycle manager")
    diagnostics_period_s: float = parameter(
        1.0, "time between two messages on /diagnostics", unit="s", minimum=0.05, maximum=60.0
    )
    nice: int = parameter(
        -10,
        "nice value of the process where permitted: negative runs before other programs, 0 leaves it as it is",
        minimum=-20,
        maximum=19,
    )

    def __post_init__(self) -> None:
        for name, info in self.parameters().items():
            info.check(name, getattr(self, name))

    @classmethod
    def parameters(cls) -> dict[str, ParameterInfo]:
        """Return every parameter's name and description in declaration order."""
        return {item.name: item.metadata["parameter"] for item in fields(cls)}
