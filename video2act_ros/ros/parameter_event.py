"""ParameterEvent messages as exact bytes: the middleware's own function leaves a tail that strict readers refuse."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from rcl_interfaces.msg import Parameter, ParameterEvent
from rosbags.typesys import Stores, get_typestore

PARAMETER_EVENT = "rcl_interfaces/msg/ParameterEvent"

_PACKAGE = "rcl_interfaces/msg"
_SCALARS = ("type", "bool_value", "integer_value", "double_value", "string_value")
_ARRAYS = {
    "bool_array_value": np.bool_,
    "integer_array_value": np.int64,
    "double_array_value": np.float64,
}


def parameter_event_bytes(event: ParameterEvent) -> bytes:
    """Return the CDR bytes of an event."""
    store = _store()
    stamp = store.types["builtin_interfaces/msg/Time"](event.stamp.sec, event.stamp.nanosec)
    groups = (event.new_parameters, event.changed_parameters, event.deleted_parameters)
    message = store.types[PARAMETER_EVENT](
        stamp, event.node, *([_parameter(item) for item in group] for group in groups)
    )
    return bytes(store.serialize_cdr(message, PARAMETER_EVENT))


def _parameter(parameter: Parameter) -> Any:
    types, value = _store().types, parameter.value
    fields: dict[str, Any] = {name: getattr(value, name) for name in _SCALARS}
    fields |= {name: np.array(getattr(value, name), dtype) for name, dtype in _ARRAYS.items()}
    fields["byte_array_value"] = np.frombuffer(b"".join(value.byte_array_value), np.uint8)
    fields["string_array_value"] = list(value.string_array_value)
    return types[f"{_PACKAGE}/Parameter"](parameter.name, types[f"{_PACKAGE}/ParameterValue"](**fields))


@functools.cache
def _store() -> Any:
    return get_typestore(Stores.LATEST)
