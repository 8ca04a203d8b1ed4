"""`/replay` as a real node: what it publishes, for whom, and that no arm can move by it."""

import itertools
import json
import threading

import cv2
import pytest
from made_bags import BEGIN_NS, SECOND, STORE, MadeBag, header, message, picture, times, whole_run
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from video2act_msgs.msg import ActionChunk, RunState
from video2act_ros.core.errors import BagError
from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.nodes.replay import run_replay
from video2act_ros.nodes.replay_node import ReplayNode
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.recording.reading.bag import open_bag
from video2act_ros.ros import qos
from video2act_ros.ros.convert import stamp_to_ns
from video2act_ros.ros.convert_images import frame_from_image

TIMEOUT_S = 20.0
MANY = QoSProfile(depth=1000)
TOPICS = {
    "cam_high/image_raw": Image,
    "cam_wrist/image_raw/compressed": CompressedImage,
    "arm/joint_states": JointState,
    "gripper/joint_states": JointState,
}


class Audience(Node):
    """Keeps the bytes of every input and what the stack tells."""

    def __init__(self, context):
        super().__init__("audience", context=context)
        self.changed = threading.Condition()
        self.got = {
            name: [] for name in (*TOPICS, "/clock", "run_state", "recorded/run_state", "chunk", "moves")
        }
        for name, kind in TOPICS.items():
            self.listen(kind, name, name, raw=True)
        self.listen(Clock, "/clock", "/clock")
        self.create_subscription(RunState, "run_state", self.keeper("run_state"), qos.LATCHED)
        self.listen(RunState, "recorded/run_state", "recorded/run_state")
        self.listen(ActionChunk, "action_chunk", "chunk")
        for topic in ("commands", "replay/commands"):
            self.listen(JointTrajectory, topic, "moves")

    def listen(self, kind, topic, name, raw=False):
        self.create_subscription(kind, topic, self.keeper(name), MANY, raw=raw)

    def keeper(self, name):
        def keep(received):
            with self.changed:
                self.got[name].append(received)
                self.changed.notify_all()

        return keep

    def wait_for(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT_S), f"waited for {what}"

    def clocks(self):
        return [stamp_to_ns(item.clock) for item in self.got["/clock"]]


@pytest.fixture
def audience(context, spinner):
    return spinner.add(Audience(context))


@pytest.fixture
def replay(make_node, robot, audience):
    """Replay a bag for whoever listens: replay(folder, parameter=value, …)."""

    def start(folder, **parameters):
        given = {"bag": str(folder), "robot": str(robot), "wait_s": 0.0, "diagnostics_period_s": 0.1}
        return make_node(ReplayNode, **(given | parameters))

    return start


def ended(node, audience, status=0):
    """Wait until the replay has ended by itself; return its report."""
    audience.create_timer(0.02, lambda: wake(audience))
    audience.wait_for(lambda: node.exit_status is not None, "the replay's end")
    assert node.exit_status == status, node.report()
    return node.report()


def wake(audience):
    with audience.changed:
        audience.changed.notify_all()


def recorded(folder, topic):
    with open_bag(folder) as bag:
        return [raw.data for raw in bag.raw_messages([f"/{topic}"])]


def test_the_bag_comes_back_byte_by_byte_in_order(tmp_path, replay, audience):
    """Stamps stay the recording's; the clock is the bag's and never runs behind what is published."""
    folder = whole_run(1.0).write(tmp_path / "bag")
    report_file = tmp_path / "out" / "report.json"
    node = replay(folder, report=str(report_file))
    report = ended(node, audience)
    audience.wait_for(lambda: all(len(audience.got[name]) >= 20 for name in TOPICS), "every message")
    for name in TOPICS:
        assert audience.got[name] == recorded(folder, name), name
    clocks = audience.clocks()
    assert BEGIN_NS <= clocks[0] < BEGIN_NS + 0.1 * SECOND
    assert clocks == sorted(clocks)
    assert report["messages"] == {f"/{name}": len(audience.got[name]) for name in sorted(TOPICS)}
    assert report["unsent"] == 0
    assert json.loads(report_file.read_text())["messages"] == report["messages"]
    assert not audience.got["run_state"], "recorded run states never stand in for live ones"


def test_recorded_results_come_only_on_request_and_beside_the_live_ones(tmp_path, replay, audience):
    """On the live topics they would meet what the live nodes say."""
    folder = whole_run(0.5).write(tmp_path / "bag")
    ended(replay(folder, recorded=True), audience)
    audience.wait_for(lambda: len(audience.got["recorded/run_state"]) >= 4, "the recorded run states")
    assert not audience.got["run_state"]


def test_a_loop_steps_the_clock_back_and_begins_an_episode(tmp_path, replay, audience, make_node, robot):
    """The command node owns episodes; each round it gets a new one, and forgets what came before."""
    make_node(CommandNode, robot=str(robot), use_sim_time=True, replay=True)
    folder = whole_run(0.4).write(tmp_path / "bag")
    node = replay(folder, loop=True)
    audience.wait_for(lambda: node._loops >= 2, "two rounds")
    episodes = lambda: {item.episode for item in audience.got["run_state"]}  # noqa: E731
    audience.wait_for(lambda: len(episodes()) >= 3, "an episode of each round")
    clocks = audience.clocks()
    assert any(after < before - 0.3 * SECOND for before, after in itertools.pairwise(clocks))
    assert node.exit_status is None


