"""What a replay publishes, in which order and on which clock."""

import numpy as np
import pytest
from made_bags import BEGIN_NS, IMAGE_LAG_NS, SECOND, MadeBag, whole_run
from rosbags.rosbag2 import StoragePlugin

from video2act_ros.core.errors import BagError
from video2act_ros.recording.playing.replay_plan import EpisodeBegin, ReplayMessage, ReplayPlan, stamp_of
from video2act_ros.recording.reading.bag import open_bag
from video2act_ros.recording.reading.streams import RobotBag

INPUTS = {
    "/cam_high/image_raw",
    "/cam_wrist/image_raw/compressed",
    "/arm/joint_states",
    "/gripper/joint_states",
}


def events_of(folder, profile, *arguments):
    with open_bag(folder) as bag:
        return list(ReplayPlan(RobotBag(bag, profile), *arguments).events())


def begins(events):
    return [event for event in events if isinstance(event, EpisodeBegin)]


def messages(events):
    return [event for event in events if isinstance(event, ReplayMessage)]


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_cameras_and_joints_come_in_order_on_the_time_of_receipt(tmp_path, robot_profile, storage):
    """Every camera image and joint state, nothing else, from bags of both storages."""
    folder = whole_run(1.0).write(tmp_path / "bag", storage)
    events = events_of(folder, robot_profile)
    assert isinstance(events[0], EpisodeBegin)
    assert len(begins(events)) == 1
    played = messages(events)
    assert {item.raw.topic for item in played} == INPUTS
    assert len(played) == 2 * 20 + 2 * 50
    clocks = [item.clock_ns for item in played]
    assert clocks == sorted(clocks) == [item.raw.time_ns for item in played]
    image = next(item for item in played if "cam_high" in item.raw.topic)
    assert image.clock_ns - stamp_of(image.raw.data) == IMAGE_LAG_NS


def test_a_namespaced_bag_is_found(tmp_path, robot_profile):
    """The recorded robot's namespace is not the replay's."""
    events = events_of(whole_run(0.5, namespace="/left").write(tmp_path / "bag"), robot_profile)
    assert {item.raw.topic for item in messages(events)} == {f"/left{name}" for name in INPUTS}


def test_a_part_of_the_bag(tmp_path, robot_profile):
    """Start and duration count from the bag's begin."""
    events = events_of(whole_run(2.0).write(tmp_path / "bag"), robot_profile, 0.5, 1.0)
    clocks = np.array([item.clock_ns for item in messages(events)]) - BEGIN_NS
    assert 0.5 * SECOND <= clocks.min() < 0.55 * SECOND
    assert 1.4 * SECOND < clocks.max() < 1.55 * SECOND
    with pytest.raises(BagError, match=r"lasts .* choose an earlier start"):
        events_of(tmp_path / "bag", robot_profile, 60.0)


def test_an_episode_of_the_recording_begins_one(tmp_path, robot_profile):
    """The live systems must not carry frames from one scene into the next."""
    bag = MadeBag().cameras(0, 2).joints(0, 2).run_states(0, 1, episode=4).run_states(1, 2, episode=5)
    told = begins(events_of(bag.write(tmp_path / "bag"), robot_profile))
    assert [event.reason for event in told][1:] == ["episode 5 of the recording"]
    assert told[1].clock_ns == BEGIN_NS + SECOND


def test_a_time_without_messages_is_skipped(tmp_path, robot_profile):
    """A paused recording does not make the systems wait; a new episode begins behind it."""
    bag = MadeBag().cameras(0, 0.5).joints(0, 0.5).cameras(30, 30.5).joints(30, 30.5)
    told = begins(events_of(bag.write(tmp_path / "bag"), robot_profile))
    assert [event.reason for event in told][1:] == ["nothing was recorded for 29.5 s, which are skipped"]
    assert told[1].clock_ns > BEGIN_NS + 29 * SECOND


@pytest.mark.parametrize("step_s", [-20, 20])
def test_a_step_of_the_stamps_clock_begins_an_episode(tmp_path, robot_profile, step_s):
    """The replay's clock steps with the stamps, so that no age is wrong."""
    shift = step_s * SECOND
    bag = MadeBag().cameras(0, 1).joints(0, 1).cameras(1, 2, shift_ns=shift).joints(1, 2, shift_ns=shift)
    events = events_of(bag.write(tmp_path / "bag"), robot_profile)
    told = begins(events)
    assert [event.reason for event in told][1:] == [f"the stamps in the bag step by {step_s:+.2f} s"]
    for item in messages(events):
        assert 0 < item.clock_ns - stamp_of(item.raw.data) < 0.1 * SECOND


def test_stamps_of_another_clock_are_followed(tmp_path, robot_profile):
    """Stamps in simulated time, far from the time of receipt, are the replay's clock."""
    shift = 5 * SECOND - BEGIN_NS
    bag = MadeBag().cameras(0, 1, shift_ns=shift).joints(0, 1, shift_ns=shift)
    events = events_of(bag.write(tmp_path / "bag"), robot_profile)
    assert len(begins(events)) == 1
    ages = [item.clock_ns - stamp_of(item.raw.data) for item in messages(events)]
    assert -0.05 * SECOND < min(ages) <= max(ages) < 0.1 * SECOND


def refused(tmp_path, profile, bag):
    with pytest.raises(BagError) as caught:
        events_of(bag.write(tmp_path / "bag"), profile)
    return str(caught.value)


def test_a_bag_without_a_camera_is_refused(tmp_path, robot_profile):
    """The missing topic is named, and those that there are."""
    text = refused(tmp_path, robot_profile, MadeBag().cameras(0, 1, only=("cam_high",)).joints(0, 1))
    assert "cam_wrist/image_raw/compressed" in text
    assert "/cam_high/image_raw" in text


def test_another_robots_joints_are_refused(tmp_path, robot_profile):
    """Before anything is published."""
    bag = MadeBag().cameras(0, 1).joints(0, 1, names=("j1", "j2", "j3"))
    text = refused(tmp_path, robot_profile, bag)
    assert "j1, j2" in text
    assert "shoulder" in text


def test_a_part_without_inputs_is_refused(tmp_path, robot_profile):
    """A replay of nothing is not a success."""
    folder = MadeBag().cameras(0, 1).joints(0, 1).run_states(0, 9).write(tmp_path / "bag")
    with pytest.raises(BagError, match="no camera image or joint state in this part"):
        events_of(folder, robot_profile, 5.0)
