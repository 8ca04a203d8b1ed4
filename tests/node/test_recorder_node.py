"""The recorder: every topic as it is, what late joiners need to know, and failures that end a bag only."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rclpy
import yaml
from conditions import until
from mcap.reader import make_reader
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.highlevel import AnyReader
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from video2act_msgs.msg import RunState
from video2act_msgs.srv import SetRecording
from video2act_ros.nodes.recorder_node import RecorderNode
from video2act_ros.recording.writing.bag_repair import repair_bag
from video2act_ros.ros import qos

TIMEOUT_S = 20.0
PARAMETERS = "/parameter_events"


@pytest.fixture
def recorder(make_node, robot, tmp_path):
    """Make a recorder of the test robot whose own folder is `tmp_path/bags`."""

    def make(**parameters):
        given = {"robot": str(robot), "folder": str(tmp_path / "bags"), "min_free_mb": 0}
        return make_node(RecorderNode, diagnostics_period_s=0.1, **(given | parameters))

    return make


def read(bag):
    """Every message of a bag: {topic: [(log time, decoded message), …]}."""
    found = {}
    with AnyReader([bag]) as reader:
        for connection, time_ns, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            found.setdefault(connection.topic, []).append((time_ns, message))
    return found


def notes(bag):
    (file,) = bag.glob("*.mcap")
    with file.open("rb") as stream:
        return [(record.name, record.metadata) for record in make_reader(stream).iter_metadata()]


def call(world, service_type, name, **fields):
    client = world.create_client(service_type, name)
    assert client.wait_for_service(TIMEOUT_S)
    answer = client.call(service_type.Request(**fields), timeout_sec=TIMEOUT_S)
    world.destroy_client(client)
    return answer


def record(world, on, directory=""):
    return call(world, SetRecording, "record", record=on, directory=str(directory))


def wait_for_messages(node, count):
    until(lambda: node._session.bag is not None and node._session.bag.messages >= count, f"{count} messages")


def wait_for_topics(node, *names):
    until(lambda: node._raw.topics >= set(names), f"the recorder to find {names}, it has {node._raw.topics}")


def wait_for_parameters(node, *names):
    until(lambda: node._parameter_states._known >= set(names), f"the parameters of {names}")


def test_every_topic_is_recorded_as_it_was_sent(recorder, world, tmp_path):
    """Cameras, joints, state, diagnostics: same bytes, in order, none missing; other readers decode all."""
    world.run_state(1)
    node = recorder(bag=str(tmp_path / "bag"))
    cameras = ("/cam_high/image_raw", "/cam_wrist/image_raw/compressed")
    wait_for_topics(node, *cameras, "/arm/joint_states", "/run_state", "/diagnostics", "/rosout")
    texts = world.create_publisher(String, "instruction", qos.DATA)
    wait_for_topics(node, "/instruction")
    until(lambda: texts.get_subscription_count() >= 2, "the recorder's subscription")
    sent = [String(data=f"text {index}") for index in range(200)]
    for message in sent:
        texts.publish(message)
        until(lambda: texts.wait_for_all_acked(), "the middleware")
    wait_for_parameters(node, "/recorder", "/world")
    wait_for_messages(node, 300)
    node.bring_down()
    found = read(tmp_path / "bag")
    assert [message.data for _, message in found["/instruction"]] == [message.data for message in sent]
    assert len(found[cameras[0]]) > 3
    assert found[cameras[0]][0][1].encoding == "rgb8"
    assert found["/run_state"][0][1].state == "shadow"
    with AnyReader([tmp_path / "bag"]) as reader:
        connection = next(item for item in reader.connections if item.topic == "/instruction")
        raw = [bytes(data) for _, _, data in reader.messages([connection])]
        assert raw == [bytes(serialize_message(message)) for message in sent]
        state = next(item for item in reader.connections if item.topic == "/run_state")
        assert state.ext.offered_qos_profiles[0].durability.name == "TRANSIENT_LOCAL"
    assert not any(name == "video2act.lost" for name, _ in notes(tmp_path / "bag"))


def test_a_bag_tells_what_made_it(recorder, world, robot, tmp_path):
    """Version, robot with its whole profile, machine: what a reader needs years later."""
    node = recorder(bag=str(tmp_path / "bag"))
    wait_for_messages(node, 5)
    node.bring_down()
    about = dict(notes(tmp_path / "bag"))["video2act"]
    assert yaml.safe_load(about["robot_profile"])["name"] == about["robot"] == "test"
    assert about["images"] == "raw"
    assert all(about[name] for name in ("version", "python", "torch", "machine"))
    content = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert "robot=test" in content["custom_data"]["video2act.0"]


def test_every_parameter_is_known_from_the_start_and_changes_follow(recorder, world, tmp_path):
    """Once all of every node's, as events; then each change as it was published."""
    world.declare_parameter("gain", 1.0)
    node = recorder(bag=str(tmp_path / "bag"))
    wait_for_parameters(node, "/recorder", "/world")
    value = ParameterValue(type=3, double_value=2.0)
    answer = call(
        world, SetParameters, "/world/set_parameters", parameters=[Parameter(name="gain", value=value)]
    )
    assert answer.results[0].successful
    wait_for_messages(node, node._session.bag.messages + 20)
    node.bring_down()
    events = [message for _, message in read(tmp_path / "bag")[PARAMETERS] if message.node == "/world"]
    first = {item.name: item.value.double_value for item in events[0].new_parameters}
    assert first["gain"] == 1.0
    changed = [item.value.double_value for event in events for item in event.changed_parameters]
    assert changed == [2.0]
    (own,) = [
        message
        for _, message in read(tmp_path / "bag")[PARAMETERS]
        if message.node == "/recorder" and len(message.new_parameters) > 5
    ]
    assert str(tmp_path / "bag") in [item.value.string_value for item in own.new_parameters]