def test_replaying_cannot_move_an_arm(tmp_path, replay, audience, make_node, robot):
    """Engage and the way to the start pose are refused, and no publisher exists on a command topic."""
    make_node(CommandNode, robot=str(robot), use_sim_time=True, replay=True)
    folder = whole_run(1.0).write(tmp_path / "bag")
    node = replay(folder, loop=True)
    audience.wait_for(lambda: audience.got["arm/joint_states"], "joints")
    for service in ("engage", "move_to_start"):
        client = audience.create_client(Trigger, service)
        assert client.wait_for_service(TIMEOUT_S)
        future = client.call_async(Trigger.Request())
        future.add_done_callback(lambda _: wake(audience))
        audience.wait_for(future.done, service)
        assert not future.result().success
        assert "replays a bag and never drives an arm" in future.result().message
    audience.wait_for(lambda: node._loops >= 1, "a round")
    assert audience.count_publishers("commands") == 0
    assert audience.count_publishers("replay/commands") == 1
    assert not audience.got["moves"]
    assert {item.state for item in audience.got["run_state"]} <= {"idle", "shadow"}


@pytest.mark.parametrize(
    ("topic", "kind", "words"),
    [
        ("arm/joint_states", JointState, "somebody else publishes /arm/joint_states"),
        ("commands", JointTrajectory, "a stack that may drive an arm publishes commands"),
    ],
)
def test_nothing_is_replayed_where_a_robot_runs(tmp_path, replay, audience, topic, kind, words):
    """Recorded joints must never reach a control loop that drives, nor mix with measured ones."""
    audience.create_publisher(kind, topic, 5)
    audience.wait_for(lambda: audience.count_publishers(topic), "discovery")
    report = ended(replay(whole_run(60.0).write(tmp_path / "bag")), audience, status=1)
    assert words in report["problem"]
    assert "another namespace or ROS_DOMAIN_ID" in report["problem"]


def test_live_systems_run_on_a_bag(tmp_path, replay, audience, make_node, bundle, robot):
    """System 2, System 1 and the command node make chunks of recorded images, with the recording's stamps."""
    common = {"robot": str(robot), "use_sim_time": True}
    make_node(System2Node, bundle=str(bundle), rate_hz=10.0, **common)
    make_node(System1Node, bundle=str(bundle), rate_hz=10.0, **common)
    make_node(CommandNode, replay=True, **common)
    folder = whole_run(3.0).write(tmp_path / "bag")
    node = replay(folder, wait_s=TIMEOUT_S, loop=True)
    audience.wait_for(lambda: len(audience.got["chunk"]) >= 3, "chunks")
    captured = set(times(0, 3.0, 20))
    for chunk in audience.got["chunk"]:
        assert stamp_to_ns(chunk.header.stamp) in captured
    audience.wait_for(lambda: node.report()["chunks"] >= 3, "the report's count")
    assert node.report()["updates"] >= 1
    assert node.report()["problem"] is None


def test_it_waits_for_the_systems_and_says_who_did_not_come(tmp_path, replay, audience):
    """A replay to nobody is told as such."""
    report = ended(replay(whole_run(0.5).write(tmp_path / "bag"), wait_s=0.1), audience, status=1)
    assert "system1, system2 did not come up" in report["problem"]
    assert report["messages"] == {}


def test_images_that_the_recorder_compressed_come_back_raw(tmp_path, replay, audience):
    """The live nodes subscribe to what the robot profile says."""
    bag = MadeBag().cameras(0, 0.5, only=("cam_wrist",)).joints(0, 0.5)
    kind = "sensor_msgs/msg/CompressedImage"
    pixels = picture(BEGIN_NS)
    for stamp_ns in times(0, 0.5, 20):
        data = cv2.imencode(".png", pixels[..., ::-1])[1].reshape(-1)
        bag.add(
            stamp_ns + 1000,
            "cam_high/image_raw/compressed",
            kind,
            message(kind, header=header(stamp_ns), format="png", data=data),
        )
    ended(replay(bag.write(tmp_path / "bag")), audience)
    audience.wait_for(lambda: len(audience.got["cam_high/image_raw"]) == 10, "raw images")
    raw = STORE.deserialize_cdr(audience.got["cam_high/image_raw"][0], "sensor_msgs/msg/Image")
    assert (frame_from_image(raw, "cam_high").image == pixels).all()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"bag": ""}, "no bag to replay"),
        ({"bag": "/nowhere/bag"}, "there is no bag at /nowhere/bag"),
        ({"start_s": 100.0}, "choose an earlier start"),
    ],
)
def test_what_cannot_be_replayed_is_refused_at_once(tmp_path, replay, audience, parameters, words):
    """One clear line, and no publisher stays."""
    folder = whole_run(0.5).write(tmp_path / "bag")
    node = (
        replay(**({"folder": folder} | parameters)) if "bag" not in parameters else replay(parameters["bag"])
    )
    assert not node.came_up
    assert words in node.health.report().message
    assert audience.count_publishers("arm/joint_states") == 0


def test_a_bag_that_is_none_is_told_before_anything_starts(tmp_path):
    """One line, and no stack that comes up only to say it."""
    arguments = {"bag": "/nowhere/bag", "robot": "aloha_sim", "start": "0", "duration": "0"}
    with pytest.raises(BagError, match="there is no bag at /nowhere/bag"):
        run_replay(arguments, tmp_path / "report.json", tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
