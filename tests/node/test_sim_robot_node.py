"""`/sim_robot` as a real node with real physics and cameras: it behaves as an arm's driver does."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from compressed_profile import write_compressed_profile
from conditions import until
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from video2act_msgs.srv import NewEpisode, ResetSimulation
from video2act_ros.core.priority import raise_scheduling_class
from video2act_ros.nodes.sim_robot_node import SimRobotNode
from video2act_ros.ros import environment, qos
from video2act_ros.ros.convert import stamp_to_ns
from video2act_ros.ros.convert_images import frame_from_image, frame_from_message
from video2act_ros.sim.aloha import JOINT_NAMES
from video2act_ros.sim.graphics import gl_problem
from video2act_ros.sim.live import PHYSICS_PRIORITY

TIMEOUT_S = 20.0
CAMERAS = ("cam_high", "cam_right_wrist", "cam_left_wrist")
WAIST = JOINT_NAMES.index("right_waist")
pytestmark = pytest.mark.skipif(gl_problem() is not None, reason=str(gl_problem()))


class User(Node):
    """Sees what the robot publishes and sends it commands."""

    def __init__(self, context):
        super().__init__("user", context=context)
        self.changed = threading.Condition()
        self.joints = []
        self.frames = {name: [] for name in CAMERAS}
        self.successes = []
        self.clock = []
        self.create_subscription(JointState, "joint_states", self._keep(self.joints), qos.JOINT_STATES)
        for name in CAMERAS:
            self.create_subscription(Image, f"{name}/image_raw", self._keep(self.frames[name]), qos.CAMERA)
        self.create_subscription(Bool, "task_success", self._keep(self.successes), qos.LATCHED)
        self.create_subscription(Clock, "/clock", self._keep(self.clock), qos.DATA)
        self.trajectory = self.create_publisher(
            JointTrajectory, "joint_trajectory_controller/joint_trajectory", qos.COMMAND
        )
        self.positions = self.create_publisher(Float64MultiArray, "positions", qos.COMMAND)
        self.reset_client = self.create_client(ResetSimulation, "sim_robot/reset")

    def _keep(self, store):
        def keep(message):
            with self.changed:
                store.append(message)
                self.changed.notify_all()

        return keep

    def wait_for(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT_S), f"waited for {what}"

    def newest(self):
        return np.array(self.joints[-1].position)

    def reset(self, seed):
        assert self.reset_client.wait_for_service(TIMEOUT_S)
        return self.reset_client.call(
            ResetSimulation.Request(use_seed=True, seed=seed), timeout_sec=TIMEOUT_S
        )

    def send(self, positions, seconds=0.2, names=JOINT_NAMES):
        point = JointTrajectoryPoint(
            positions=list(positions), time_from_start=Duration(nanosec=int(seconds * 1e9))
        )
        self.trajectory.publish(JointTrajectory(joint_names=list(names), points=[point]))


@pytest.fixture
def user(context, spinner):
    return spinner.add(User(context))


@pytest.fixture
def robot_node(make_node):
    return make_node(SimRobotNode, image_width=64, image_height=48, camera_rate_hz=10.0)


def test_joint_states_and_cameras_flow_with_capture_stamps(user, robot_node):
    """Fourteen named joints and three RGB cameras; one exposure gives all three the same stamp."""
    user.wait_for(lambda: user.joints and all(user.frames[name] for name in CAMERAS), "every stream")
    assert tuple(user.joints[-1].name) == JOINT_NAMES
    frames = {name: frame_from_image(user.frames[name][0], name) for name in CAMERAS}
    assert {frame.image.shape for frame in frames.values()} == {(48, 64, 3)}
    assert len({frame.stamp_ns for frame in frames.values()}) == 1
    assert frames["cam_high"].stamp_ns <= robot_node.get_clock().now().nanoseconds


def test_a_compressed_camera_sends_jpeg_images(user, make_node, tmp_path):
    """`transport: compressed` in the profile is how the simulated camera sends, too; the others stay raw."""
    path = write_compressed_profile("aloha_sim", tmp_path)
    compressed = []
    topic = "cam_high/image_raw/compressed"
    user.create_subscription(CompressedImage, topic, user._keep(compressed), qos.CAMERA)
    make_node(SimRobotNode, robot=str(path), image_width=160, image_height=120, camera_rate_hz=10.0)
    user.wait_for(lambda: compressed and user.frames["cam_left_wrist"], "both kinds of cameras")
    frame = frame_from_message(compressed[-1], "cam_high")
    assert frame.image.shape == (120, 160, 3)
    assert len(compressed[-1].data) < frame.image.size / 2
    assert not user.frames["cam_high"]


def test_the_robot_stays_until_nobody_commands_it_and_it_stands(user, robot_node):
    """Told to stop with everything else, it must not vanish while the command node still brakes."""
    user.wait_for(lambda: user.joints, "joint states")
    assert robot_node.may_end
    goal = user.newest()
    goal[WAIST] += 0.3

    def busy():
        user.send(goal)
        return not robot_node.may_end

    user.wait_for(busy, "the robot to take a command")
    user.wait_for(lambda: robot_node.may_end, "the robot to be left alone")
    assert robot_node._robot.is_idle()
    robot_node.trigger_deactivate()
    assert robot_node.may_end


def test_a_trajectory_moves_the_named_joint(user, robot_node):
    """A JointTrajectory is followed to its point."""
    user.wait_for(lambda: user.joints, "joint states")
    goal = user.newest()
    goal[WAIST] += 0.2

    def arrived():
        user.send(goal)
        return abs(user.newest()[WAIST] - goal[WAIST]) < 0.05

    user.wait_for(arrived, "the joint to arrive")


def test_plain_positions_move_the_arm_too(user, make_node, tmp_path):
    """With `forward_position` in the profile a Float64MultiArray commands the joints in its order."""
    text = environment.resolve_profile("aloha_sim").read_text()
    profile = tmp_path / "forward.yaml"
    profile.write_text(
        text.replace("joint_trajectory_controller/joint_trajectory", "positions").replace(
            "type: joint_trajectory\n", "type: forward_position\n"
        )
    )
    make_node(SimRobotNode, robot=str(profile), image_width=64, image_height=48)
    user.wait_for(lambda: user.joints, "joint states")
    goal = user.newest()
    goal[WAIST] -= 0.2

    def arrived():
        user.positions.publish(Float64MultiArray(data=goal.tolist()))
        return abs(user.newest()[WAIST] - goal[WAIST]) < 0.05

    user.wait_for(arrived, "the joint to arrive")


@pytest.mark.parametrize(
    ("names", "length", "value"),
    [(JOINT_NAMES[:-1], 13, 0.5), (("elbow", *JOINT_NAMES[1:]), 14, 0.5), (JOINT_NAMES, 14, float("nan"))],
    ids=["too few joints", "unknown joint", "NaN"],
)
def test_a_bad_command_is_told_and_the_arm_stays(user, robot_node, names, length, value):
    """A wrong command gives one clear message on /diagnostics and moves nothing."""
    user.wait_for(lambda: user.joints, "joint states")
    before = user.newest()

    def told():
        user.send(np.full(length, value), names=names)
        return "14" in robot_node.health.report().message

    user.wait_for(told, "the message")
    np.testing.assert_allclose(user.newest(), before, atol=0.02)


def test_a_reset_puts_the_cube_where_the_seed_says(user, robot_node):
    """The cube's pose follows from the seed alone, and success is taken back."""
    first, second, other = user.reset(7), user.reset(7), user.reset(8)
    assert first.success
    np.testing.assert_array_equal(first.cube_position, second.cube_position)
    assert not np.allclose(first.cube_position, other.cube_position)
    user.wait_for(lambda: user.successes and not user.successes[-1].data, "success to be false")


