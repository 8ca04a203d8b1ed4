"""`/safe_source`: takes System 1's place where there is no policy; joints in, small safe chunks out."""

from __future__ import annotations

import sys

import numpy as np
from rclpy.clock import Clock, ClockType
from std_msgs.msg import String

from video2act_msgs.msg import ActionChunk as ActionChunkMessage
from video2act_msgs.msg import RunState
from video2act_ros.core.config import SafeSourceConfig
from video2act_ros.core.model_swap import BundleStatus
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.core.run_context import RunContext
from video2act_ros.core.safe_source import SAFE_SOURCE, SAFE_SOURCE_WORDS
from video2act_ros.core.types import NS_PER_S, ActionChunk, JointSample
from video2act_ros.ros import qos
from video2act_ros.ros.bundle_switch import bundle_status_topic
from video2act_ros.ros.convert_policy import InputAges, message_from_chunk, run_context_from_message
from video2act_ros.ros.environment import resolve_profile
from video2act_ros.ros.input_watch import watch_cameras
from video2act_ros.ros.inputs import now_ns, subscribe_joints
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.process import run_node
from video2act_ros.sim.safe_motion import SafeMotion

SYSTEM = "system1"
STEP_S, STEPS = 0.05, 40  # a chunk reaches two seconds, as those of usual policies do


class SafeSourceNode(ManagedNode):
    """Sends chunks of a small motion that depends on nothing but time, and watches the inputs as System 1 does.

    A chunk is observed when the newest joint state was measured: without joint states no chunks come. Images are
    watched and never looked at, so all that a fault of theirs does can be tried. Everything happens in the
    executor's thread.
    """

    CONFIG = SafeSourceConfig
    RESTARTS = True
    config: SafeSourceConfig

    def setup(self) -> None:
        """Read the robot profile and make the publishers."""
        self.profile = load_robot_profile(resolve_profile(self.config.robot))
        self._motion = SafeMotion(self.profile)
        self._chunks = self.create_publisher(ActionChunkMessage, "action_chunk", qos.DATA)
        self._status = self.create_publisher(String, bundle_status_topic(SYSTEM), qos.LATCHED)

    def start(self) -> None:
        """Begin to listen and to send."""
        self.run_context = RunContext()
        self._joints: JointSample | None = None
        self._sent_ns = self._sequence = 0
        self._watch = watch_cameras(self, SYSTEM, self.profile, ())
        subscribe_joints(self, self.profile, self._on_joints)
        self.subscribe(RunState, "run_state", self._on_run_state, qos.LATCHED)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / self.config.rate_hz, self._send, clock=steady)
        self._status.publish(String(data=BundleStatus(SAFE_SOURCE).to_json()))
        self.get_logger().warning(SAFE_SOURCE_WORDS)

    def _on_joints(self, sample: JointSample) -> None:
        self._joints = sample
        self._watch.add_joints(sample)

    def _on_run_state(self, message: RunState) -> None:
        context, previous = run_context_from_message(message), self.run_context
        self.run_context = context
        if context.episode != previous.episode:
            self._watch.forget()

    def _send(self) -> None:
        """Publish the chunk of the newest joints, if it is a new one of this epoch."""
        joints, context = self._joints, self.run_context
        if joints is None or not context.epoch_stamp_ns:
            return
        if joints.stamp_ns < context.epoch_stamp_ns or joints.stamp_ns == self._sent_ns:
            return
        begin_s = (joints.stamp_ns - context.epoch_stamp_ns) / NS_PER_S
        chunk = ActionChunk(
            stamp_ns=joints.stamp_ns,
            sequence=self._sequence,
            epoch=context.epoch,
            step_s=STEP_S,
            joint_names=self.profile.joint_names,
            positions=self._motion.positions(begin_s + STEP_S * np.arange(STEPS)),
            instruction=context.instruction,
            bundle_id=SAFE_SOURCE,
            joint_stamp_ns=joints.stamp_ns,
            joints=joints.positions,
        )
        age_s = (now_ns(self) - joints.stamp_ns) / NS_PER_S
        self._chunks.publish(message_from_chunk(chunk, InputAges(joints_s=age_s)))
        self._sent_ns = joints.stamp_ns
        self._sequence += 1
        self.health.count("chunks")


def main() -> int:
    """Run `/safe_source` until it is told to stop."""
    return run_node(SafeSourceNode)


if __name__ == "__main__":
    sys.exit(main())
