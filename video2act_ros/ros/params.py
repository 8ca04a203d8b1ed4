"""ROS parameters declared from a node's configuration dataclass, and read back into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from video2act_ros.core.config import NodeConfig, ParameterInfo, ParameterValue
from video2act_ros.core.errors import ConfigurationError, Video2ActError, unknown_choice

C = TypeVar("C", bound=NodeConfig)

_FAR = 1e18  # stands for "no limit" where a ROS range needs a number
_FAR_INTEGER = 2**62
_OWN_PREFIXES = ("use_sim_time", "qos_overrides.", "start_type_description_service")


def describe(info: ParameterInfo, default: ParameterValue) -> ParameterDescriptor:
    """Return the ROS descriptor of one parameter; choices go into its additional constraints."""
    descriptor = ParameterDescriptor(
        description=f"{info.description} [{info.unit}]" if info.unit else info.description,
        additional_constraints=f"one of: {', '.join(info.choices)}" if info.choices else "",
        read_only=info.read_only,
    )
    if info.minimum is None and info.maximum is None:
        return descriptor
    if isinstance(default, float):
        low = -_FAR if info.minimum is None else float(info.minimum)
        high = _FAR if info.maximum is None else float(info.maximum)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
    else:
        first = -_FAR_INTEGER if info.minimum is None else int(info.minimum)
        last = _FAR_INTEGER if info.maximum is None else int(info.maximum)
        descriptor.integer_range = [IntegerRange(from_value=first, to_value=last, step=1)]
    return descriptor


def declare(node: Node, config_class: type[C]) -> C:
    """Declare every field of `config_class` as a parameter of `node` and return the values given.

    An unknown name is only a warning: parameter files may name several nodes at once by a wildcard.

    Raises:
        ConfigurationError: a value has the wrong type or lies outside its range.
    """
    known = config_class.parameters()
    given = {name for name in node._parameter_overrides if not name.startswith(_OWN_PREFIXES)}
    if unknown := sorted(given - set(known)):
        kind = f"{node.get_name()} parameter"
        node.get_logger().warning(unknown_choice(kind, ", ".join(unknown), sorted(known)))
    values: dict[str, ParameterValue] = {}
    for item in fields(config_class):
        info = known[item.name]
        default: Any = item.default
        try:
            values[item.name] = node.declare_parameter(item.name, default, describe(info, default)).value
        except InvalidParameterTypeException as error:
            raise ConfigurationError(
                f"parameter '{item.name}' of node '{node.get_name()}' must be of type {type(default).__name__}, "
                f"got {_override(node, item.name)!r}"
                + ("; write a decimal point" if isinstance(default, float) else "")
            ) from error
        except InvalidParameterValueException as error:
            info.check(item.name, _override(node, item.name))
            raise ConfigurationError(f"parameter '{item.name}': {error}") from error
    return config_class(**values)  # type: ignore[arg-type]


def _override(node: Node, name: str) -> Any:
    return node._parameter_overrides[name].value


def declare_told(node: Node, name: str, description: str) -> None:
    """Declare a read-only text by which a node tells something; empty at first, whatever files say."""
    descriptor = ParameterDescriptor(description=description, read_only=True)
    node.declare_parameter(name, "", descriptor, ignore_override=True)


def tell(node: Node, name: str, value: str) -> None:
    """Change such a parameter, which nobody else can. In the executor's thread."""
    # As a declaration sets it: rclpy has no other way past its own read-only check.
    node._set_parameters_atomically_common(
        [Parameter(name, value=value)], {name: node.describe_parameter(name)}
    )


def validate_changes(
    node: Node, current: Callable[[], C], check: Callable[[C], None], applied: Callable[[C], None]
) -> None:
    """Let parameters that are not read-only change at run time.

    Args:
        node: owner of the parameters.
        current: gives the configuration now in force.
        check: raises a Video2ActError to refuse the new configuration; its message is the answer.
        applied: receives the new configuration after all parameters were accepted.
    """
    names = {item.name for item in fields(current())}

    def changed(parameters: list[Parameter]) -> C:
        return replace(current(), **{p.name: p.value for p in parameters if p.name in names})

    def on_set(parameters: list[Parameter]) -> SetParametersResult:
        try:
            check(changed(parameters))
        except Video2ActError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def after_set(parameters: list[Parameter]) -> None:
        if any(p.name in names for p in parameters):
            applied(changed(parameters))

    node.add_on_set_parameters_callback(on_set)
    node.add_post_set_parameters_callback(after_set)
