"""InputReport to the InputHealth message and back."""

from __future__ import annotations

from video2act_msgs.msg import InputHealth
from video2act_ros.core.errors import InputError, unknown_choice
from video2act_ros.core.input_report import InputCheck, InputReport, InputValue
from video2act_ros.ros.convert import ns_to_stamp, stamp_to_ns

TOPIC = "input_health"

_NOTHING_YET = -1.0
_CHECKS = {check.value: check for check in InputCheck}


def message_from_report(report: InputReport) -> InputHealth:
    """Return a report as a message."""
    message = InputHealth(
        system=report.system,
        checks=[row.check.value for row in report.values],
        cameras=[row.camera for row in report.values],
        values=[_NOTHING_YET if row.value_s is None else row.value_s for row in report.values],
    )
    message.header.stamp = ns_to_stamp(report.stamp_ns)
    return message


def report_from_message(message: InputHealth) -> InputReport:
    """Return the report that a message carries.

    Raises:
        InputError: the columns differ in length, a check is unknown, or a value is not finite.
    """
    columns = message.checks, message.cameras, message.values
    if len({len(column) for column in columns}) != 1:
        raise InputError(
            f"'{TOPIC}' of {message.system} carries {', '.join(str(len(column)) for column in columns)} checks, "
            "cameras and values, which must be equally many; run one version of this package everywhere"
        )
    if unknown := [name for name in message.checks if name not in _CHECKS]:
        raise InputError(unknown_choice("input check", unknown[0], _CHECKS))
    values = tuple(
        InputValue(_CHECKS[name], camera, None if value == _NOTHING_YET else float(value))
        for name, camera, value in zip(*columns, strict=True)
    )
    return InputReport(stamp_to_ns(message.header.stamp), message.system, values)
