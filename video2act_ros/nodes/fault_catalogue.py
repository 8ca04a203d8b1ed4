"""The faults that are injected: what each is, what must notice it, and how fast."""

from __future__ import annotations

import math
from dataclasses import dataclass

from video2act_msgs.msg import ActionChunk
from video2act_ros.control.stop_check import braking_time_s
from video2act_ros.core.config import SIM_FAULTS, SimRobotConfig
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.thresholds import Threshold
from video2act_ros.nodes import fault_messages, fault_processes, fault_robot
from video2act_ros.nodes.fault_bench import Action
from video2act_ros.nodes.faulty_command_node import JAM, JAM_S, RAISE

EMERGENCY_STOP_S = 0.5
REFUSAL_S = 0.5  # to refuse to engage, or to give a driver up before it has moved anything
OPERATOR_S = 2.0  # for a command from a shell, its start included
REACTION_S = 0.2  # allowed beyond threshold and braking: reports, ticks and the servo's lag
FAR_RAD = 10.0  # beyond every joint's range


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `name`; `what` happens, in plain words; the `action` that makes it happen.

    `threshold` names the profile's threshold that must notice it; empty where none does. `says` is a regular
    expression that the reported reason must match. With `sim_time` the stack takes its time from /clock.
    `noticed_s` is how long it may take to notice where no threshold does; None: the driver's own time-out. One that
    `refuses` is made before the arm is engaged: nothing may move. One that is `operated` needs a call from a shell to
    get through: only what that does counts, and the stack that it leaves behind is not used again.
    """

    name: str
    what: str
    action: Action
    threshold: str
    says: str
    sim_time: bool = False
    noticed_s: float | None = None
    refuses: bool = False
    operated: bool = False

    def bound_s(self, profile: RobotProfile) -> float:
        """Return within which time the arm must stand."""
        if self.refuses:
            return REFUSAL_S
        if self.name == "estop_in_motion":
            return EMERGENCY_STOP_S
        noticed_s = SimRobotConfig().command_timeout_s if self.noticed_s is None else self.noticed_s
        if self.operated:
            noticed_s = OPERATOR_S
        elif self.threshold:
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
    return Fault(name, what.format(camera=camera), fault_robot.sim_fault(name), threshold, pattern)


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
        fault_processes.kill("system2_node"),
        "latent_age_s",
        "latents|system ?2|frame",
    ),
    Fault(
        "kill_system1",
        "System 1 is killed",
        fault_processes.kill("system1_node"),
        "chunk_age_s",
        "chunk|system ?1",
    ),
    *(_camera_fault(name) for name in SIM_FAULTS if name.partition("_")[0] in _CAMERA),
    Fault(
        "nan_chunk",
        "System 1's chunks consist of NaN",
        fault_messages.chunks(_nan),
        "chunk_age_s",
        "nan|finite",
    ),
    Fault(
        "out_of_range_chunk",
        f"System 1's chunks ask every joint for {FAR_RAD:g} rad",
        fault_messages.chunks(_out_of_range),
        "chunk_age_s",
        "range|outside|beyond|position limit",
    ),
    Fault(
        "joint_states_stop",
        "the driver measures no joints any more",
        fault_robot.sim_fault("joint_states_stop"),
        "joint_state_age_s",
        "joint state",
    ),
    Fault(
        "joint_states_nan",
        "the driver measures NaN",
        fault_robot.sim_fault("joint_states_nan"),
        "joint_state_age_s",
        "nan|finite|joint state",
    ),
    Fault(
        "system1_slow",
        "System 1's process runs a tenth of the time",
        fault_processes.slow("system1_node"),
        "chunk_age_s",
        "chunk|system ?1|image",
    ),
    Fault(
        "second_publisher",
        "somebody else publishes on the command topic (it repeats each command)",
        fault_messages.second_publisher(),
        "second_publisher_s",
        "another publisher|second publisher",
    ),
    Fault(
        "estop_in_motion",
        "the emergency stop is pressed (topic `emergency_stop`)",
        fault_messages.emergency_stop(),
        "",
        "emergency stop",
    ),
    Fault(
        "old_epoch_chunk",
        "System 1's chunks are of the epoch before",
        fault_messages.chunks(_old_epoch),
        "chunk_age_s",
        r"refused: chunk of epoch \d+ while",
    ),
    Fault(
        "kill_command",
        "the command node is killed; the driver's own time-out stops the arm",
        fault_processes.kill("command_node"),
        "",
        "command",
    ),
    Fault(
        "pause_command",
        "the command node's process stands still; the driver's own time-out stops the arm",
        fault_processes.pause("command_node"),
        "",
        "command",
    ),
    Fault(
        "policy_raises",
        "an exception in the policy's path of every control tick",
        fault_processes.misbehave(RAISE),
        "",
        "a control tick failed",
        noticed_s=0.0,
    ),
    Fault(
        "jammed_executor",
        f"a callback of the command node does not end for {JAM_S:g} s: it reads nothing meanwhile",
        fault_processes.misbehave(JAM),
        "joint_state_age_s",
        "executor",
    ),
    Fault(
        "lying_joint_states",
        "another node publishes zeros as joint states",
        fault_messages.lying_joint_states(),
        "joint_state_age_s",
        "another publisher|jump",
    ),
    Fault(
        "servos_off",
        "the servos lose their power, the arms fall, and the power returns; counted from then on",
        fault_robot.servos_off(),
        "",
        "tracking error|does not follow",
        noticed_s=0.0,
    ),
    Fault(
        "latched_estop_at_start",
        "the command node starts while a latched emergency stop is pressed; engage",
        fault_processes.latched_emergency_stop(),
        "",
        "emergency stop",
        refuses=True,
    ),
    Fault(
        "controller_inactive",
        "the arm's controller subscribes to commands and is inactive; engage",
        fault_robot.sim_fault("controller_inactive"),
        "",
        "inactive|does not follow",
        refuses=True,
    ),
    Fault(
        "recorder_only",
        "the arm's driver is gone and a bag recorder alone listens to commands; engage",
        fault_robot.recorder_only(),
        "",
        "rosbag2_recorder",
        refuses=True,
    ),
    Fault(
        "shm_removed",
        "the stack's files in shared memory are removed; `video2act estop` from a shell",
        fault_processes.shared_memory_removed(),
        "",
        "emergency stop",
        operated=True,
    ),
    Fault(
        "clock_step_forward",
        "the clock (/clock) steps forward by 10 s",
        fault_robot.sim_fault("clock_step_forward"),
        "joint_state_age_s",
        "old|clock|future|chunk",
        sim_time=True,
    ),
    Fault(
        "clock_step_back",
        "the clock (/clock) steps back by 10 s",
        fault_robot.sim_fault("clock_step_back"),
        "joint_state_age_s",
        "old|clock|future|chunk",
        sim_time=True,
    ),
)
NAMES = tuple(fault.name for fault in FAULTS)
