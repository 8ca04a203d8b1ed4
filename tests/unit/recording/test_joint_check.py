"""Whether a chunk's joints follow from the recorded joint states, whatever messages a node has missed."""

import numpy as np
import pytest
from made_bags import BEGIN_NS, header, message

from video2act_ros.recording.exact.joint_check import JointCheck, JointFinding

KIND = "sensor_msgs/msg/JointState"
MS = 1_000_000


def joints(ms):
    """Shoulder, elbow [rad] and gripper [m] of a time [ms]: never the same twice."""
    return np.array([np.sin(ms / 90), np.cos(ms / 70), 0.02 + 0.01 * np.sin(ms / 50)])


@pytest.fixture
def check(robot_profile):
    """A check that knows half a second of joint states; the gripper's topic runs at half the rate."""
    found = JointCheck(robot_profile)

    def at(every_ms):
        for ms in range(0, 500, every_ms):
            arm, stamp = joints(ms), header(BEGIN_NS + ms * MS)
            found.add(0, message(KIND, header=stamp, name=["shoulder", "elbow"], position=arm[:2]))
            if ms % (2 * every_ms) == 0:
                found.add(1, message(KIND, header=stamp, name=["gripper"], position=arm[2:]))
        return found

    return at


def mixed(profile, first_ms, last_ms, at_ns):
    first, last = profile.to_policy(joints(first_ms)), profile.to_policy(joints(last_ms))
    share = (at_ns - first_ms * MS) / ((last_ms - first_ms) * MS)
    return first + share * (last - first)


@pytest.mark.parametrize("every_ms", [1, 5, 10])
@pytest.mark.parametrize("span_ms", [20, 40, 120, 300])
def test_a_mix_of_two_messages_is_the_same_however_many_lie_between(check, robot_profile, every_ms, span_ms):
    """A node that missed messages mixes two that lie far apart: by time, whatever the topic's rate is."""
    first_ms = 250 - span_ms // 2
    first_ms -= first_ms % 20
    at_ns = 250 * MS + 333_333
    wanted = mixed(robot_profile, first_ms, first_ms + span_ms, at_ns)
    stamp_ns = BEGIN_NS + at_ns
    assert check(every_ms).check(stamp_ns, stamp_ns, wanted) is JointFinding.SAME


def test_one_bit_beside_a_mix_is_different(check, robot_profile):
    """The search in the whole window is as exact as the one among the nearest."""
    at_ns = 250 * MS + 333_333
    wanted = mixed(robot_profile, 200, 320, at_ns)
    wanted[1] = np.nextafter(wanted[1], 10)
    stamp_ns = BEGIN_NS + at_ns
    assert check(5).check(stamp_ns, stamp_ns, wanted) is JointFinding.DIFFERENT


def test_two_joints_of_different_mixes_are_different(check, robot_profile):
    """Both topics must follow from one pair of stamps."""
    at_ns = 250 * MS + 333_333
    wanted = mixed(robot_profile, 200, 320, at_ns)
    wanted[2] = mixed(robot_profile, 240, 260, at_ns)[2]
    stamp_ns = BEGIN_NS + at_ns
    assert check(10).check(stamp_ns, stamp_ns, wanted) is JointFinding.DIFFERENT