def test_a_service_begins_and_ends_bags(recorder, world, tmp_path):
    """Each begins whole: with what was latched and every parameter; wrong requests are refused with the remedy."""
    world.publishing.discard("run_state")
    world.run_state(7)
    world.declare_parameter("bag_number", 0)
    node = recorder(bag="standby")
    wait_for_topics(node, "/run_state", "/cam_high/image_raw")
    wait_for_parameters(node, "/recorder", "/world")
    refused = record(world, False)
    assert (refused.success, refused.message) == (False, "no bag is being recorded; begin one first")
    for number, name in enumerate(("first", "second")):
        world.set_parameters([rclpy.parameter.Parameter("bag_number", value=number)])
        folder = tmp_path / "bags" / name
        begun = record(world, True, folder)
        assert begun.success, begun.message
        assert begun.directory == str(folder)
        again = record(world, True, "other")
        assert again.message == f"{folder} is being recorded; end it first"
        wait_for_parameters(node, "/recorder", "/world")
        wait_for_messages(node, 10)
        ended = record(world, False)
        assert (ended.success, ended.directory) == (True, str(folder)), ended.message
        found = read(folder)
        assert [message.epoch for _, message in found["/run_state"]] == [7]
        states = {message.node: message.new_parameters for _, message in found[PARAMETERS]}
        assert {"/recorder", "/world"} <= set(states)
        values = {item.name: item.value.integer_value for item in states["/world"]}
        assert values["bag_number"] == number, "asked for anew"
    exists = record(world, True, "first")
    assert "exists already" in exists.message
    named = record(world, True)
    assert Path(named.directory).parent == tmp_path / "bags"


def test_a_peer_begins_bags_in_the_recorders_folder_only(recorder, world, tmp_path):
    """Elsewhere, above it or through a link: refused with where they belong, and nothing is made there."""
    recorder(bag="standby")
    (tmp_path / "bags").mkdir()
    (tmp_path / "bags" / "link").symlink_to(tmp_path)
    for name in (tmp_path / "else", "../else", tmp_path / "bags" / ".." / "else", "link/else", "~/else"):
        refused = record(world, True, name)
        assert not refused.success
        assert f"lies outside of {tmp_path / 'bags'}" in refused.message
    assert not (tmp_path / "else").exists()
    begun = record(world, True, "mine")
    assert begun.success, begun.message
    assert begun.directory == str(tmp_path / "bags" / "mine")


def test_a_bag_that_cannot_be_made_is_told_and_the_node_stays(recorder, world, tmp_path):
    """One clear line on /diagnostics; the next folder works, and the problem is gone."""
    (tmp_path / "file").touch()
    node = recorder(bag=str(tmp_path / "file" / "bag"))
    assert node.came_up
    world.wait_for_problem("/recorder", "a part of the path is a file; choose another folder")
    assert record(world, True, "bag").success
    world.wait_for(lambda: world.problems["/recorder"] == "ok", "the recorder to be well")
    wait_for_messages(node, 5)


def test_a_bag_that_ends_early_is_told_and_the_next_one_works(recorder, world, tmp_path):
    """As with a full disk: the node stays, says what happened, and what was written is whole."""
    node = recorder(bag=str(tmp_path / "bag"))
    wait_for_messages(node, 5)
    node._session.bag._min_free_bytes = 1 << 60  # the disk fills up
    world.wait_for_problem("/recorder", "free space, or record to another disk")
    assert "/cam_high/image_raw" in read(tmp_path / "bag")
    assert record(world, True, "next").success
    wait_for_messages(node, 5)