def test_a_reset_without_a_seed_takes_the_next(user, robot_node):
    """Episodes go on by themselves."""
    user.reset(7)
    answer = user.reset_client.call(ResetSimulation.Request(), timeout_sec=TIMEOUT_S)
    assert answer.seed == 8


def test_simulated_time_stamps_everything_when_asked(user, make_node):
    """With publish_clock, /clock advances and stamps are of that clock."""
    make_node(SimRobotNode, publish_clock=True, image_width=64, image_height=48)
    user.wait_for(lambda: len(user.clock) > 5 and user.joints, "/clock")
    times = [stamp_to_ns(message.clock) for message in user.clock]
    assert times == sorted(times)
    assert stamp_to_ns(user.joints[0].header.stamp) < 60e9  # simulated time starts near zero


def test_a_robot_that_is_not_simulated_is_refused(make_node):
    """Another robot's profile is refused at configuration, with the remedy."""
    node = make_node(SimRobotNode, robot="agilex_cobot_magic")
    assert not node.came_up
    assert "robot:=aloha_sim" in node.health.report().message


def set_fault(user, fault):
    client = user.create_client(SetParameters, "sim_robot/set_parameters")
    assert client.wait_for_service(TIMEOUT_S)
    request = SetParameters.Request(parameters=[Parameter("fault", value=fault).to_parameter_msg()])
    return client.call(request, timeout_sec=TIMEOUT_S).results[0]


def test_the_fault_parameter_breaks_the_driver_and_heals_it(user, robot_node):
    """Joint states stop while the undisturbed ones go on; `none` ends the fault, nonsense is refused."""
    true = []
    user.create_subscription(JointState, "sim_robot/true_joint_states", user._keep(true), qos.DATA)
    user.wait_for(lambda: user.joints and true, "both kinds of joint states")
    assert not set_fault(user, "cut_the_cable").successful
    assert set_fault(user, "joint_states_nan").successful
    user.wait_for(lambda: np.all(np.isnan(user.newest())), "NaN")
    assert np.all(np.isfinite(true[-1].position))
    assert len(true[-1].effort) == 14
    assert set_fault(user, "joint_states_stop").successful
    known = len(true)
    user.wait_for(lambda: len(true) > known + 5, "the undisturbed joint states to go on")
    seen, known = len(user.joints), len(true)
    user.wait_for(lambda: len(true) > known + 20, "the undisturbed joint states to go on")
    assert len(user.joints) == seen
    assert set_fault(user, "none").successful
    user.wait_for(lambda: len(user.joints) > seen and np.all(np.isfinite(user.newest())), "joint states")


