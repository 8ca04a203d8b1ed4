"""The ROS side of the control loop: one object that gives any node the arm."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import replace
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from video2act_msgs.msg import ActionChunk as ActionChunkMessage
from video2act_msgs.msg import InputHealth
from video2act_msgs.msg import RunState as RunStateMessage
from video2act_ros.control.command import Command
from video2act_ros.control.external import external_positions
from video2act_ros.control.loop import ControlLoop, ControlSettings
from video2act_ros.control.realtime import RealtimeThread
from video2act_ros.control.stall_watch import StallWatch
from video2act_ros.control.status import LoopStatus
from video2act_ros.control.tick_clock import TickClock
from video2act_ros.core.config import CommandConfig
from video2act_ros.core.drivers import Proof
from video2act_ros.core.errors import ControlError, InputError, describe_error
from video2act_ros.core.model_swap import BundleStatus
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.types import RunMode, seconds_to_ns
from video2act_ros.ros import input_health, qos
from video2act_ros.ros.bundle_switch import SYSTEMS, bundle_status_topic
from video2act_ros.ros.command_outputs import CommandPublishers, WouldBePublisher
from video2act_ros.ros.control_reports import loop_figures, run_state_message, thread_figures
from video2act_ros.ros.control_services import ControlServices
from video2act_ros.ros.convert import JointStateMerger, stamp_to_ns
from video2act_ros.ros.convert_policy import InputAges, chunk_from_message, message_from_chunk
from video2act_ros.ros.diagnostics import Level
from video2act_ros.ros.input_publishers import WatchedPublishers
from video2act_ros.ros.lifecycle import ManagedNode

STATE_PERIOD_S = 0.1
WATCH_PERIOD_S = 0.02  # largest time until a changed state is published
SHARE_PERIOD_S = 0.1  # between two looks for other publishers, and between two plans
METRICS_PERIOD_S = 1.0
STANDING_TIMEOUT_S = 0.7  # braking from full speed; `stop` must end within a second
_TICKS, _CALLBACKS = "control thread", "executor"
_STALLED = {
    _TICKS: "the control thread has not ticked for {:.1f} s; the arm's driver brakes by what it was sent last; check "
    "this machine's load, and restart the command node should that last",
    _CALLBACKS: "the command node's executor has been busy for {:.1f} s and reads no inputs; check this machine's "
    "load, and the log",
}
_EPOCH_BITS = (
    52  # numbers that every reader of JSON keeps exactly; two processes meet once in some billion starts
)
PLANNING = "rtc"  # the splice mode in which System 1 continues what is planned


def _first_epoch() -> int:
    """Return where a command process begins to count: no other one has been there, whatever the clock says."""
    return secrets.randbits(_EPOCH_BITS)


class ControlInterface:
    """Owns the control loop and its thread, and connects them to topics and services of `node`.

    Make it in the node's `setup`; call `start` and `stop` from the node's own. Callbacks run in the
    executor's thread, commands are published by the control thread.
    """

    def __init__(self, node: ManagedNode, profile: RobotProfile, config: CommandConfig) -> None:
        self._node = node
        self._profile = profile
        self._config = config
        self._period_s = 1.0 / profile.command_rate_hz(config.rate_hz)
        settings = ControlSettings(
            period_s=self._period_s,
            splice=config.splice,
            average_decay=config.average_decay,
            reach_rad=config.reach_rad,
            slow_scale=config.slow_scale,
            start_speed=config.start_speed,
            external_timeout_s=config.external_timeout_s,
            bridge_s=config.bridge_s,
            first_epoch=_first_epoch(),
            replay=config.replay,
        )
        self._loop = ControlLoop(profile, settings)
        self._joints = JointStateMerger(profile)
        self._publishers = WatchedPublishers(node, profile)
        self._thread: RealtimeThread | None = None
        self._clock = TickClock()
        self._watch: StallWatch | None = None
        self._beats = 0  # of the executor
        self._stamp_ns = 0  # of the newest tick
        self._last: Command | None = None
        self._driven_s: float | None = None  # deadline of the newest tick, where it drove the arm
        self._published_version = -1
        self._published_s = 0.0
        self._publish_to(node)
        self._listen_to(node)
        self._services = ControlServices(
            node, self._loop, self._now_ns, self._watch_robot, self._publish_state
        )

    def _publish_to(self, node: ManagedNode) -> None:
        self._outputs = CommandPublishers(node, self._profile, self._period_s, replay=self._config.replay)
        self._would_be = WouldBePublisher(node, self._profile, self._period_s)
        self._state = node.create_publisher(RunStateMessage, "run_state", qos.LATCHED)
        self._metrics = node.create_publisher(String, "command/metrics", qos.DATA)
        self._plans = None
        if self._config.splice == PLANNING:
            self._plans = node.create_publisher(ActionChunkMessage, "planned_actions", qos.DATA)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # also while a simulated clock stands
        node.create_timer(WATCH_PERIOD_S, self._watch_state, clock=steady)
        node.create_timer(SHARE_PERIOD_S, self._watch_robot, clock=steady)
        node.create_timer(SHARE_PERIOD_S, self._publish_plan, clock=steady)
        node.create_timer(METRICS_PERIOD_S, self._publish_metrics, clock=steady)

    def _listen_to(self, node: ManagedNode) -> None:
        for index, source in enumerate(self._profile.joint_states):
            node.subscribe(JointState, source.topic, partial(self._on_joint_state, index), qos.JOINT_STATES)
        node.subscribe(ActionChunkMessage, "action_chunk", self._on_chunk, qos.DATA)
        node.subscribe(InputHealth, input_health.TOPIC, self._on_input_health, qos.DATA)
        node.subscribe(JointState, "external_command", self._on_external, qos.JOINT_STATES)
        for system in SYSTEMS:
            topic = bundle_status_topic(system)
            node.subscribe(String, topic, partial(self._on_bundle_status, system), qos.LATCHED)

    # -- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick, in shadow."""
        self._last = self._driven_s = None
        self._clock = TickClock()
        self._loop.start(self._now_ns())
        self._loop.set_instruction(self._config.instruction, self._now_ns())
        self._thread = RealtimeThread(
            self._period_s, self._tick, self._on_tick_error, self._config.realtime_priority
        )
        self._thread.start()
        thread = self._thread
        counts = {_TICKS: lambda: thread.ticks, _CALLBACKS: lambda: self._beats}
        self._watch = StallWatch(counts, self._on_stall)
        self._watch.start()
        self._watch_robot()
        self._publish_state()

    def stop(self) -> None:
        """Brake the arm, leave it at a last standing command, and end the thread; within a second."""
        if self._thread is None:
            return
        if self._watch is not None:
            self._watch.stop()
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

    def close(self) -> None:
        """Give up what was subscribed at run time; in the node's `teardown`."""
        self._outputs.close()

    # -- control thread -----------------------------------------------------------------------------

    def _tick(self, deadline_s: float) -> None:
        missed = 0 if self._driven_s is None else round((deadline_s - self._driven_s) / self._period_s) - 1
        command = self._loop.tick(self._stamp(deadline_s, missed), missed)
        self._driven_s = None if command is None else deadline_s
        if command is not None:
            self._last = command
            self._outputs.publish(command)
        elif (would_be := self._loop.would_be()) is not None:
            self._would_be.publish(would_be)
        if (failure := self._loop.take_failure()) is not None:
            self._node.report_problem("control", failure)

    def _stamp(self, deadline_s: float, missed: int) -> int:
        """Return the time of a tick; where the clock cannot be read, the time at which the tick was due."""
        try:
            before_s = time.monotonic()
            reading_ns = self._now_ns()
            self._stamp_ns = self._clock.stamp_ns(deadline_s, before_s, reading_ns, time.monotonic())
        except Exception as error:  # noqa: BLE001  the arm must brake without a clock, too
            self._stamp_ns += (missed + 1) * seconds_to_ns(self._period_s)
            self._on_tick_error(error)
        return self._stamp_ns

    def _on_tick_error(self, error: Exception) -> None:
        self._loop.fault(f"a control tick failed: {describe_error(error)}")
        self._node.report_problem("control", error)

    # -- the watch's thread -------------------------------------------------------------------------

    def _on_stall(self, standing: dict[str, float]) -> None:
        """Tell what stands still in this process; the executor, which would tell it, may be what stands."""
        texts = {name: _STALLED[name].format(time_s) for name, time_s in standing.items()}
        self._loop.on_stall("; ".join(texts.values()))
        for name, text in texts.items():
            self._node.report_problem(name, ControlError(text))
        if _CALLBACKS in standing:
            self._publish_state()

    # -- inputs -------------------------------------------------------------------------------------

    def _on_joint_state(self, index: int, message: JointState) -> None:
        now_ns = self._now_ns()
        self._publishers.streams[index].note(message.name)
        if self._joints.passes_over(index, message):
            return
        sample = self._joints.update(index, message, now_ns)
        if sample is not None:
            self._loop.on_joints(sample, now_ns)
            self._node.health.count("joint_states")

    def _on_chunk(self, message: ActionChunkMessage) -> None:
        try:
            chunk = chunk_from_message(message)
        except InputError as error:
            self._loop.on_unreadable_chunk(str(error))
            raise
        refusal = self._loop.on_chunk(chunk, self._now_ns())
        if refusal is None:
            self._node.health.count("chunks")
            self._publish_plan()
        elif not refusal.routine:
            raise InputError(refusal.text)

    def _on_input_health(self, message: InputHealth) -> None:
        self._loop.on_report(input_health.report_from_message(message))

    def _on_external(self, message: JointState) -> None:
        positions = external_positions(message.name, message.position, self._profile.joint_names)
        stamp_ns = stamp_to_ns(message.header.stamp)
        if (refusal := self._loop.on_external(positions, self._now_ns(), stamp_ns)) is not None:
            raise InputError(refusal)

    def _on_bundle_status(self, system: str, message: String) -> None:
        bundle_id = BundleStatus.from_json(message.data).bundle_id
        if bundle_id and self._loop.on_bundle(system, bundle_id, self._now_ns()):
            self._node.get_logger().info(f"{system} runs bundle {bundle_id} now: a new epoch began")
            self._publish_state()

    def _watch_robot(self) -> None:
        """Look whether the drivers are those that the profile describes."""
        now_ns = self._now_ns()
        self._loop.on_other_publishers(self._outputs.shared_topics(), now_ns)
        drivers = self._outputs.drivers()
        self._loop.on_deaf_outputs([item.text for item in drivers if item.proof is Proof.ABSENT], now_ns)
        self._loop.on_unproven_outputs(
            {item.output: item.text for item in drivers if item.proof is Proof.UNPROVEN}
        )
        self._loop.on_missing_joints(self._joints.gaps)
        self._loop.on_second_publishers(self._publishers.look(), now_ns)

    # -- requests -----------------------------------------------------------------------------------

    def check_instruction(self, instruction: str) -> None:
        """Raise an InstructionError, listing the known ones, unless System 1 knows `instruction`."""
        self._services.check_instruction(instruction)

    def set_instruction(self, instruction: str) -> None:
        """Ask System 1 for another instruction, in a new epoch; an unknown one is an InstructionError."""
        self._services.set_instruction(instruction)

    # -- reports ------------------------------------------------------------------------------------

    def collect_diagnostics(self) -> None:
        """Put the run state and the real-time figures into the node's health."""
        health, status = self._node.health, self._loop.status(self._now_ns())
        health.value("run_state", status.mode.value)
        health.value("epoch", status.epoch)
        for name, value in self._figures(status).items():
            health.value(name, json.dumps(value) if isinstance(value, dict) else value)
        if self._thread is not None and (gaps := self._joints.gaps):
            health.problem("joint_states", "; ".join(gaps), Level.WARN, passing=True)
        for text in (*status.warnings, *self._profile.unknown_rates):
            health.problem(text, text, Level.WARN, passing=True)
        if status.mode in (RunMode.HOLDING, RunMode.FAULT) or (status.reason and status.sending):
            level = Level.ERROR if status.mode is RunMode.FAULT else Level.WARN
            health.problem("control", f"{status.mode.value}: {status.reason}", level, passing=True)

    def _watch_state(self) -> None:
        self._beats += 1
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

    def _publish_plan(self) -> None:
        if self._plans is not None and (plan := self._loop.plan(self._now_ns())) is not None:
            self._plans.publish(message_from_chunk(plan, InputAges()))

    def _publish_metrics(self) -> None:
        if self._thread is not None:
            self._metrics.publish(String(data=json.dumps(self._figures(self._loop.status(self._now_ns())))))

    def _figures(self, status: LoopStatus) -> dict[str, Any]:
        figures = loop_figures(status, self._loop.metrics, self._period_s)
        return figures if self._thread is None else figures | thread_figures(self._thread.report())

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)