def test_a_topic_that_cannot_be_taken_costs_only_itself(recorder, world, tmp_path):
    """Whatever is raised for one topic's message: told with its reason and counted, the others are recorded on."""
    node = recorder(bag=str(tmp_path / "bag"))
    wait_for_topics(node, "/arm/joint_states", "/cam_high/image_raw")
    take = node._session.take

    def picky(message):
        if message.topic.name == "/arm/joint_states":
            raise ValueError("no such thing")
        take(message)

    node._session.take = picky
    world.wait_for_problem("/recorder", "ValueError: no such thing")
    world.wait_for_problem("/recorder", "messages were not kept, of /arm/joint_states")
    written = node._session.bag.messages
    wait_for_messages(node, written + 10)
    node.bring_down()
    assert int(dict(notes(tmp_path / "bag"))["video2act.failed"]["/arm/joint_states"]) > 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_is_gone_is_an_error(recorder, world, tmp_path):
    """Even one that could not say so itself: nothing is recorded any more, and nobody must believe it is."""
    node = recorder(bag=str(tmp_path / "bag"))
    wait_for_topics(node, "/arm/joint_states")
    node._raw._stopping.wait = lambda timeout: sys.exit()  # ends a thread without a word
    world.wait_for_problem("/recorder", "the thread that takes messages ended")
    del node._raw._stopping.wait


def test_images_become_jpeg_where_asked(recorder, world, tmp_path):
    """Raw ones on <topic>/compressed, compressed ones as they come; nothing else changes."""
    node = recorder(bag=str(tmp_path / "bag"), images="jpeg")
    wait_for_topics(node, "/cam_high/image_raw", "/cam_wrist/image_raw/compressed")
    wait_for_messages(node, 60)
    node.bring_down()
    found = read(tmp_path / "bag")
    assert "/cam_high/image_raw" not in found
    (_, image), *_ = found["/cam_high/image_raw/compressed"]
    assert image.format == "rgb8; jpeg compressed bgr8"
    assert image.header.stamp.sec > 0
    assert found["/cam_wrist/image_raw/compressed"][0][1].format == "png"


def test_episodes_and_success_are_marked(recorder, world, tmp_path):
    """A metadata record for each, with its number and time, also in metadata.yaml."""
    world.run_state(1, "lift the cube", episode=3)
    node = recorder(bag=str(tmp_path / "bag"))
    until(lambda: node._marks._episode == 3, "the first episode")
    world.run_state(2, "drop the cube", episode=4)
    success = world.create_publisher(Bool, "task_success", qos.LATCHED)
    success.publish(Bool(data=True))
    until(lambda: node._marks._episode == 4 and node._marks._success, "the second one and its success")
    node.bring_down()
    records = notes(tmp_path / "bag")
    episodes = [fields for name, fields in records if name == "video2act.episode"]
    assert [(item["episode"], item["instruction"]) for item in episodes] == [
        ("3", "lift the cube"),
        ("4", "drop the cube"),
    ]
    assert int(episodes[1]["start_ns"]) == world.epoch_stamp_ns
    assert dict(records)["video2act.task_success"]["episode"] == "4"
    custom = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())
    assert "episode=4" in custom["rosbag2_bagfile_information"]["custom_data"]["video2act.episode.1"]


def tell(world, state, reason=""):
    world.told = RunState(state=state, epoch=1, episode=1, reason=reason)
    world.state.publish(world.told)


def saved(folder, suffix):
    """The bags of that name, once they are whole."""
    return [path for path in folder.glob(f"*{suffix}") if whole(path)]


def whole(path):
    text = (path / "metadata.yaml").read_text() if (path / "metadata.yaml").is_file() else ""
    return "message_count" in text and "custom_data: null" not in text


def test_a_fault_saves_the_last_seconds_and_the_ring_goes_on(recorder, world, tmp_path):
    """Everything of the window, with what is latched and every parameter; a later request saves once more."""
    bags = tmp_path / "bags"
    node = recorder(ring_s=30.0)
    tell(world, "engaged")
    wait_for_topics(node, "/run_state", "/cam_high/image_raw", "/arm/joint_states")
    wait_for_parameters(node, "/recorder", "/world")
    until(lambda: node._marks._state == "engaged", "the run state")
    tell(world, "fault", "tests want one")
    until(lambda: saved(bags, "_fault"), "the bag of the fault")
    (fault,) = saved(bags, "_fault")
    found = read(fault)
    assert found["/run_state"][0][1].state == "engaged"
    assert found["/run_state"][-1][1].state == "fault"
    assert len(found["/arm/joint_states"]) > 2
    assert {"/recorder", "/world"} <= {message.node for _, message in found[PARAMETERS]}
    assert dict(notes(fault))["video2act.episode"]["episode"] == "1"
    answer = call(world, Trigger, "save_recording")
    assert answer.success, answer.message
    until(lambda: saved(bags, "_saved"), "the bag that was asked for")
    (later,) = saved(bags, "_saved")
    assert len(read(later)["/run_state"]) > len(found["/run_state"])
    assert len(saved(bags, "_fault")) == 1, "one fault is saved once"


