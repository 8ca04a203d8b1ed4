"""One message that cannot be used costs itself only: counted, told with place and reason, refused on request."""

import numpy as np
import pytest
from made_bags import BEGIN_NS, SECOND, MadeBag, header, message, whole_run

from video2act_ros.core.errors import BagError, InputError
from video2act_ros.core.types import CameraFrame
from video2act_ros.recording.datasets.dataset_episodes import ExportOptions
from video2act_ros.recording.datasets.export_lerobot import export_lerobot
from video2act_ros.recording.playing.replay_plan import ReplayMessage, ReplayPlan
from video2act_ros.recording.reading.bag import Reading, open_bag
from video2act_ros.recording.reading.streams import RobotBag

JOINTS, IMAGE = "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
TRAJECTORY, POINT = "trajectory_msgs/msg/JointTrajectory", "trajectory_msgs/msg/JointTrajectoryPoint"
AT_NS = BEGIN_NS + SECOND + 7_000_000


def first_of(bag, topic):
    return next(row[3] for row in bag.rows if row[1] == f"/{topic}")


def torn_image(bag):
    data = first_of(bag, "cam_wrist/image_raw/compressed").data[:40]
    made = message(COMPRESSED, header=header(AT_NS), format="png", data=data)
    bag.add(AT_NS, "cam_wrist/image_raw/compressed", COMPRESSED, made)


def short_image(bag):
    made = message(IMAGE, header=header(AT_NS), height=9, width=9, encoding="rgb8", step=27)
    bag.add(AT_NS, "cam_high/image_raw", IMAGE, made)


def nan_joint(bag):
    made = message(JOINTS, header=header(AT_NS), name=["shoulder", "elbow"], position=np.array([np.nan, 0.0]))
    bag.add(AT_NS, "arm/joint_states", JOINTS, made)


def uneven_joints(bag):
    made = message(JOINTS, header=header(AT_NS), name=["shoulder", "elbow"], position=np.array([0.0]))
    bag.add(AT_NS, "arm/joint_states", JOINTS, made)


def empty_trajectory(bag):
    made = message(TRAJECTORY, header=header(AT_NS), joint_names=["shoulder", "elbow", "gripper"])
    bag.add(AT_NS, "commands", TRAJECTORY, made)


def nan_command(bag):
    points = [message(POINT, positions=np.array([np.nan, 0.0, 0.0]))]
    made = message(
        TRAJECTORY, header=header(AT_NS), joint_names=["shoulder", "elbow", "gripper"], points=points
    )
    bag.add(AT_NS, "commands", TRAJECTORY, made)


def part_of_the_joints(bag):
    points = [message(POINT, positions=np.array([0.0]))]
    made = message(TRAJECTORY, header=header(AT_NS), joint_names=["shoulder"], points=points)
    bag.add(AT_NS, "commands", TRAJECTORY, made)


UNUSABLE = {
    torn_image: "/cam_wrist/image_raw/compressed",
    short_image: "/cam_high/image_raw",
    nan_joint: "/arm/joint_states",
    uneven_joints: "/arm/joint_states",
    empty_trajectory: "/commands",
    nan_command: "/commands",
    part_of_the_joints: "/commands",
}


def wheels(bag):
    """Another robot part on the topic of the joints."""
    made = message(JOINTS, header=header(AT_NS), name=["left_wheel"], position=np.array([1.0]))
    bag.add(AT_NS, "arm/joint_states", JOINTS, made)


def base_command(bag):
    """A trajectory for somebody else's joints."""
    points = [message(POINT, positions=np.array([1.0]))]
    bag.add(AT_NS, "commands", TRAJECTORY, message(TRAJECTORY, joint_names=["left_wheel"], points=points))


def other_types(bag):
    """Our names, used for something else by others."""
    text = "std_msgs/msg/String"
    for topic in ("run_state", "task_success", "cam_high/image_raw", "commands", "arm/joint_states"):
        bag.add(AT_NS, topic, text, message(text, data="hello"))
    bag.add(AT_NS, "elsewhere/run_state", text, message(text, data="hello"))
    bag.add(AT_NS, "elsewhere/action_chunk", text, message(text, data="hello"))


OTHERS = (wheels, base_command, other_types)


def made(spoil):
    bag = whole_run().success(1.9)
    spoil(bag)
    return bag


def read_all(folder, profile, reading=None):
    """Every stream of a bag; returns what was skipped and how much there was."""
    with open_bag(folder, reading or Reading()) as bag:
        robot = RobotBag(bag, profile)
        streams = (
            robot.frames(),
            robot.joint_samples(),
            robot.commands(),
            robot.run_states(),
            robot.task_success(),
        )
        counts = [len(list(stream)) for stream in streams]
        return bag.skipped.told(bag.start_ns), counts


