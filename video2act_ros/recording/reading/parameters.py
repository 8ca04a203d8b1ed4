"""Parameters of the recorded nodes, as far as the bag tells them."""

from __future__ import annotations

from typing import Any

from video2act_ros.recording.exact.recompute import Compute
from video2act_ros.recording.reading.decode import Message
from video2act_ros.recording.reading.streams import RobotBag

_EVENTS = "/parameter_events"
_VALUE_FIELDS = {1: "bool_value", 2: "integer_value", 3: "double_value", 4: "string_value"}
"""Of rcl_interfaces/msg/ParameterValue, by its `type`; arrays are not ours."""


def recorded_parameters(source: RobotBag) -> dict[str, dict[str, Any]]:
    """Return the last value of each parameter that the bag tells, by node name without its namespace."""
    found: dict[str, dict[str, Any]] = {}
    if source.holds(_EVENTS):
        for item in source.messages(_EVENTS):
            space, _, node = item.value.node.rpartition("/")
            if space == source.namespace:
                found.setdefault(node, {}).update(_values(item.value))
    return found


def recorded_compute(source: RobotBag, threads: int | None) -> Compute:
    """Return how the recorded nodes computed; what the bag does not tell has the nodes' defaults.

    Args:
        source: the bag.
        threads: CPU threads of both systems instead of the recorded ones.
    """
    parameters = recorded_parameters(source)
    system1, system2 = parameters.get("system1", {}), parameters.get("system2", {})
    default = Compute()
    return Compute(
        system1_threads=system1.get("threads", default.system1_threads) if threads is None else threads,
        system2_threads=system2.get("threads", default.system2_threads) if threads is None else threads,
        backend=system1.get("backend", default.backend),
        onnx_providers=system1.get("onnx_providers", default.onnx_providers),
    )


def _values(message: Message) -> dict[str, Any]:
    told = (*message.new_parameters, *message.changed_parameters)
    return {
        item.name: getattr(item.value, _VALUE_FIELDS[item.value.type])
        for item in told
        if item.value.type in _VALUE_FIELDS
    }
