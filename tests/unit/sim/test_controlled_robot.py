"""Controllers of plain set-points, joints that follow late, and both as the robot of a profile."""

import numpy as np
import pytest

from video2act_ros.core.errors import InputError
from video2act_ros.core.robot_profile import Mock
from video2act_ros.sim.controlled_robot import ControlledRobot
from video2act_ros.sim.delayed_joints import DelayedJoints
from video2act_ros.sim.forward_controller import ForwardController
from video2act_ros.sim.mock_robot import ControlledMockRobot
from video2act_ros.sim.trajectory_controller import JointTrajectoryMessage, Waypoint

MS = 1_000_000


@pytest.fixture
def forward():
    return ForwardController(("a", "b"), np.array([0.0, 1.0]))


def test_a_set_point_goes_to_the_motors_as_it_is(forward):
    """In one update, however far it is, and it stays without a time-out."""
    forward.receive(("b", "a"), np.array([9.0, 8.0]))
    assert [forward.update().tolist() for _ in range(2)] == [[8.0, 9.0]] * 2
    assert not forward.moves


@pytest.mark.parametrize(
    ("names", "positions", "words"),
    [
        (("a",), [1.0], "each of the 2 joints once"),
        (("a", "c"), [1.0, 2.0], "each of the 2 joints once"),
        (("a", "b"), [1.0], "2 finite positions"),
        (("a", "b"), [1.0, np.nan], "2 finite positions"),
    ],
)
def test_a_set_point_that_fits_not_is_refused(forward, names, positions, words):
    """The one before stands."""
    with pytest.raises(InputError, match=words):
        forward.receive(names, np.array(positions))
    assert forward.update().tolist() == [0.0, 1.0]


def test_an_inactive_controller_forwards_nothing(forward):
    """Nor does it make up for it afterwards."""
    forward.receive(("a", "b"), np.array([0.5, 1.5]))
    forward.update()
    forward.receive(("a", "b"), np.array([6.0, 6.0]))
    forward.deactivate()
    forward.receive(("a", "b"), np.array([7.0, 7.0]))
    assert forward.update().tolist() == [0.5, 1.5]
    forward.activate()
    assert forward.update().tolist() == [0.5, 1.5]


def test_joints_are_where_their_commands_were():
    """Each by its own lag, also between two commands; velocities likewise."""
    joints = DelayedJoints(np.zeros(3), np.array([0.0, 0.010, 0.0125]))
    assert joints.at(0)[0].tolist() == [0.0, 0.0, 0.0]
    for tick in range(8):  # 1 rad/s
        joints.command(tick * 5 * MS, np.full(3, tick * 0.005))
    positions, velocities = joints.at(35 * MS)
    np.testing.assert_allclose(positions, [0.035, 0.025, 0.0225], atol=1e-12)
    np.testing.assert_allclose(velocities[1:], 1.0)
    np.testing.assert_allclose(joints.at(47 * MS)[0], [0.035, 0.035, 0.0345], atol=1e-12)
    np.testing.assert_allclose(joints.at(50 * MS)[1], 0.0)


def test_before_the_first_command_has_come_through_they_stand():
    """The lag begins with the first command, not with a jump."""
    joints = DelayedJoints(np.array([0.5]), np.array([0.02]))
    for tick in range(3):
        joints.command(tick * 5 * MS, np.array([0.7]))
    assert joints.at(19 * MS)[0].tolist() == [0.5]
    assert joints.at(25 * MS)[0] == pytest.approx([0.7])


@pytest.fixture
def two_outputs(robot_profile):
    """A trajectory controller for the arm, plain set-points for the gripper."""
    arm, gripper = robot_profile.joint_names[:2], robot_profile.joint_names[2:]
    output = robot_profile.commands[0]
    commands = (
        output.model_copy(update={"joints": arm}),
        output.model_copy(update={"topic": "gripper", "type": "forward_position", "joints": gripper}),
    )
    mock = Mock(controller="joint_trajectory_controller", lag_s={"shoulder": 0.05, "gripper": 0.01})
    return robot_profile.model_copy(update={"commands": commands, "mock": mock})


def trajectory(names, positions, after_ms=100):
    return JointTrajectoryMessage(
        names, 1, (Waypoint(after_ms * MS, np.array(positions), np.zeros(len(names))),)
    )


def test_every_output_has_the_controller_of_its_type(two_outputs):
    """Each gets its own messages, and the joints follow with the lags of the profile."""
    robot = ControlledRobot(two_outputs, np.zeros(3), two_outputs.mock_lag_s, 200.0)
    robot.update(0)
    robot.receive(0, trajectory(("shoulder", "elbow"), [0.2, 0.4]), MS)
    robot.receive(1, (("gripper",), np.array([0.03])), MS)
    for tick in range(1, 21):
        commanded = robot.update(tick * 5 * MS)
        if tick == 1:
            assert commanded[2] == 0.03
            assert robot.measured(5 * MS)[0][2] == 0.0
    assert robot.moves is False
    np.testing.assert_allclose(commanded, [0.2, 0.4, 0.03])
    positions, velocities = robot.measured(100 * MS)
    np.testing.assert_allclose(positions[1:], [0.4, 0.03])
    assert 0.0 < positions[0] < 0.2  # 50 ms behind
    assert velocities[0] > 0.0


def test_the_mock_robot_makes_every_update_of_its_controllers(two_outputs):
    """However seldom it is asked, its motion is the one of a controller that runs at the profile's rate."""
    often, seldom = (ControlledMockRobot(two_outputs, 0.2) for _ in range(2))
    for tick in range(31):
        often.step(0.001 * tick)
    for robot in (often, seldom):
        robot.receive(0, trajectory(("shoulder", "elbow"), [0.2, 0.4]), 0.031)
    for tick in range(31, 60):
        frequent = often.step(0.001 * tick)
    np.testing.assert_allclose(frequent[0], seldom.step(0.059)[0], atol=1e-12)
    assert not seldom.is_idle(0.059)
    assert seldom.abandoned_s(0.1) is None
    assert seldom.abandoned_s(0.059 + 0.2) is None  # it has arrived: nothing is missing
    assert seldom.is_idle(0.5)


def test_commands_that_stop_in_mid_motion_are_missed(two_outputs):
    """A controller has no time-out, but somebody has to say that nobody commands it any more."""
    robot = ControlledMockRobot(two_outputs, 0.05)
    robot.receive(0, trajectory(("shoulder", "elbow"), [0.2, 0.4], after_ms=500), 0.001)
    robot.step(0.2)
    assert robot.abandoned_s(0.2) == pytest.approx(0.199)


def test_inactive_controllers_leave_every_joint_where_it_is(two_outputs):
    """They judge their messages all the same."""
    robot = ControlledMockRobot(two_outputs, 0.05)
    robot.set_active(False)
    robot.receive(0, trajectory(("shoulder", "elbow"), [0.2, 0.4]), 0.001)
    robot.receive(1, (("gripper",), np.array([0.03])), 0.001)
    with pytest.raises(InputError, match="each of the 2 joints once"):
        robot.receive(0, trajectory(("shoulder", "wing"), [0.2, 0.4]), 0.001)
    assert robot.step(0.5)[0].tolist() == [0.0, 0.0, 0.0]
