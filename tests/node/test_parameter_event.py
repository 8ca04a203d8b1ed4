"""ParameterEvent bytes: what the middleware reads is what was meant, and nothing follows it."""

from rcl_interfaces.msg import Parameter, ParameterEvent, ParameterValue
from rclpy.serialization import deserialize_message
from rosbags.typesys import Stores, get_typestore

from video2act_ros.ros.parameter_event import PARAMETER_EVENT, parameter_event_bytes

VALUES = (
    ParameterValue(type=0),
    ParameterValue(type=1, bool_value=True),
    ParameterValue(type=2, integer_value=-7),
    ParameterValue(type=3, double_value=2.5),
    ParameterValue(type=4, string_value="grüße"),
    ParameterValue(type=5, byte_array_value=[b"\x01", b"\xff"]),
    ParameterValue(type=6, bool_array_value=[True, False]),
    ParameterValue(type=7, integer_array_value=[1, -2]),
    ParameterValue(type=8, double_array_value=[0.5]),
    ParameterValue(type=9, string_array_value=["a", "", "long text"]),
)


def test_every_kind_of_parameter_goes_through_both_readers():
    """rclpy reads the same event; rosbags, which accepts no bytes behind the message, reads it too."""
    event = ParameterEvent(
        node="/node",
        new_parameters=[Parameter(name=f"p{index}", value=value) for index, value in enumerate(VALUES)],
        changed_parameters=[Parameter(name="changed", value=VALUES[3])],
        deleted_parameters=[Parameter(name="deleted")],
    )
    event.stamp.sec = 5
    data = parameter_event_bytes(event)
    assert deserialize_message(data, ParameterEvent) == event
    assert get_typestore(Stores.LATEST).deserialize_cdr(data, PARAMETER_EVENT).node == "/node"
