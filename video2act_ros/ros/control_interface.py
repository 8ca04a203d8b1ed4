"""The ROS side of the control loop: one object that gives any node the arm."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from video2act_msgs.msg import ActionChunk as ActionChunkMessage
from video2act_msgs.msg import RunState as RunStateMessage
from video2act_msgs.srv import NewEpisode, SetInstruction
from video2act_ros.control.loop import Command, ControlLoop, ControlSettings
from video2act_ros.control.realtime import RealtimeThread
from video2act_ros.control.statistics import Summary
from video2act_ros.control.status import LoopStatus
from video2act_ros.core.config import CommandConfig
from video2act_ros.core.errors import InputError, InstructionError
from video2act_ros.core.model_swap import BundleStatus
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import RunMode
from video2act_ros.ros import qos
from video2act_ros.ros.bundle_switch import SYSTEMS, bundle_status_topic
from video2act_ros.ros.command_outputs import CommandPublishers, WouldBePublisher
from video2act_ros.ros.convert import JointStateMerger, ns_to_stamp
from video2act_ros.ros.convert_policy import chunk_from_message
from video2act_ros.ros.diagnostics import Level
from video2act_ros.ros.instructions import InstructionBook
from video2act_ros.ros.lifecycle import ManagedNode

STATE_PERIOD_S = 0.1
WATCH_PERIOD_S = 0.02  # largest time until a changed state is published
METRICS_PERIOD_S = 1.0
STANDING_TIMEOUT_S = 0.7  # braking from full speed; `stop` must end within a second


class ControlInterface:
    """Owns the control loop and its thread, and connects them to topics and services of `node`.

    Make it in the node's `setup`; call `start` and `stop` from the node's own. Callbacks run in the
    executor's thread, commands are published by the control thread.
    """

    def __init__(self, node: ManagedNode, profile: RobotProfile, config: CommandConfig) -> None:
        self._node = node
        self._profile = profile
        self._config = config
        self._period_s = 1.0 / config.rate_hz
        # Seconds since 1970: a restarted control half never repeats an epoch of its predecessor.
        settings = ControlSettings(
            self._period_s, config.splice, config.average_decay, first_epoch=int(time.time())
        )
        self._loop = ControlLoop(profile, settings)
        self._joints = JointStateMerger(profile)
        self._instructions = InstructionBook()
        self._thread: RealtimeThread | None = None
        self._last: Command | None = None
        self._published_version = -1
        self._published_s = 0.0
        self._publish_to(node)
        self._listen_to(node)

    def _publish_to(self, node: ManagedNode) -> None:
        self._outputs = CommandPublishers(node, self._profile, self._period_s)
        self._would_be = WouldBePublisher(node, self._profile, self._period_s)
        self._state = node.create_publisher(RunStateMessage, "run_state", qos.LATCHED)
        self._metrics = node.create_publisher(String, "command/metrics", qos.DATA)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # also while a simulated clock stands
        node.create_timer(WATCH_PERIOD_S, self._watch_state, clock=steady)
        node.create_timer(METRICS_PERIOD_S, self._publish_metrics, clock=steady)

    def _listen_to(self, node: ManagedNode) -> None:
        for index, source in enumerate(self._profile.joint_states):
            node.subscribe(JointState, source.topic, partial(self._on_joint_state, index), qos.JOINT_STATES)
        node.subscribe(ActionChunkMessage, "action_chunk", self._on_chunk, qos.DATA)
        node.subscribe(String, "known_instructions", self._on_known_instructions, qos.LATCHED)
        for system in SYSTEMS:
            topic = bundle_status_topic(system)
            node.subscribe(String, topic, partial(self._on_bundle_status, system), qos.LATCHED)
        node.subscribe(String, "instruction", lambda message: self.set_instruction(message.data), qos.DATA)
        node.create_service(Trigger, "engage", self._on_engage)
        node.create_service(Trigger, "disengage", self._on_disengage)
        node.create_service(NewEpisode, "new_episode", self._on_new_episode)
        node.create_service(SetInstruction, "set_instruction", self._on_set_instruction)

    # -- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick, in shadow."""
        self._last = None
        self._loop.start(self._now_ns())
        self._loop.set_instruction(self._config.instruction, self._now_ns())
        self._thread = RealtimeThread(
            self._period_s, self._tick, self._on_tick_error, self._config.realtime_priority
        )
        self._thread.start()
        self._publish_state()

    def stop(self) -> None:
        """Brake the arm, leave it at a last standing command, and end the thread; within a second."""
        if self._thread is None:
            return
        was_sending = self._loop.status(self._now_ns()).sending
        self._loop.disengage()
        standing = self._loop.wait_until_standing(STANDING_TIMEOUT_S)
        self._thread.stop(0.2)
        self._loop.stop()
        self._thread = None
        if not standing:
            self._node.get_logger().error("the arm was still braking when the control thread had to stop")
        elif was_sending and self._last is not None:
            self._outputs.publish(replace(self._last, stamp_ns=self._now_ns()))
        self._publish_state()

    # -- control thread -----------------------------------------------------------------------------

    def _tick(self) -> None:
        command = self._loop.tick(self._now_ns())
        if command is not None:
            self._last = command
            self._outputs.publish(command)
        elif (would_be := self._loop.would_be()) is not None:
            self._would_be.publish(would_be)

    def _on_tick_error(self, error: Exception) -> None:
        self._loop.fault(f"a control tick failed: {error}")
        self._node.report_problem("control", error)

    # -- inputs -------------------------------------------------------------------------------------

    def _on_joint_state(self, index: int, message: JointState) -> None:
        sample = self._joints.update(index, message, self._now_ns())
        if sample is not None:
            self._loop.on_joints(sample)
            self._node.health.count("joint_states")

    def _on_chunk(self, message: ActionChunkMessage) -> None:
        refusal = self._loop.on_chunk(chunk_from_message(message), self._now_ns())
        if refusal is None:
            self._node.health.count("chunks")
        elif not refusal.routine:
            raise InputError(refusal.text)

    def _on_bundle_status(self, system: str, message: String) -> None:
        bundle_id = BundleStatus.from_json(message.data).bundle_id
        if bundle_id and self._loop.on_bundle(system, bundle_id, self._now_ns()):
            self._node.get_logger().info(f"{system} runs bundle {bundle_id} now: a new epoch began")
            self._publish_state()

    def _on_known_instructions(self, message: String) -> None:
        self._instructions.read(message.data)
        try:
            self._instructions.check(self._loop.status(self._now_ns()).instruction)
        except InstructionError as error:
            self._node.get_logger().error(str(error))
            self._node.health.problem("instruction", str(error))
        else:
            self._node.health.resolve("instruction")

    # -- requests -----------------------------------------------------------------------------------

    def check_instruction(self, instruction: str) -> None:
        """Raise an InstructionError, listing the known ones, unless System 1 knows `instruction`."""
        self._instructions.check(instruction)

    def set_instruction(self, instruction: str) -> None:
        """Ask System 1 for another instruction, in a new epoch.

        Raises:
            InstructionError: System 1 does not know it; lists those it knows.
        """
        self._instructions.check(instruction)
        self._loop.set_instruction(instruction, self._now_ns())
        self._node.health.resolve("instruction")
        self._publish_state()

    def _on_engage(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        reasons = [*self._loop.engage(self._now_ns())]
        if reasons and self._joints.missing:
            reasons.append(self._missing_joints())
        response.success = not reasons
        response.message = "engaged" if response.success else f"not engaged: {'; '.join(reasons)}"
        self._node.get_logger().info(response.message)
        self._publish_state()
        return response

    def _on_disengage(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._loop.disengage()
        response.success, response.message = True, "braking, then shadow"
        self._publish_state()
        return response

    def _on_new_episode(
        self, _request: NewEpisode.Request, response: NewEpisode.Response
    ) -> NewEpisode.Response:
        response.epoch = self._loop.new_episode(self._now_ns())
        response.success, response.message = True, f"epoch {response.epoch} began"
        self._publish_state()
        return response

    def _on_set_instruction(
        self, request: SetInstruction.Request, response: SetInstruction.Response
    ) -> SetInstruction.Response:
        response.known_instructions = list(self._instructions.known)
        try:
            self.set_instruction(request.instruction)
            response.success = True
        except InstructionError as error:
            response.success, response.message = False, str(error)
        return response

    # -- reports ------------------------------------------------------------------------------------

    def collect_diagnostics(self) -> None:
        """Put the run state and the real-time figures into the node's health."""
        health, status = self._node.health, self._loop.status(self._now_ns())
        health.value("run_state", status.mode.value)
        health.value("epoch", status.epoch)
        for name, value in self._figures(status).items():
            health.value(name, json.dumps(value) if isinstance(value, dict) else value)
        if self._thread is not None and self._joints.missing:
            health.problem("joint_states", self._missing_joints(), Level.WARN, passing=True)
        if status.mode in (RunMode.HOLDING, RunMode.FAULT):
            level = Level.WARN if status.mode is RunMode.HOLDING else Level.ERROR
            health.problem("control", f"{status.mode.value}: {status.reason}", level, passing=True)

    def _missing_joints(self) -> str:
        topics = ", ".join(source.topic for source in self._profile.joint_states)
        return (
            f"no message on {topics} has carried {', '.join(self._joints.missing)} yet; "
            "check the driver and joint_states.names in the robot profile"
        )

    def _watch_state(self) -> None:
        due = time.monotonic() - self._published_s >= STATE_PERIOD_S
        if due or self._loop.status(self._now_ns()).version != self._published_version:
            self._publish_state()

    def _publish_state(self) -> None:
        now_ns = self._now_ns()
        status = self._loop.status(now_ns)
        message = run_state_message(status, now_ns)
        if self._thread is not None:
            message.control_ticks, message.missed_ticks = self._thread.ticks, self._thread.missed
        self._state.publish(message)
        self._published_version, self._published_s = status.version, time.monotonic()

    def _publish_metrics(self) -> None:
        if self._thread is not None:
            self._metrics.publish(String(data=json.dumps(self._figures(self._loop.status(self._now_ns())))))

    def _figures(self, status: LoopStatus) -> dict[str, Any]:
        """Return what was measured since the activation; ages and reaction only while engaged."""
        metrics = self._loop.metrics
        figures: dict[str, Any] = {
            "state": status.mode.value,
            "period_s": self._period_s,
            "observation_age_s": _percentiles(metrics.observation_age_s.summary()),
            "latent_age_s": _percentiles(metrics.latent_age_s.summary()),
            "reaction_s": _percentiles(metrics.reaction_s.summary()),
            "chunks_accepted": metrics.chunks_accepted,
            "chunks_refused": metrics.chunks_refused,
        }
        if self._thread is not None:
            report = self._thread.report()
            figures |= {
                "control_ticks": report.ticks,
                "missed_ticks": report.missed,
                "control_period_error_s": _percentiles(report.period_error_s),
                "scheduling": report.scheduling,
            }
        return figures

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)


def _percentiles(summary: Summary) -> dict[str, float | None]:
    return {"p50": summary.p50, "p99": summary.p99, "max": summary.maximum}


def run_state_message(status: LoopStatus, now_ns: int) -> RunStateMessage:
    """Return the run state as a message; ages that do not exist are -1."""
    ages = status.ages
    message = RunStateMessage(
        state=status.mode.value,
        reason=status.reason,
        source=RunStateMessage.SOURCE_POLICY,
        epoch=status.epoch,
        epoch_stamp=ns_to_stamp(status.epoch_stamp_ns),
        episode=status.episode,
        episode_stamp=ns_to_stamp(status.episode_stamp_ns),
        instruction=status.instruction,
        chunk_age=-1.0 if ages.chunk_s is None else ages.chunk_s,
        joint_state_age=-1.0 if ages.joint_state_s is None else ages.joint_state_s,
        image_ages=list(ages.image_s),
        latent_age=-1.0 if ages.latent_s is None else ages.latent_s,
        execution_horizon=status.execution_horizon_s,
    )
    message.header.stamp = ns_to_stamp(now_ns)
    return message
