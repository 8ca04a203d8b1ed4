"""Listens to everything by which a stack's reaction to a fault is judged."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState

from video2act_msgs.msg import RunState
from video2act_ros.control.limiter import JointLimits
from video2act_ros.control.stop_check import StopCheck
from video2act_ros.core.types import NS_PER_S
from video2act_ros.nodes.command_watch import CommandWatch
from video2act_ros.nodes.demo_node import DemoNode
from video2act_ros.ros import qos
from video2act_ros.ros.convert import stamp_to_ns

STOPPED = (RunState.HOLDING, RunState.FAULT)
NO_FAULT, SERVOS_OFF = "none", "servos_off"  # of the simulated robot


@dataclass(frozen=True, slots=True)
class StateSeen:
    """A run state and when it arrived, by this machine's clock [s]."""

    time_s: float
    state: str
    speed_scale: float
    reason: str

    @property
    def slow(self) -> bool:
        """Whether chunks are executed more slowly."""
        return self.state == RunState.ENGAGED and self.speed_scale < 1.0 and bool(self.reason)


class FaultWatch:
    """Keeps what a trial needs; it listens through a DemoNode, whose `changed` guards every field.

    Times are this machine's clock, never a simulated one. Joints are taken from the simulated robot's
    undisturbed topic: a fault of the driver must not blind the judge. That topic also tells in `frame_id` which
    fault is in force: how long a busy machine takes to set it is no part of the stack's reaction.
    """

    def __init__(self, node: DemoNode, period_s: float) -> None:
        self._node = node
        profile = node.profile
        self._limits = JointLimits.of(profile)
        self._arm = ~np.array([joint.gripper for joint in profile.joints])
        self._still = profile.to_policy(np.zeros(len(profile.joints)))
        self.commands = CommandWatch(node, period_s)
        self.sim_fault = NO_FAULT  # of the simulated robot, in force now
        self.sim_fault_s = 0.0  # since when [s]: its last sample before
        self.sampled_s = 0.0  # when the newest joints were measured
        self.begin()
        self.commands.recording = False
        node.create_subscription(JointState, "sim_robot/true_joint_states", self._on_joints, qos.DATA)
        node.create_subscription(RunState, "run_state", self._on_state, qos.LATCHED)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DATA)

    def begin(self) -> None:
        """Forget everything and record from now on."""
        self.states: list[StateSeen] = []
        self.told: list[tuple[float, str]] = []  # time [s] and text of what nodes tell on /diagnostics
        self.stop = StopCheck(self._limits, self._arm)
        self.commands.begin()
        self.commands.recording = True

    @property
    def violations(self) -> int:
        """Commands outside their limits and measured samples outside limits + 10 %."""
        return self.commands.outside + self.stop.outside

    @property
    def detail(self) -> str:
        """What was judged, and how near to its limits it came, in words."""
        checks = self.commands.checks.values()
        shares = {
            name: max(getattr(check, f"largest_{name}") for check in checks)
            for name in ("velocity", "acceleration", "jerk")
        }
        largest = ", ".join(f"{name} {100.0 * share:.1f} %" for name, share in shares.items())
        commands, stop = self.commands, self.stop
        fastest = f"{100.0 * stop.largest_speed:.0f} % of {self._node.profile.joint_names[stop.fastest_joint]}'s limit"
        return (
            f"{commands.outside} of {commands.commands} commands outside (largest {largest} of the limit), "
            f"{stop.outside} of {stop.samples} measured samples outside (largest speed {fastest}; "
            f"in {stop.pushed} samples an obstacle pushed the arm)"
        )

    @property
    def engaged(self) -> bool:
        """Whether the newest run state is engaged."""
        return bool(self.states) and self.states[-1].state == RunState.ENGAGED

    def since(self, time_s: float) -> list[StateSeen]:
        """Return the run states that arrived at `time_s` or later."""
        return [seen for seen in self.states if seen.time_s >= time_s]

    def stopped_s(self, since_s: float, pattern: str = "") -> float | None:
        """Return when a hold or a fault was first told after `since_s` for a reason that matches; None: not yet."""
        return next(
            (
                seen.time_s
                for seen in self.since(since_s)
                if seen.state in STOPPED and re.search(pattern, seen.reason, re.IGNORECASE)
            ),
            None,
        )

    def reason(self, since_s: float, pattern: str) -> str | None:
        """Return the first reason or diagnostic since `since_s` that the regular expression finds."""
        told = [text for time_s, text in self.told if time_s >= since_s]
        reasons = [seen.reason for seen in self.since(since_s) if seen.state in STOPPED or seen.slow]
        return next((text for text in (*reasons, *told) if re.search(pattern, text, re.IGNORECASE)), None)

    def _on_joints(self, message: JointState) -> None:
        profile = self._node.profile
        positions = profile.to_policy(np.array(message.position))
        velocities = profile.to_policy(np.array(message.velocity)) - self._still  # rates have no offset
        with self._node.changed:
            stamp_s = stamp_to_ns(message.header.stamp) / NS_PER_S
            if (fault := message.header.frame_id) != self.sim_fault:
                self.sim_fault, self.sim_fault_s = fault, self.sampled_s
            self.sampled_s = stamp_s
            powered = fault != SERVOS_OFF
            self.stop.add(stamp_s, positions, velocities, np.array(message.effort), powered=powered)
            self._node.changed.notify_all()

    def _on_state(self, message: RunState) -> None:
        with self._node.changed:
            self.states.append(StateSeen(time.time(), message.state, message.speed_scale, message.reason))
            self._node.changed.notify_all()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with self._node.changed:
            for status in message.status:
                if status.level != bytes([0]):
                    self.told.append((time.time(), f"{status.name}: {status.message}"))
            self._node.changed.notify_all()
