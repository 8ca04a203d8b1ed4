"""Nothing of another scene reaches a window, an observation or a chunk, also where nobody clears anything."""

import threading

import pytest

from video2act_msgs.msg import Latents
from video2act_ros.core.synchroniser import Synchroniser
from video2act_ros.core.types import NS_PER_S
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.ros import qos
from video2act_ros.ros.convert import ns_to_stamp, stamp_to_ns


@pytest.fixture
def parameters(bundle, robot):
    return {"bundle": str(bundle), "robot": str(robot), "diagnostics_period_s": 0.1, "rate_hz": 20.0}


def oldest_ns(message):
    return min(stamp_to_ns(stamp) for stamp in message.frame_stamps)


def test_a_window_holds_no_frame_of_before_its_episode(make_node, world, parameters, monkeypatch):
    """Between the new context and the cleared history the worker may look: it sees nothing of the old scene."""
    monkeypatch.setattr(
        System2Node, "context_changed", lambda node, previous: None
    )  # the moment before clearing
    make_node(System2Node, **parameters)
    begins_ns = {}
    for episode in range(1, 6):
        world.run_state(epoch=episode, episode=episode)
        begins_ns[episode] = world.epoch_stamp_ns
        world.wait_for(
            lambda wanted=episode: sum(m.epoch == wanted for m in world.received["motion"]) >= 2, "latents"
        )
    for name in ("spatial", "motion"):
        for message in world.received[name]:
            assert oldest_ns(message) >= begins_ns.get(message.epoch, 0)


class OldSystem2:
    """Takes latents of a real System 2 and sends them on with the epoch and frames that a test wants."""

    def __init__(self, world, parameters, make_node):
        self.world, self.back_ns, self.newer_ns = world, 0, 0
        self.epoch = 0
        node = make_node(System2Node, **parameters)
        world.wait_for_more("motion")
        self.templates = [world.newest(name) for name in ("spatial", "motion")]
        node.trigger_deactivate()
        self.publishers = [
            world.create_publisher(Latents, f"latents/{message.stream}", qos.LATENTS)
            for message in self.templates
        ]
        self.sequence = 0
        world.create_timer(0.05, self.publish)

    def publish(self):
        now_ns = self.world.get_clock().now().nanoseconds
        self.sequence += 1
        for message, publisher in zip(self.templates, self.publishers, strict=True):
            stamps = [ns_to_stamp(now_ns - self.back_ns), ns_to_stamp(now_ns)]
            message.sequence, message.epoch = self.sequence, self.epoch
            message.frame_stamps, message.header.stamp = stamps, stamps[-1]
            publisher.publish(message)


def test_latents_whose_frames_are_older_than_the_episode_make_no_chunk(make_node, world, parameters):
    """The right epoch is not enough: their frames' stamps are looked at, and the reason is told."""
    stand_in = OldSystem2(world, parameters, make_node)
    make_node(System1Node, **parameters)
    stand_in.back_ns, stand_in.epoch = 3600 * NS_PER_S, 5
    world.run_state(epoch=5, episode=5)
    world.wait_for_problem("/system1", "to before the present episode; they are stamped by two clocks")
    stand_in.back_ns = 20 * NS_PER_S
    world.wait_for_problem("/system1", "to before the present episode; waiting for System 2")
    assert all(message.epoch != 5 for message in world.received["chunk"])
    stand_in.back_ns = 0
    world.wait_for(lambda: any(m.epoch == 5 for m in world.received["chunk"]), "a chunk of the new episode")


def test_the_previous_images_are_near_and_of_the_epoch(make_node, world, parameters, two_images_bundle):
    """Neither a pause of the cameras nor a new epoch lets a policy compare two scenes."""
    parameters["bundle"] = str(two_images_bundle)
    make_node(System2Node, **parameters)
    make_node(System1Node, **parameters)
    begins_ns = {}
    for epoch in range(1, 4):
        world.run_state(epoch=epoch, episode=epoch)
        begins_ns[epoch] = world.epoch_stamp_ns
        world.wait_for(
            lambda wanted=epoch: any(
                m.epoch == wanted and m.previous_image_stamps for m in world.received["chunk"]
            ),
            "a chunk with two observations",
        )
    for message in world.received["chunk"]:
        stamps = [*message.image_stamps, message.joint_stamp]
        if message.previous_image_stamps:
            stamps += [*message.previous_image_stamps, message.previous_joint_stamp]
        assert min(map(stamp_to_ns, stamps)) >= begins_ns.get(message.epoch, 0)


def test_a_previous_observation_has_a_lowest_age(
    make_node, world, parameters, two_images_bundle, monkeypatch
):
    """What lies further back than an image may be old stands in for nothing: the newest images are seen twice."""
    asked, newest = [], Synchroniser.newest

    def listen(inputs, instruction, not_before_ns=0, not_after_ns=None, **options):
        result = newest(inputs, instruction, not_before_ns, not_after_ns, **options)
        asked.append((threading.current_thread().name, instruction, not_before_ns, not_after_ns))
        return result

    monkeypatch.setattr(Synchroniser, "newest", listen)
    parameters["bundle"] = str(two_images_bundle)
    make_node(System2Node, **parameters)
    make_node(System1Node, **parameters)
    world.run_state(epoch=1)
    world.wait_for_more("chunk", 3)
    spans = [to_ns - from_ns for _name, instruction, from_ns, to_ns in asked if not instruction and from_ns]
    assert spans
    assert max(spans) <= NS_PER_S  # thresholds.image_age_s of the test robot


def test_a_camera_that_stamps_the_future_makes_no_latents_and_is_told(
    make_node, world, parameters, monkeypatch
):
    """An image from ahead of time would count as the newest for ever."""
    clock = world.get_clock()

    class Ahead:
        """The robot's clock, half a minute ahead."""

        def now(self):
            return clock.now() + rclpy_duration(30.0)

    make_node(System2Node, **parameters)
    world.wait_for_more("motion")
    monkeypatch.setattr(world, "get_clock", Ahead)
    world.wait_for_problem("/system2", "images of cam_high are stamped")
    assert "in the future; synchronise the clocks" in world.problems["/system2"]
    count = len(world.received["motion"])
    monkeypatch.undo()
    world.wait_for(lambda: len(world.received["motion"]) > count + 1, "latents of the right time")
    now_ns = clock.now().nanoseconds
    assert all(stamp_to_ns(m.header.stamp) <= now_ns for m in world.received["motion"])


def rclpy_duration(seconds):
    from rclpy.duration import Duration

    return Duration(seconds=seconds)


def test_a_new_episode_forgets_images_whose_stamps_look_newer(make_node, world, parameters):
    """A clock that stepped back, or a simulation begun anew: what was seen before it lies in the new one's future."""
    node = make_node(System1Node, **parameters)
    world.run_state(epoch=1, episode=1)
    world.wait_for(lambda: all(node._inputs.newest_stamps_ns.values()), "an image of every camera")
    seen = []
    clear = node._inputs.clear
    node._inputs.clear = lambda: (clear(), seen.append(node._inputs.newest_stamps_ns))
    world.run_state(epoch=2, episode=2)
    world.wait_for(lambda: seen, "the new episode to be heard")
    assert not any(seen[0].values())
