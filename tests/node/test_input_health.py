"""InputHealth messages, and that real System 1 and System 2 nodes publish what their inputs are like."""

import pytest

from video2act_msgs.msg import InputHealth
from video2act_ros.core.errors import InputError
from video2act_ros.core.input_report import InputCheck, InputReport, InputValue
from video2act_ros.ros.input_health import message_from_report, report_from_message


def test_reports_survive_the_message():
    """Checks, cameras, values and stamp come back equal; a value that has not arrived travels as -1."""
    values = (
        InputValue(InputCheck.IMAGE_AGE, "cam_high", 0.25),
        InputValue(InputCheck.FRAME_GAP, "cam_wrist", None),
    )
    report = InputReport(1_500_000_000, "system2", values)
    message = message_from_report(report)
    assert list(message.values) == [0.25, -1.0]
    assert report_from_message(message) == report


def test_the_checks_are_those_of_the_message():
    """One vocabulary: the enum's and the message's constants."""
    constants = {
        InputHealth.IMAGE_AGE,
        InputHealth.IMAGE_FROZEN,
        InputHealth.IMAGE_DARK,
        InputHealth.FRAME_GAP,
    }
    assert {check.value for check in InputCheck} == constants


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"values": [0.1, 0.2]}, "1, 1, 2 checks"),
        ({"checks": ["image_taste"]}, "unknown input check 'image_taste'"),
        ({"values": [float("nan")]}, "must be finite"),
    ],
)
def test_a_message_that_makes_no_sense_is_refused(change, words):
    """The reader drops it with a clear line and keeps what it knew."""
    fields = {"system": "system1", "checks": ["image_age"], "cameras": ["cam_high"], "values": [0.1]} | change
    with pytest.raises(InputError, match=words):
        report_from_message(InputHealth(**fields))