@pytest.mark.parametrize("spoil", UNUSABLE)
def test_one_unusable_message_is_skipped_counted_and_told(tmp_path, robot_profile, spoil):
    """The rest of the bag is what it would be without it."""
    _, whole = read_all(made(lambda bag: None).write(tmp_path / "whole"), robot_profile)
    folder = made(spoil).write(tmp_path / "bag")
    (line,), counts = read_all(folder, robot_profile)
    assert counts == whole
    assert line.startswith(f"1 message on {UNUSABLE[spoil]} cannot be used, the first after 1.01 s: ")


@pytest.mark.parametrize("spoil", UNUSABLE)
def test_strict_refuses_it_with_bag_topic_and_time(tmp_path, robot_profile, spoil):
    """For those who want to know."""
    folder = made(spoil).write(tmp_path / "bag")
    text = f"bag {folder}: a message on {UNUSABLE[spoil]} after 1.01 s cannot be used: "
    with pytest.raises(BagError) as caught:
        read_all(folder, robot_profile, Reading(strict=True))
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("other", OTHERS)
def test_what_others_send_on_our_names_is_no_error(tmp_path, robot_profile, other):
    """Neither counted nor refused: a robot has more parts than ours, and a network more users."""
    _, whole = read_all(made(lambda bag: None).write(tmp_path / "whole"), robot_profile)
    told, counts = read_all(made(other).write(tmp_path / "bag"), robot_profile, Reading(strict=True))
    assert (told, counts) == ([], whole)


def test_a_topic_that_only_others_use_is_refused_by_its_type(tmp_path, robot_profile):
    """Then the profile is of another robot."""
    bag = MadeBag().cameras(0, 1)
    for topic in ("arm/joint_states", "gripper/joint_states"):
        bag.add(AT_NS, topic, "std_msgs/msg/String", message("std_msgs/msg/String", data="hello"))
    with open_bag(bag.write(tmp_path / "bag")) as opened:
        robot = RobotBag(opened, robot_profile)
        with pytest.raises(
            BagError, match=r"holds std_msgs/msg/String on /arm/joint_states, wanted is sensor_msgs"
        ):
            next(robot.joint_samples())


@pytest.mark.parametrize("spoil", UNUSABLE)
def test_exports_tell_how_many_where_and_why(tmp_path, robot_profile, spoil):
    """And export the episode as it is without the message."""
    folder = made(spoil).write(tmp_path / "bag")
    options = ExportOptions(bags=(folder,), profile=robot_profile, rate_hz=10)
    report = export_lerobot(options, tmp_path / "dataset")
    assert report.frames == 20
    (line,) = report.skipped
    assert line.startswith(f"{folder}: 1 message on {UNUSABLE[spoil]}")


def test_a_message_whose_bytes_are_nonsense_is_one_message(tmp_path, robot_profile):
    """Of the stack's own topics, too, and in a replay."""
    bag = made(lambda made: None)
    folder = bag.write(tmp_path / "bag")
    with open_bag(folder) as opened:
        robot = RobotBag(opened, robot_profile)
        raw_messages = opened.raw_messages

        def broken(*arguments):
            for number, raw in enumerate(raw_messages(*arguments)):
                spoilt = raw.topic in ("/run_state", "/arm/joint_states") and number in spoilt_numbers
                yield type(raw)(raw.topic, raw.time_ns, raw.type, raw.data[:6]) if spoilt else raw

        topics = ["/run_state", "/arm/joint_states"]
        both = [number for number, raw in enumerate(raw_messages(topics)) if raw.topic in topics]
        spoilt_numbers = {both[30], both[31], both[32], both[33], both[34], both[35]}
        opened.raw_messages = broken
        states, samples = len(list(robot.run_states())), len(list(robot.joint_samples()))
        played = [event for event in ReplayPlan(robot).events() if isinstance(event, ReplayMessage)]
        assert states <= 20
        assert samples < 200
        assert len(opened.skipped) > 0
        assert len(played) > 200


def test_raw_images_of_other_encodings_are_asked_for(tmp_path, robot_profile):
    """Whoever opens the bag may bring a converter; without one each such image is skipped with its encoding."""
    bag = whole_run().success(1.9)
    raw = message(IMAGE, header=header(AT_NS), height=2, width=2, encoding="yuv422_yuy2", step=4)
    bag.add(AT_NS, "cam_high/image_raw", IMAGE, raw)
    folder = bag.write(tmp_path / "bag")
    (line,), (frames, *_) = read_all(folder, robot_profile)
    assert "yuv422_yuy2" in line

    def convert(made, camera):
        assert made.encoding == "yuv422_yuy2"
        return CameraFrame(camera, AT_NS, np.zeros((2, 2, 3), np.uint8), made.encoding)

    told, (more, *_) = read_all(folder, robot_profile, Reading(other_images=convert))
    assert (told, more) == ([], frames + 1)

    def refuse(made, camera):
        raise InputError("not installed")

    (line,), _ = read_all(folder, robot_profile, Reading(other_images=refuse))
    assert line.endswith("not installed")
