"""Where a replay publishes: the profile's camera and joint topics, `/clock`, and recorded results on request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState

from video2act_msgs.msg import ActionChunk, Latents, RunState
from video2act_msgs.srv import NewEpisode
from video2act_ros.core.errors import BagError, InputError, TransportError
from video2act_ros.recording.playing.replay_plan import EpisodeBegin, ReplayPlan
from video2act_ros.recording.reading.bag import Bag, RawMessage
from video2act_ros.recording.reading.decode_images import frame_from_compressed
from video2act_ros.recording.reading.streams import RobotBag
from video2act_ros.ros import qos
from video2act_ros.ros.convert import ns_to_stamp
from video2act_ros.ros.convert_images import IMAGE_MESSAGES, image_from_frame
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.publisher import GuardedPublisher

RECORDED_PREFIX = "recorded/"
RECORDED: dict[str, type[Any]] = {
    "action_chunk": ActionChunk,
    "latents/spatial": Latents,
    "latents/motion": Latents,
    "run_state": RunState,
}
"""What the systems and the command node made, by topic; published beside what they make now, never on its topics."""

_EPISODE_S = 2.0  # to wait for the command node to begin a new episode


class ReplayOutputs:
    """The stage of a replay. Made by the node; used by the player's thread, which the executor must not wait for."""

    def __init__(self, node: ManagedNode, robot: RobotBag, plan: ReplayPlan) -> None:
        """Make the publishers.

        Raises:
            BagError: the bag holds raw images where the profile's camera sends compressed ones.
        """
        self._node, self._profile = node, robot.profile
        self._clock = node.create_publisher(Clock, "/clock", qos.DATA)
        self._new_episode = node.create_client(NewEpisode, "new_episode")
        self._inputs: list[GuardedPublisher] = []
        self._send: dict[str, list[Callable[[RawMessage], None]]] = {}
        self.failures = 0  # messages that the middleware did not take
        for camera in self._profile.cameras:
            source = plan.cameras[camera.name]
            publisher = self._input(IMAGE_MESSAGES[camera.transport], camera.topic)
            if source.as_seen:
                self._pass_on(source.topic, publisher)
            elif source.compressed:
                self._add(source.topic, _unpacker(robot.bag, camera.name, publisher))
            else:
                raise BagError(
                    f"bag {robot.bag.path} holds raw images of '{camera.name}', robot profile '{robot.profile.name}' "
                    "sends compressed ones; set transport: raw and its topic in a profile for the replay"
                )
        for name, wanted in zip(plan.joint_states, self._profile.joint_states, strict=True):
            self._pass_on(name, self._input(JointState, wanted.topic))
        for name, kind in RECORDED.items():
            if robot.topic(name) in plan.also:
                self._pass_on(
                    robot.topic(name), node.create_publisher(kind, RECORDED_PREFIX + name, qos.DATA)
                )

    # -- the stage ----------------------------------------------------------------------------------

    def clock(self, time_ns: int) -> None:
        """Publish the clock."""
        self._clock.publish(Clock(clock=ns_to_stamp(time_ns)))

    def message(self, raw: RawMessage) -> None:
        """Publish a recorded message, byte by byte as it was where its type is the topic's."""
        for send in self._send[raw.topic]:
            send(raw)

    def episode(self, begin: EpisodeBegin) -> None:
        """Tell the command node, and wait until it has begun the episode; without one nothing happens."""
        self._node.get_logger().info(f"new episode: {begin.reason}")
        if not self._new_episode.service_is_ready():
            return
        answered = threading.Event()
        future = self._new_episode.call_async(NewEpisode.Request())
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(_EPISODE_S):
            self._node.get_logger().warning(f"the command node began no new episode within {_EPISODE_S:g} s")

    # -- who listens, who else talks ----------------------------------------------------------------

    def is_heard(self) -> bool:
        """Return whether somebody listens to every camera and joint topic, and episodes can be begun."""
        heard = all(publisher.get_subscription_count() for publisher in self._inputs)
        return heard and bool(self._new_episode.service_is_ready())

    def intruders(self) -> tuple[str, ...]:
        """Return why nothing may be published here: others do so, or commands could reach an arm."""
        count = self._node.count_publishers
        own = [*self._inputs, self._clock]
        doubled = [item.topic_name for item in own if count(item.topic_name) > 1]
        driving = [output.topic for output in self._profile.commands if count(output.topic)]
        return (
            *(f"somebody else publishes {topic}" for topic in doubled),
            *(f"a stack that may drive an arm publishes {topic}" for topic in driving),
        )

    # -- making -------------------------------------------------------------------------------------

    def _input(self, kind: type[Any], topic: str) -> GuardedPublisher:
        publisher = self._node.create_publisher(kind, topic, qos.SOURCE)
        publisher.on_failure = self._failed
        self._inputs.append(publisher)
        return publisher

    def _failed(self, error: TransportError) -> None:
        self.failures += 1
        self._node.report_problem("transport", error)

    def _pass_on(self, topic: str, publisher: GuardedPublisher) -> None:
        self._add(topic, lambda raw: publisher.publish(raw.data))

    def _add(self, topic: str, send: Callable[[RawMessage], None]) -> None:
        self._send.setdefault(topic, []).append(send)


def _unpacker(bag: Bag, camera: str, publisher: GuardedPublisher) -> Callable[[RawMessage], None]:
    """Return what publishes an image that the recorder compressed as the raw image it was made of."""

    def send(raw: RawMessage) -> None:
        try:
            message = bag.decode(raw)
            image = image_from_frame(frame_from_compressed(message, camera), message.header.frame_id)
        except InputError as error:
            bag.skip(raw.topic, raw.time_ns, error)
            return
        publisher.publish(image)

    return send
