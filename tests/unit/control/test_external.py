import numpy as np
import pytest

from video2act_ros.control.external import ExternalSource, external_positions
from video2act_ros.core.errors import InputError
from video2act_ros.core.types import seconds_to_ns

NAMES = ("shoulder", "elbow")


def ns(time_s):
    return seconds_to_ns(time_s)


def test_names_may_come_in_any_order():
    """Positions are put into the profile's order."""
    np.testing.assert_array_equal(external_positions(["elbow", "shoulder"], [2.0, 1.0], NAMES), [1.0, 2.0])


@pytest.mark.parametrize(
    ("names", "values", "words"),
    [
        (["shoulder"], [1.0], "each of the 2 joints"),
        (["shoulder", "wrist"], [1.0, 2.0], "got 2 for shoulder, wrist"),
        (["shoulder", "shoulder"], [1.0, 2.0], "each of the 2 joints"),
        (["shoulder", "elbow"], [1.0], "got 1 for"),
        ([], [], "got 0 for none"),
        (["shoulder", "elbow"], [1.0, float("nan")], "NaN or infinite positions for elbow"),
    ],
)
def test_wrong_commands_are_refused_with_one_message(names, values, words):
    """Names, sizes and values are checked."""
    with pytest.raises(InputError, match=words):
        external_positions(names, values, NAMES)


def test_it_is_active_while_messages_are_young():
    """And not before the first one, nor when the clock went back."""
    source = ExternalSource(0.25)
    assert not source.active(ns(1.0))
    source.add(np.zeros(2), ns(1.0))
    assert source.active(ns(1.25))
    assert not source.active(ns(1.26))
    assert not source.active(ns(0.9))
    assert source.target(ns(1.26)) is None


def test_between_messages_the_motion_goes_on_in_straight_lines():
    """A source slower than the control rate gives no steps: positions are continuous, velocities their slopes."""
    source = ExternalSource(0.25)
    positions = []
    for message in range(10):
        source.add(np.full(2, 0.1 * message), ns(1.0 + 0.1 * message))
        for tick in range(5):
            target = source.target(ns(1.0 + 0.1 * message + 0.02 * tick))
            positions.append(target.positions[0])
    steps = np.diff(positions[10:])
    np.testing.assert_allclose(steps, 0.02, atol=1e-9)
    np.testing.assert_allclose(target.velocities, 1.0)
    rest = source.target(ns(2.1))
    np.testing.assert_allclose(rest.positions, 0.9)
    np.testing.assert_array_equal(rest.velocities, 0.0)


@pytest.mark.parametrize(
    ("stamp_s", "words"),
    [
        (0.0, None),
        (1.8e9, None),
        (1.8e9 - 0.25, None),
        (1.8e9 + 0.04, None),
        (
            1.8e9 - 0.3,
            "is 0.30 s old (external_timeout_s 0.25 s); check its source, the network and its clock",
        ),
        (1.8e9 + 0.3, "stamped 0.30 s in the future; synchronise its source's clock"),
        (5.0, "stamped 57.0 years ago, by another clock; let its source stamp with the system's clock"),
    ],
)
def test_a_command_counts_by_its_stamp(stamp_s, words):
    """Zero is no stamp; a late command, one from the future or from another clock is refused with its age."""
    told = ExternalSource(0.25).wrong_stamp(ns(stamp_s), ns(1.8e9))
    assert told is None if words is None else words in told