def test_a_clock_fault_steps_the_published_clock(user, make_node):
    """/clock and the stamps jump by ten seconds together."""
    make_node(SimRobotNode, image_width=64, image_height=48, publish_clock=True)
    user.wait_for(lambda: user.clock and user.joints, "the clock")
    before_ns = stamp_to_ns(user.clock[-1].clock)
    assert set_fault(user, "clock_step_forward").successful
    user.wait_for(lambda: stamp_to_ns(user.clock[-1].clock) > before_ns + 10e9, "the clock to step")
    user.wait_for(lambda: stamp_to_ns(user.joints[-1].header.stamp) > before_ns + 10e9, "the stamps to step")


def test_an_inactive_controller_tells_so_and_does_not_act(user, robot_node):
    """It subscribes and measures on; activated, it acts on what comes then."""
    activity = []
    user.create_subscription(String, "sim_robot/activity", user._keep(activity), qos.LATCHED)
    user.wait_for(lambda: user.joints and activity and activity[-1].data == "active", "an active robot")
    assert set_fault(user, "controller_inactive").successful
    user.wait_for(lambda: activity[-1].data == "inactive", "the robot to tell")
    before, goal = user.newest(), user.newest()
    goal[WAIST] += 0.2
    known = len(user.joints)

    def measured(count):
        user.send(goal)
        return len(user.joints) > known + count

    user.wait_for(lambda: measured(30), "joint states to go on")
    np.testing.assert_allclose(user.newest(), before, atol=0.02)
    assert set_fault(user, "none").successful
    user.wait_for(lambda: activity[-1].data == "active", "the robot to tell")
    user.wait_for(
        lambda: measured(0) and abs(user.newest()[WAIST] - goal[WAIST]) < 0.05, "the joint to arrive"
    )


def test_a_deaf_robot_subscribes_to_no_commands(user, robot_node):
    """Its subscription is gone from the graph, and comes back; stopping it leaves none behind."""
    topic = user.trajectory.topic_name
    user.wait_for(lambda: user.joints and user.count_subscribers(topic) == 1, "the robot to listen")
    assert set_fault(user, "deaf").successful
    user.wait_for(lambda: user.count_subscribers(topic) == 0, "the robot to be deaf")
    assert set_fault(user, "none").successful
    user.wait_for(lambda: user.count_subscribers(topic) == 1, "the robot to listen")
    robot_node.trigger_deactivate()
    user.wait_for(lambda: user.count_subscribers(topic) == 0, "the robot to be stopped")


def test_with_servos_off_the_arm_falls(user, robot_node):
    """Whatever is commanded; the undisturbed joint states name the fault in force."""
    true = []
    user.create_subscription(JointState, "sim_robot/true_joint_states", user._keep(true), qos.DATA)
    user.wait_for(lambda: true and true[-1].header.frame_id == "none", "joint states")
    before = user.newest()
    assert set_fault(user, "servos_off").successful
    user.wait_for(lambda: true[-1].header.frame_id == "servos_off", "the fault to be in force")

    def fell():
        user.send(before)
        return np.abs(user.newest() - before).max() > 0.4

    user.wait_for(fell, "the arm to fall")


@pytest.mark.usefixtures("robot_node")
def test_the_physics_wait_for_no_program(user):
    """An arm falls behind for no busy computer; behind its commands, the simulated one would leap after them."""
    user.wait_for(lambda: user.joints, "the physics")
    thread = next(thread for thread in threading.enumerate() if thread.name == "sim_physics")
    with ThreadPoolExecutor(1) as own:
        told = own.submit(raise_scheduling_class, PHYSICS_PRIORITY).result(TIMEOUT_S)
    expected = os.SCHED_FIFO if told.startswith("SCHED_FIFO") else os.SCHED_OTHER
    assert os.sched_getscheduler(thread.native_id) == expected


@pytest.mark.usefixtures("robot_node")
@pytest.mark.parametrize("found", ["dead", "none"])
def test_a_new_episode_is_asked_for_until_a_command_node_has_answered(user, context, spinner, found):
    """One that was killed stays known for a while and answers nothing; its successor may not be known yet."""
    dead = Node("dead", context=context)  # nobody spins it
    if found == "dead":
        dead.create_service(NewEpisode, "new_episode", lambda _request, response: response)
        until(lambda: user.reset(3).message == "reset", "the robot to know the dead one")
    else:
        assert "no command node" in user.reset(3).message
    dead.destroy_node()
    asked = threading.Event()
    successor = Node("successor", context=context)
    successor.create_service(NewEpisode, "new_episode", lambda _request, response: asked.set() or response)
    spinner.add(successor)
    assert asked.wait(TIMEOUT_S)
