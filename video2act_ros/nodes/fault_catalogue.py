"""The faults that are injected: what each is, what must notice it, and how fast."""

from __future__ import annotations

import math
from dataclasses import dataclass

from video2act_msgs.msg import ActionChunk
from video2act_ros.control.stop_check import braking_time_s
from video2act_ros.core.config import SIM_FAULTS, SimRobotConfig
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.thresholds import Threshold
from video2act_ros.nodes import fault_actions as actions
from video2act_ros.nodes.fault_actions import Action

EMERGENCY_STOP_S = 0.5
REACTION_S = 0.2  # allowed beyond threshold and braking: reports, ticks and the servo's lag
FAR_RAD = 10.0  # beyond every joint's range


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `name`; `what` happens, in plain words; the `action` that makes it happen.

    `threshold` names the profile's threshold that must notice it; empty where none does. `says` is a regular
    expression that the reported reason must match. With `sim_time` the stack takes its time from /clock.
    """

    name: str
    what: str
    action: Action
    threshold: str
    says: str
    sim_time: bool = False

    def bound_s(self, profile: RobotProfile) -> float:
        """Return within which time the arm must stand."""
        if self.name == "estop_in_motion":
            return EMERGENCY_STOP_S
        noticed_s = SimRobotConfig().command_timeout_s  # the driver's own
        if self.threshold:
            threshold: Threshold = getattr(profile.thresholds, self.threshold)
            noticed_s = threshold.stop
        return math.fsum((noticed_s, braking_time_s(profile), REACTION_S))


_CAMERA = {
    "freeze": ("{camera} repeats one image with new stamps", "image_frozen_s", "frozen|not changed"),
    "drop": ("{camera} sends nothing any more", "image_age_s", "old|no image|missing"),
    "delay": ("{camera}'s images arrive 0.5 s late", "image_age_s", "old"),
    "black": ("{camera} sends black images with sensor noise", "image_dark_s", "dark|content"),
}
"""What happens, which threshold notices it, and what the reason says, of each camera fault."""


def _camera_fault(name: str) -> Fault:
    kind, _, camera = name.partition("_")
    what, threshold, says = _CAMERA[kind]
    pattern = f"{camera}.*({says})|({says}).*{camera}"
    return Fault(name, what.format(camera=camera), actions.sim_fault(name), threshold, pattern)


def _nan(chunk: ActionChunk) -> None:
    chunk.positions = [math.nan] * len(chunk.positions)


def _out_of_range(chunk: ActionChunk) -> None:
    chunk.positions = [FAR_RAD] * len(chunk.positions)


def _old_epoch(chunk: ActionChunk) -> None:
    chunk.epoch -= 1


FAULTS = (
    Fault(
        "kill_system2",
        "System 2 is killed",
        actions.kill("system2_node"),
        "latent_age_s",
        "latents|system ?2|frame",
    ),
    Fault(
        "kill_system1", "System 1 is killed", actions.kill("system1_node"), "chunk_age_s", "chunk|system ?1"
    ),
    *(_camera_fault(name) for name in SIM_FAULTS if name.partition("_")[0] in _CAMERA),
    Fault(
        "nan_chunk",
        "System 1's chunks consist of NaN",
        actions.chunks(_nan),
        "chunk_age_s",
        "nan|finite",
    ),
    Fault(
        "out_of_range_chunk",
        f"System 1's chunks ask every joint for {FAR_RAD:g} rad",
        actions.chunks(_out_of_range),
        "chunk_age_s",
        "range|outside|beyond|position limit",
    ),
    Fault(
        "joint_states_stop",
        "the driver measures no joints any more",
        actions.sim_fault("joint_states_stop"),
        "joint_state_age_s",
        "joint state",
    ),
    Fault(
        "joint_states_nan",
        "the driver measures NaN",
        actions.sim_fault("joint_states_nan"),
        "joint_state_age_s",
        "nan|finite|joint state",
    ),
    Fault(
        "system1_slow",
        "System 1's process runs a tenth of the time",
        actions.slow("system1_node"),
        "chunk_age_s",
        "chunk|system ?1|image",
    ),
    Fault(
        "second_publisher",
        "somebody else publishes on the command topic (it repeats each command)",
        actions.second_publisher(),
        "second_publisher_s",
        "another publisher|second publisher",
    ),
    Fault(
        "estop_in_motion",
        "the emergency stop is pressed (topic `emergency_stop`)",
        actions.emergency_stop(),
        "",
        "emergency stop",
    ),
    Fault(
        "old_epoch_chunk",
        "System 1's chunks are of the epoch before",
        actions.chunks(_old_epoch),
        "chunk_age_s",
        r"refused: chunk of epoch \d+ while",
    ),
    Fault(
        "kill_command",
        "the command node is killed; the driver's own time-out stops the arm",
        actions.kill("command_node"),
        "",
        "command",
    ),
    Fault(
        "pause_command",
        "the command node's process stands still; the driver's own time-out stops the arm",
        actions.pause("command_node"),
        "",
        "command",
    ),
    Fault(
        "clock_step_forward",
        "the clock (/clock) steps forward by 10 s",
        actions.sim_fault("clock_step_forward"),
        "joint_state_age_s",
        "old|clock|future|chunk",
        sim_time=True,
    ),
    Fault(
        "clock_step_back",
        "the clock (/clock) steps back by 10 s",
        actions.sim_fault("clock_step_back"),
        "joint_state_age_s",
        "old|clock|future|chunk",
        sim_time=True,
    ),
)
NAMES = tuple(fault.name for fault in FAULTS)
