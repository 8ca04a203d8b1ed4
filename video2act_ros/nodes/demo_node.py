"""Runs episodes on the simulated robot through the stack's public topics and services, and measures them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from video2act_msgs.msg import ActionChunk, Latents, RunState
from video2act_msgs.srv import ResetSimulation
from video2act_ros.core.errors import Video2ActError
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import NS_PER_S, CameraFrame
from video2act_ros.ros import qos
from video2act_ros.ros.convert import stamp_to_ns
from video2act_ros.ros.convert_images import IMAGE_MESSAGES, frame_from_message

MOTION_RAD = 0.05


class StackFailure(Video2ActError):
    """The stack did not come up, or stopped answering."""


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """How one episode ended; `duration_s` runs from engagement to success or to the time limit."""

    seed: int
    success: bool
    duration_s: float


@dataclass(slots=True)
class Recording:
    """Camera frames and states seen during one filmed episode."""

    frames: list[CameraFrame] = field(default_factory=list)
    states: list[tuple[int, str]] = field(default_factory=list)  # (stamp_ns, caption)


class DemoNode(Node):
    """A client of the stack: it only uses what any user could use.

    The executor runs in another thread; every wait here is for a condition with a time-out.
    """

    def __init__(self, profile: RobotProfile, **node_arguments: Any) -> None:
        super().__init__("demo", **node_arguments)
        self.profile = profile
        self.changed = threading.Condition()
        self.state: RunState | None = None
        self.newest_chunk: ActionChunk | None = None
        self.chunks = 0
        self.updates = 0
        self.success = False
        self.command_metrics: dict[str, Any] = {}
        self.sim_metrics: dict[str, Any] = {}
        self.recording: Recording | None = None
        self.first_motion_s: float | None = None  # monotonic
        self._rest: NDArray[np.float64] | None = None
        self._camera_subscriptions: list[Any] = []
        self._subscribe()

    def _subscribe(self) -> None:
        self.create_subscription(RunState, "run_state", self._on_state, qos.LATCHED)
        self.create_subscription(ActionChunk, "action_chunk", self._on_chunk, qos.DATA)
        self.create_subscription(Latents, "latents/spatial", self._on_latents, qos.DATA)
        self.create_subscription(Bool, "task_success", self._on_success, qos.LATCHED)
        self.create_subscription(String, "command/metrics", self._on_json("command_metrics"), qos.DATA)
        self.create_subscription(String, "sim_robot/metrics", self._on_json("sim_metrics"), qos.DATA)
        topics = [source.topic for source in self.profile.joint_states]
        self._motion = self.create_subscription(JointState, topics[0], self._on_joints, qos.JOINT_STATES)
        self.reset_client = self.create_client(ResetSimulation, "sim_robot/reset")
        self.engage_client = self.create_client(Trigger, "engage")
        self.disengage_client = self.create_client(Trigger, "disengage")

    def _on(self, name: str) -> Callable[[Any], None]:
        def store(message: Any) -> None:
            with self.changed:
                setattr(self, name, message)
                self.changed.notify_all()

        return store

    def _on_json(self, name: str) -> Callable[[String], None]:
        store = self._on(name)
        return lambda message: store(json.loads(message.data))

    def _on_state(self, message: RunState) -> None:
        with self.changed:
            self.state = message
            if self.recording is not None:
                caption = f"{message.state} {message.reason}  chunk {message.chunk_age:.2f} s old"
                if message.latent_age >= 0:
                    caption += f", latents {message.latent_age:.2f} s"
                self.recording.states.append((stamp_to_ns(message.header.stamp), caption))
            self.changed.notify_all()

    def _on_joints(self, message: JointState) -> None:
        """Note when the engaged arm first moves."""
        if self.first_motion_s is not None or self.state is None or self.state.state != RunState.ENGAGED:
            return
        positions = np.array(message.position)
        self._rest = positions if self._rest is None else self._rest
        if np.abs(positions - self._rest).max() > MOTION_RAD:
            self.first_motion_s = time.monotonic()

    def _on_chunk(self, message: ActionChunk) -> None:
        with self.changed:
            self.newest_chunk = message
            self.chunks += 1
            self.changed.notify_all()

    def _on_latents(self, _message: Latents) -> None:
        with self.changed:
            self.updates += 1
            self.changed.notify_all()

    def _on_success(self, message: Bool) -> None:
        with self.changed:
            self.success = message.data
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait until `condition()`; raise StackFailure naming `what` after `timeout_s`."""
        if not self.reached(condition, timeout_s):
            reason = f" (run state: {self.state.state} {self.state.reason})" if self.state else ""
            raise StackFailure(f"waited {timeout_s:.0f} s for {what}{reason}; see the node logs")

    def reached(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Return whether `condition()` came true within `timeout_s`."""
        with self.changed:
            return self.changed.wait_for(condition, timeout_s)

    def call(self, client: Any, request: Any, timeout_s: float = 10.0) -> Any:
        """Call a service from outside the executor's thread."""
        if not client.wait_for_service(timeout_sec=timeout_s):
            raise StackFailure(
                f"service {client.srv_name} did not appear within {timeout_s:.0f} s; see the node logs"
            )
        response = None
        with contextlib.suppress(TimeoutError):  # which newer versions raise
            response = client.call(request, timeout_sec=timeout_s)
        if response is None:
            raise StackFailure(
                f"service {client.srv_name} did not answer within {timeout_s:.0f} s; see the node logs"
            )
        return response

    def start_recording(self) -> Recording:
        """Subscribe to every camera; frames are kept until `stop_recording`."""
        recording = self.recording = Recording()

        def keep(camera: str) -> Callable[[Any], None]:
            return lambda message: recording.frames.append(frame_from_message(message, camera))

        for camera in self.profile.cameras:
            kind = IMAGE_MESSAGES[camera.transport]
            subscription = self.create_subscription(kind, camera.topic, keep(camera.name), qos.CAMERA)
            self._camera_subscriptions.append(subscription)
        return recording

    def stop_recording(self) -> None:
        """Unsubscribe from the cameras; what was recorded stays with its owner."""
        for subscription in self._camera_subscriptions:
            self.destroy_subscription(subscription)
        self._camera_subscriptions.clear()
        self.recording = None

    def prepare(self, seed: int, timeout_s: float) -> None:
        """Reset the simulation (which begins a new episode) and wait for a chunk made for it."""
        before = self.state
        answer = self.call(self.reset_client, ResetSimulation.Request(use_seed=True, seed=seed))
        if not answer.success:
            raise StackFailure(f"the simulation refused the reset: {answer.message}")
        self.wait_for(lambda: _began_episode(self.state, before), timeout_s, "the new episode")
        self.wait_for(self._has_current_chunk, timeout_s, "System 1's first chunk of the episode")

    def _has_current_chunk(self) -> bool:
        return (
            self.newest_chunk is not None
            and self.state is not None
            and self.newest_chunk.epoch == self.state.epoch
        )

    def engage(self, timeout_s: float) -> None:
        """Engage, repeating while the command node still refuses for a passing reason."""
        deadline = time.monotonic() + timeout_s
        while not (answer := self.call(self.engage_client, Trigger.Request())).success:
            if time.monotonic() > deadline:
                raise StackFailure(f"engage was refused for {timeout_s:.0f} s: {answer.message}")
            chunks = self.chunks
            self.reached(lambda seen=chunks: self.chunks > seen, 1.0)  # type: ignore[misc]

    def disengage(self, timeout_s: float) -> None:
        """Disengage and wait until the arm is let go: a reset before that would be pulled back."""
        self.call(self.disengage_client, Trigger.Request())
        self.wait_for(
            lambda: self.state is not None and self.state.state == RunState.SHADOW,
            timeout_s,
            "the arm to be let go",
        )

    def run_episode(self, seed: int, time_limit_s: float, startup_s: float = 30.0) -> EpisodeResult:
        """Run one episode from reset to success or time limit, then disengage.

        Raises:
            StackFailure: the stack stopped answering.
        """
        self.prepare(seed, startup_s)
        with self.changed:
            self.success = False
        self.engage(startup_s)
        started = self.get_clock().now().nanoseconds
        success = self.reached(lambda: self.success, time_limit_s)
        duration_s = (self.get_clock().now().nanoseconds - started) / NS_PER_S
        self.disengage(startup_s)
        return EpisodeResult(seed, success, duration_s)


def _began_episode(now: RunState | None, before: RunState | None) -> bool:
    """Whether an episode began after `before`; a command node that was started anew counts from the beginning."""
    if now is None or before is None:
        return now is not None and now.episode > 0
    later = stamp_to_ns(now.episode_stamp) > stamp_to_ns(before.episode_stamp)
    return later and (now.epoch, now.episode) != (before.epoch, before.episode)