def test_the_recorder_stays_while_a_command_node_tells_its_state(recorder, world):
    """Told to stop with everything else, it still records how the arm comes to rest."""
    node = recorder()
    world.wait_for(lambda: not node.may_end, "the recorder to see the run state's publisher")
    world.destroy_publisher(world.state)
    world.publishing.discard("run_state")
    world.wait_for(lambda: node.may_end, "the recorder to see it leave")


def test_saving_without_a_ring_is_refused(recorder, world):
    """It names the parameter."""
    recorder()
    answer = call(world, Trigger, "save_recording")
    assert not answer.success
    assert answer.message == "there is no ring buffer; set the recorder's parameter ring_s"


def test_a_publisher_that_offers_less_is_heard_too(recorder, world, context, spinner, tmp_path):
    """A best-effort publisher that joins a reliable one: the subscription follows, nothing comes twice."""
    first = world.create_publisher(String, "mixed", qos.DATA)
    node = recorder(bag=str(tmp_path / "bag"))
    wait_for_topics(node, "/mixed")
    until(lambda: first.get_subscription_count() == 1, "the subscription")
    first.publish(String(data="reliable"))
    other = spinner.add(Node("other", context=context))
    profile = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    second = other.create_publisher(String, "mixed", profile)
    until(lambda: second.get_subscription_count() == 1, "a subscription that matches both")
    second.publish(String(data="best effort"))
    first.publish(String(data="reliable again"))
    texts = []

    def heard():
        texts[:] = [item for item in recorded if item.topic.name == "/mixed"]
        return len(texts) >= 3

    recorded = node.heard = []
    take = node._session.take
    node._session.take = lambda message: (recorded.append(message), take(message))
    for index in range(3):
        second.publish(String(data=f"more {index}"))
    until(heard, "messages of both")
    node.bring_down()
    data = [message.data for _, message in read(tmp_path / "bag")["/mixed"]]
    assert {"reliable", "best effort", "reliable again"} <= set(data)
    assert len(data) == len(set(data))


def test_wrong_expressions_are_refused_by_name(recorder):
    """At configuration, with the parameter."""
    node = recorder(topics="(")
    assert not node.came_up
    assert "parameter 'topics' is no regular expression" in node.health.report().message


def test_a_killed_recorder_loses_less_than_a_second(world, context, robot, tmp_path):
    """SIGKILL while images and joints come: after `repair` everything up to the last second is there."""
    bag = tmp_path / "bag"
    environ = os.environ | {"ROS_DOMAIN_ID": str(context.get_domain_id())}
    parameters = {"bag": bag, "robot": robot, "min_free_mb": 0}
    line = [sys.executable, "-m", "video2act_ros.nodes.recorder_node", "--ros-args"]
    for name, value in parameters.items():
        line += ["-p", f"{name}:={value}"]
    process = subprocess.Popen(line, env=environ)
    try:
        until(lambda: world.arm.get_subscription_count() == 1, "the recorder to listen")
        (file,) = bag.glob("*.mcap")
        start = file.stat().st_size
        until(lambda: file.stat().st_size > start, "the bag to grow")
        moment_s = time.monotonic() + 1.5  # not one at which the file has just grown
        until(lambda: time.monotonic() > moment_s, "a moment")
    finally:
        process.send_signal(signal.SIGKILL)
        killed_ns = time.time_ns()
        process.wait(TIMEOUT_S)
    assert (bag / "metadata.yaml").is_file()
    report = repair_bag(bag)
    assert report.messages > 20
    newest_ns = max(time_ns for time_ns, _ in read(bag)["/arm/joint_states"])
    assert killed_ns - newest_ns < 1e9


def test_a_recorded_state_is_what_the_message_class_reads(recorder, world, tmp_path):
    """The bytes in the bag are those of the middleware: our own message class reads them."""
    world.run_state(5)
    node = recorder(bag=str(tmp_path / "bag"))
    wait_for_topics(node, "/run_state")
    wait_for_messages(node, 10)
    node.bring_down()
    with AnyReader([tmp_path / "bag"]) as reader:
        connection = next(item for item in reader.connections if item.topic == "/run_state")
        _, _, data = next(iter(reader.messages([connection])))
    assert deserialize_message(bytes(data), RunState).epoch == 5
