"""InputHealth messages, and that real System 1 and System 2 nodes publish what their inputs are like."""

import threading

import cv2
import numpy as np
import pytest
import yaml
from sensor_msgs.msg import CompressedImage, Image, JointState

from video2act_msgs.msg import InputHealth
from video2act_msgs.srv import ReadClock
from video2act_ros.core.errors import InputError
from video2act_ros.core.input_report import InputCheck, InputReport, InputValue
from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.ros import qos
from video2act_ros.ros.convert import ns_to_stamp
from video2act_ros.ros.input_health import TOPIC, message_from_report, report_from_message
from video2act_ros.ros.inputs import now_ns

TIMEOUT_S = 60.0


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
        InputHealth.IMAGE_FORMAT,
        InputHealth.FRAME_GAP,
        InputHealth.CLOCK_AHEAD,
        InputHealth.CLOCK_BEHIND,
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


class Reports:
    """Every InputHealth, by system, and the camera pictures and joint motion that a test asks for."""

    def __init__(self, world):
        self.world = world
        self.all = {"system1": [], "system2": []}
        self.picture = world.random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        self.elbow = 0.0
        world.create_subscription(InputHealth, TOPIC, self.keep, qos.DATA)

    def keep(self, message):
        with self.world.changed:
            values = report_from_message(message).values
            self.all[message.system].append({(row.check.value, row.camera): row.value_s for row in values})
            self.world.changed.notify_all()

    def value(self, system, check, camera):
        return self.all[system][-1][check, camera] if self.all[system] else None

    def wait_for(self, system, check, camera, above_s):
        def reached():
            value = self.value(system, check, camera)
            return value is not None and value > above_s

        with self.world.changed:
            assert self.world.changed.wait_for(reached, TIMEOUT_S), (check, camera, self.all[system][-3:])

    def wait_for_more(self, system, count):
        wanted = len(self.all[system]) + count
        with self.world.changed:
            assert self.world.changed.wait_for(lambda: len(self.all[system]) >= wanted, TIMEOUT_S), system

    def show_one_picture(self):
        """Let cam_high repeat one picture with new stamps while the elbow moves."""
        self.world.publishing -= {"cam_high", "joints"}
        self.world.create_timer(0.05, self.publish)

    def publish(self):
        stamp = self.world.get_clock().now().to_msg()
        self.elbow = (self.elbow + 0.05) % 1.0
        arm = JointState(name=["elbow", "shoulder"], position=[self.elbow, 0.1])
        gripper = JointState(name=["gripper"], position=[0.01])
        image = Image(height=32, width=32, encoding="rgb8", step=96, data=self.picture.tobytes())
        arm.header.stamp = gripper.header.stamp = image.header.stamp = stamp
        self.world.arm.publish(arm)
        self.world.gripper.publish(gripper)
        self.world.raw.publish(image)


@pytest.fixture
def reports(world):
    return Reports(world)


@pytest.fixture
def robot_with_one_more(robot):
    """The test robot with a compressed camera that no bundle looks at."""
    profile = yaml.safe_load(robot.read_text())
    profile["cameras"].append({"name": "cam_low", "topic": "cam_low", "transport": "compressed"})
    robot.write_text(yaml.safe_dump(profile))
    return robot


def test_good_inputs_are_told_by_both_systems(systems, reports):
    """System 1 tells of every camera, System 2 of its own; live cameras are young, not frozen and not dark."""
    reports.wait_for("system1", "image_age", "cam_high", -1.0)
    reports.wait_for("system1", "image_age", "cam_wrist", -1.0)
    reports.wait_for("system2", "image_age", "cam_high", -1.0)
    checks = {
        (check, camera)
        for check in ("image_age", "image_frozen", "image_dark", "image_format")
        for camera in ("cam_high", "cam_wrist")
    }
    clock = {("clock_ahead", ""), ("clock_behind", "")}
    assert set(reports.all["system1"][-1]) == checks | clock
    assert set(reports.all["system2"][-1]) == {("image_age", "cam_high"), ("frame_gap", "cam_high")} | clock
    reports.wait_for_more("system1", 5)
    for check, camera in checks - {("image_age", "cam_high"), ("image_age", "cam_wrist")}:
        assert reports.value("system1", check, camera) == 0.0


def test_a_frozen_camera_is_told_while_the_joints_move(systems, reports):
    """New stamps on an old picture do not hide it; the other camera stays good."""
    reports.wait_for("system1", "image_age", "cam_wrist", -1.0)
    reports.show_one_picture()
    reports.wait_for("system1", "image_frozen", "cam_high", 0.5)
    assert reports.value("system1", "image_dark", "cam_high") == 0.0
    assert reports.value("system1", "image_frozen", "cam_wrist") == 0.0


