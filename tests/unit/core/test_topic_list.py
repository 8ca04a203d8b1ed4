"""Who publishes and who listens decides what a topic is; image transports and depth are no colour cameras."""

import pytest

from video2act_ros.core.topic_list import (
    Topic,
    camera_topics,
    command_topics,
    joint_state_topics,
    parse_topics,
)

VERBOSE = """\
Published topics:
 * /arm/joint_states [sensor_msgs/msg/JointState] 1 publisher
 * /leader/joint_cmd [sensor_msgs/msg/JointState] 1 publisher
 * /camera/image_raw [sensor_msgs/msg/Image] 2 publishers
 * /planned [trajectory_msgs/msg/JointTrajectory] 1 publisher

Subscribed topics:
 * /follower/wanted [sensor_msgs/msg/JointState] 1 subscriber
 * /arm/joint_states [sensor_msgs/msg/JointState] 3 subscribers
 * /arm_controller/joint_trajectory [trajectory_msgs/msg/JointTrajectory] 1 subscriber
 * /old_camera/image_raw [sensor_msgs/msg/Image] 1 subscriber
"""
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


def verbose():
    return parse_topics(VERBOSE.splitlines())


def test_the_verbose_list_tells_who_publishes_and_who_listens():
    """A topic in one half only has nobody in the other; a list without numbers tells nothing."""
    topics = {topic.name: topic for topic in verbose()}
    assert topics["/arm/joint_states"] == Topic("/arm/joint_states", "sensor_msgs/msg/JointState", 1, 3)
    assert (topics["/camera/image_raw"].publishers, topics["/camera/image_raw"].listeners) == (2, 0)
    (topic,) = parse_topics(["/a [p/msg/T]"])
    assert (topic.publishers, topic.listeners) == (None, None)


def test_a_command_topic_is_one_that_somebody_listens_to():
    """Its name does not matter then; what is only published is none, whatever its type and name."""
    assert [(kind, topic.name) for kind, topic in command_topics(verbose())] == [
        ("joint_trajectory", "/arm_controller/joint_trajectory"),
        ("joint_state", "/follower/wanted"),
    ]


def test_joints_are_measured_where_somebody_publishes_them():
    """A topic that is only listened to measures nothing."""
    assert [topic.name for topic in joint_state_topics(verbose())] == ["/arm/joint_states"]


def test_a_camera_is_one_that_somebody_publishes():
    """What is only listened to is told as not taken."""
    cameras, left = camera_topics(verbose())
    assert [camera.topic.name for camera in cameras] == ["/camera/image_raw"]
    assert [(topic.name, why) for topic, why in left] == [("/old_camera/image_raw", "nobody publishes it")]


@pytest.mark.parametrize(
    "transport", ["zstd", "compressedDepth", "theora", "ffmpeg", "foxglove", "avif_of_tomorrow"]
)
def test_another_transport_of_an_image_is_no_camera(transport):
    """image_transport publishes one topic for each of its plugins below every image; most are not decoded here."""
    topics = [Topic("/cam/image_raw", IMAGE), Topic(f"/cam/image_raw/{transport}", COMPRESSED)]
    cameras, left = camera_topics(topics)
    assert [(camera.name, camera.transport) for camera in cameras] == [("cam", "raw")]
    assert transport in left[0][1]


def test_a_transport_without_its_raw_image_is_no_camera_either():
    """As a bridge passes it on; `compressed` is one, and so is a compressed topic of any other name."""
    names = ("/a/image_raw/zstd", "/b/image_raw/compressed", "/c/jpeg")
    cameras, _ = camera_topics([Topic(name, COMPRESSED) for name in names])
    assert [camera.topic.name for camera in cameras] == ["/b/image_raw/compressed", "/c/jpeg"]


@pytest.mark.parametrize(
    "name",
    [
        "/cam/ir/image_raw",
        "/cam/infra1/image_rect_raw",
        "/cam/ir2/image",
        "/cam/aligned_depth_to_color/image_raw",
        "/cam/depth0/image",
        "/cam/thermal/image_raw",
        "/cam/confidence/image",
        "/detector/debug/image",
    ],
)
def test_infrared_depth_and_drawings_are_no_colour_cameras(name):
    """By the parts of their names; `first`, `mirror` and `pair` hold the letters ir and are cameras."""
    cameras, left = camera_topics([Topic(name, IMAGE)])
    assert not cameras
    assert left[0][1] == "no colour image by its name"
    assert camera_topics([Topic("/mirror_first/image_raw", IMAGE)])[0]


def test_two_topics_of_one_camera_are_one_camera_and_the_other_is_told():
    """Raw before compressed, the first of two raw ones."""
    topics = [
        Topic("/cam/image_raw/compressed", COMPRESSED),
        Topic("/cam/image_raw", IMAGE),
        Topic("/cam/image_rect", IMAGE),
    ]
    cameras, left = camera_topics(topics)
    assert [camera.topic.name for camera in cameras] == ["/cam/image_raw"]
    assert {topic.name for topic, _ in left} == {"/cam/image_rect", "/cam/image_raw/compressed"}