def test_a_stopped_camera_grows_old_in_both_reports(systems, world, reports):
    """Its age rises on and on; when it comes back, System 2 tells the gap that it left."""
    for system in ("system1", "system2"):
        reports.wait_for(system, "image_age", "cam_high", -1.0)
    world.publishing.remove("cam_high")
    reports.wait_for("system1", "image_age", "cam_high", 0.5)
    reports.wait_for("system2", "image_age", "cam_high", 0.5)
    assert reports.value("system1", "image_frozen", "cam_high") == 0.0
    world.publishing.add("cam_high")
    reports.wait_for("system2", "frame_gap", "cam_high", 0.5)


def test_a_dark_camera_is_told_until_a_new_episode_forgets_it(systems, world, reports):
    """A covered camera; the time begins anew with the episode."""
    reports.picture = np.zeros((32, 32, 3), np.uint8)
    reports.show_one_picture()
    reports.wait_for("system1", "image_dark", "cam_high", 0.5)
    before_s = reports.value("system1", "image_dark", "cam_high")
    world.run_state(epoch=2, episode=2)

    def begun_anew():
        return (reports.value("system1", "image_dark", "cam_high") or 0.0) < before_s

    with world.changed:
        assert world.changed.wait_for(begun_anew, TIMEOUT_S)
    reports.wait_for("system1", "image_dark", "cam_high", 0.5)


def test_a_camera_that_no_bundle_looks_at_is_watched_too(
    make_node, world, reports, bundle, robot_with_one_more
):
    """It is missing before its first image, then young, then dark; chunks do without it."""
    make_node(System1Node, bundle=str(bundle), robot=str(robot_with_one_more))
    reports.wait_for("system1", "image_age", "cam_high", -1.0)
    assert reports.value("system1", "image_age", "cam_low") is None
    publisher = world.create_publisher(CompressedImage, "cam_low", qos.CAMERA)
    data = cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1].tobytes()

    def publish():
        message = CompressedImage(format="png", data=data)
        message.header.stamp = world.get_clock().now().to_msg()
        publisher.publish(message)

    world.create_timer(0.02, publish)
    reports.wait_for("system1", "image_dark", "cam_low", 0.3)


def test_both_systems_compare_their_clocks_with_the_command_nodes(
    systems, make_node, world, reports, bundle, robot
):
    """Unknown while no command node answers; certainly nothing apart on one machine."""
    reports.wait_for_more("system1", 3)
    assert reports.value("system1", "clock_ahead", "") is None
    make_node(CommandNode, robot=str(robot))
    for system in ("system1", "system2"):
        reports.wait_for(system, "clock_ahead", "", -1.0)
        assert reports.value(system, "clock_ahead", "") == 0.0
        assert reports.value(system, "clock_behind", "") == 0.0


class LateClock:
    """Answers for the command node with a clock that is behind."""

    def __init__(self, world, behind_s):
        self.world, self.behind_ns = world, int(behind_s * 1e9)
        world.create_service(ReadClock, "read_clock", self.answer)

    def answer(self, _request, response):
        response.stamp = ns_to_stamp(now_ns(self.world) - self.behind_ns)
        return response


def test_a_clock_ahead_is_told(systems, world, reports):
    """With what is certain of it, after the round trip's uncertainty."""
    LateClock(world, 3600.0)
    reports.wait_for("system2", "clock_ahead", "", 3590.0)
    assert reports.value("system2", "clock_ahead", "") < 3600.1
    assert reports.value("system2", "clock_behind", "") == 0.0


class BusySystem1(System1Node):
    """One whose model never finishes until it is let go."""

    def start(self):
        self.busy, self.done = threading.Event(), threading.Event()
        super().start()

    def step(self):
        self.busy.set()
        self.done.wait(TIMEOUT_S)
        return False


def test_a_busy_model_does_not_stop_the_reports(make_node, world, reports, bundle, robot):
    """The executor's thread tells of the inputs while the worker computes."""
    node = make_node(BusySystem1, bundle=str(bundle), robot=str(robot))
    try:
        assert node.busy.wait(TIMEOUT_S)
        reports.wait_for("system1", "image_age", "cam_high", -1.0)
        world.publishing.remove("cam_high")
        reports.wait_for("system1", "image_age", "cam_high", 0.5)
        assert not node.done.is_set()
    finally:
        node.done.set()


def test_the_reports_need_no_ros_clock(make_node, world, reports, bundle, robot):
    """With simulated time that nobody publishes the reports come all the same."""
    make_node(System2Node, bundle=str(bundle), robot=str(robot), use_sim_time=True)
    reports.wait_for_more("system2", 3)
