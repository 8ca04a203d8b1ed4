"""`/command` as a real node, with a robot and a policy that are real nodes too."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from shared_configs import THRESHOLDS
from std_msgs.msg import Bool, Float64MultiArray, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from video2act_msgs.msg import ActionChunk, InputHealth, RunState
from video2act_msgs.srv import NewEpisode, SetInstruction
from video2act_ros.nodes import operator
from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.ros import qos
from video2act_ros.ros.command_outputs import CommandPublishers
from video2act_ros.ros.convert import stamp_to_ns
from video2act_ros.ros.process import make_executor

TIMEOUT_S = 20.0
NAMES = ["shoulder", "elbow", "gripper"]
PROFILE = {
    "name": "test",
    "joints": [
        {"name": "shoulder", "position_min": -2.0, "position_max": 2.0},
        {"name": "elbow", "position_min": -2.0, "position_max": 2.0},
        {"name": "gripper", "position_min": 0.0, "position_max": 0.04, "gripper": True},
    ],
    "cameras": [{"name": "cam_high", "topic": "cam_high"}],
    "joint_states": [{"topic": "joint_states", "names": {"elbow": "their_elbow"}}],
    "commands": [
        {"topic": "arm/joint_trajectory", "type": "joint_trajectory", "joints": ["elbow"]},
        {"topic": "shoulder/commands", "type": "forward_position", "joints": ["shoulder"]},
        {
            "topic": "gripper/command",
            "type": "joint_state",
            "joints": ["gripper"],
            "names": {"gripper": "their_gripper"},
        },
    ],
    "thresholds": THRESHOLDS,
}
RATES = {"velocity_max": 1.0, "acceleration_max": 4.0, "jerk_max": 100.0, "start": 0.0}


def rests(trajectory):
    """Return whether a trajectory moves nothing."""
    return not any(np.any(point.velocities) for point in trajectory.points)


class World(Node):
    """A robot whose joints follow the commands at once, and a policy that moves them steadily."""

    def __init__(self, context):
        super().__init__("world", context=context)
        self.changed = threading.Condition()
        self.state = None
        self.would_be = None
        self.problems = ""
        self.metrics = {}
        self.commands = []  # (topic, message)
        self.positions = {"shoulder": 0.1, "their_elbow": -0.1, "gripper": 0.02}
        self.measuring = self.planning = False
        self.measured = 0  # joint states sent
        self.image_age = 0.0
        self.clock_ahead = 0.0  # System 2's
        self.speed = 0.1
        self.offset = 0.0
        self.chunk_names = NAMES
        self.sequence = 0
        self.joint_publisher = self.create_publisher(JointState, "joint_states", qos.JOINT_STATES)
        self.chunk_publisher = self.create_publisher(ActionChunk, "action_chunk", qos.DATA)
        self.health_publisher = self.create_publisher(InputHealth, "input_health", qos.DATA)
        self.known_publisher = self.create_publisher(String, "known_instructions", qos.LATCHED)
        self.create_subscription(RunState, "run_state", lambda m: self.keep(state=m), qos.LATCHED)
        self.create_subscription(JointTrajectory, "command/would_be", lambda m: self.keep(would_be=m), 5)
        self.create_subscription(JointTrajectory, "arm/joint_trajectory", self.on_trajectory, 50)
        self.create_subscription(Float64MultiArray, "shoulder/commands", self.on_shoulder, 50)
        self.create_subscription(JointState, "gripper/command", self.on_gripper, 50)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 5)
        self.create_subscription(String, "command/metrics", self.on_metrics, 5)
        self.create_timer(0.02, self.measure)
        self.create_timer(0.1, self.plan)

    def keep(self, **values):
        with self.changed:
            for name, value in values.items():
                setattr(self, name, value)
            self.changed.notify_all()

    def on_diagnostics(self, message):
        for status in message.status:
            if status.name == "/command":
                self.keep(problems=status.message)

    def on_metrics(self, message):
        self.keep(metrics=json.loads(message.data))

    def on_trajectory(self, message):
        self.positions["their_elbow"] = message.points[0].positions[0]
        self.record("elbow", message)

    def on_shoulder(self, message):
        self.positions["shoulder"] = message.data[0]
        self.record("shoulder", message)

    def on_gripper(self, message):
        self.positions["gripper"] = message.position[0]
        self.record("gripper", message)

    def record(self, name, message):
        with self.changed:
            self.commands.append((name, message))
            self.changed.notify_all()

    def sent(self, name):
        return [message for topic, message in self.commands if topic == name]

    def measure(self):
        if self.measuring:
            message = JointState(name=list(self.positions), position=list(self.positions.values()))
            message.header.stamp = self.get_clock().now().to_msg()
            self.joint_publisher.publish(message)
            self.keep(measured=self.measured + 1)

    def plan(self):
        if self.planning and self.state is not None:
            clock = {InputHealth.CLOCK_AHEAD: self.clock_ahead, InputHealth.CLOCK_BEHIND: 0.0}
            for system, own in (
                ("system1", {InputHealth.IMAGE_AGE: self.image_age}),
                ("system2", {InputHealth.FRAME_GAP: 0.1} | clock),
            ):
                rows = {InputHealth.CLOCK_AHEAD: 0.0, InputHealth.CLOCK_BEHIND: 0.0} | own
                cameras = ["" if check.startswith("clock") else "cam_high" for check in rows]
                values = list(rows.values())
                health = InputHealth(system=system, checks=list(rows), cameras=cameras, values=values)
                health.header.stamp = self.get_clock().now().to_msg()
                self.health_publisher.publish(health)
            self.chunk_publisher.publish(self.chunk(self.state.epoch))

    def chunk(self, epoch):
        """Move the arm joints on from where they are."""
        self.sequence += 1
        start = np.array([self.positions["shoulder"], self.positions["their_elbow"], 0.5])
        moves = np.array([1.0, 1.0, 0.0]) * (self.offset + self.speed * 0.05 * np.arange(60)[:, None])
        message = ActionChunk(
            sequence=self.sequence,
            epoch=epoch,
            step=0.05,
            joint_names=self.chunk_names,
            horizon=60,
            positions=np.clip(start + moves, -2.0, 2.0)[:, : len(self.chunk_names)].ravel().tolist(),
            bundle_id="b",
        )
        message.header.stamp = self.get_clock().now().to_msg()
        message.latent_stamp = message.header.stamp
        message.image_stamps = [message.header.stamp]
        return message

    def wait_for(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT_S), (
                f"waited for {what}; run state {self.state}; {self.problems}"
            )

    def call(self, service_type, name, request=None):
        client = self.create_client(service_type, name)
        assert client.wait_for_service(TIMEOUT_S)
        response = client.call(request or service_type.Request(), timeout_sec=TIMEOUT_S)
        self.destroy_client(client)
        return response

    def wait_for_mode(self, mode, words=""):
        self.wait_for(
            lambda: self.state is not None and self.state.state == mode and words in self.state.reason,
            f"{mode} {words}",
        )

    def engage(self):
        """Engage once the inputs have arrived."""
        self.measuring = self.planning = True
        self.wait_for(lambda: self.state is not None and self.state.chunk_age >= 0.0, "a chunk")
        self.wait_for(lambda: self.state.joint_state_age >= 0.0, "joint states")
        response = self.call(Trigger, "engage")
        assert response.success, response.message
        self.wait_for_mode("engaged")


class Spinner:
    """Spins nodes in a thread of its own until stopped."""

    def __init__(self, context, *nodes):
        self.executor = make_executor(context)
        for node in nodes:
            self.executor.add_node(node)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping.is_set():
            self.executor.spin_once(timeout_sec=0.05)

    def stop(self):
        self.stopping.set()
        self.thread.join(TIMEOUT_S)
        self.executor.shutdown()


@pytest.fixture
def profile_path(tmp_path, request):
    """The robot's profile; parametrize it indirectly for other keys."""
    changes = {"joints": [RATES | joint for joint in PROFILE["joints"]]} | getattr(request, "param", {})
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump(PROFILE | changes))
    return path


@pytest.fixture
def command(context, profile_path, request):
    """The command node; parametrize it indirectly for other parameters."""
    overrides = {"robot": str(profile_path), "realtime_priority": 0, "diagnostics_period_s": 0.1}
    overrides |= getattr(request, "param", {})
    node = CommandNode(
        context=context,
        parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()],
    )
    assert node.bring_up()
    node.spinner = Spinner(context, node)
    yield node
    node.spinner.stop()
    node.bring_down()
    node.destroy_node()


@pytest.fixture
def world(context, command):
    node = World(context)
    spinner = Spinner(context, node)
    yield node
    spinner.stop()
    node.destroy_node()


def test_shadow_shows_what_it_would_do_and_sends_nothing(world):
    """A freshly started stack is harmless."""
    world.measuring = world.planning = True
    world.wait_for(lambda: world.would_be is not None, "the would-be command")
    world.wait_for_mode("shadow")
    assert world.would_be.joint_names == NAMES
    assert world.commands == []
    assert world.state.source == RunState.SOURCE_POLICY


def test_engage_is_refused_without_inputs(world):
    """Every missing input is named, missing joints by their names."""
    world.positions = {"shoulder": 0.0}
    world.measuring = True
    world.wait_for(
        lambda: "carries shoulder, but not their_elbow, gripper" in world.problems, "the missing joints"
    )
    response = world.call(Trigger, "engage")
    assert not response.success
    assert "no joint state" in response.message
    assert "no chunk of this epoch" in response.message
    assert "elbow, gripper" in response.message
    assert "joint_states[0].names" in response.message


def test_engaged_follows_the_chunks_on_every_output(world):
    """All three kinds of output drive their joints in the robot's units, order and names."""
    world.engage()
    world.wait_for(lambda: world.positions["shoulder"] > 0.15, "the shoulder to move")
    world.wait_for(lambda: world.positions["their_elbow"] > -0.05, "the elbow to move")
    trajectory = next(m for m in reversed(world.sent("elbow")) if m.points[0].velocities[0] > 0.0)
    assert trajectory.joint_names == ["elbow"]
    assert [point.time_from_start.nanosec for point in trajectory.points[:2]] == [0, 20_000_000]
    assert 0.0 < trajectory.points[0].velocities[0] < 0.5
    assert trajectory.points[-1].velocities[0] == 0.0
    assert trajectory.points[-1].positions[0] >= trajectory.points[0].positions[0]
    gripper = world.sent("gripper")[-1]
    assert list(gripper.name) == ["their_gripper"]
    assert gripper.position[0] == pytest.approx(0.02, abs=1e-6)
    speeds = [point.velocities[0] for message in world.sent("elbow") for point in message.points]
    assert np.max(np.abs(speeds)) <= 1.0 + 1e-9


def test_after_a_stall_the_motion_goes_on_from_the_way_to_rest(world, monkeypatch):
    """A driver of trajectories has gone it while no command came: the next one must not pull it back."""
    world.speed = 0.8
    world.engage()
    world.wait_for(lambda: world.positions["their_elbow"] > 0.2, "the elbow to move")
    publish, stalled, go_on = CommandPublishers.publish, threading.Event(), threading.Event()

    def publish_and_stall(self, command):
        publish(self, command)
        if not stalled.is_set():
            stalled.set()
            go_on.wait(TIMEOUT_S)

    monkeypatch.setattr(CommandPublishers, "publish", publish_and_stall)
    assert stalled.wait(TIMEOUT_S)
    with world.changed:
        before, seen = len(world.sent("elbow")), world.measured
    world.wait_for(lambda: world.measured >= seen + 6, "some periods to pass")
    go_on.set()
    world.wait_for(lambda: len(world.sent("elbow")) >= before + 3, "more commands")
    sent = world.sent("elbow")
    stamps_ns = np.array([stamp_to_ns(message.header.stamp) for message in sent])
    first = int(np.argmax(np.diff(stamps_ns))) + 1
    missed = round((stamps_ns[first] - stamps_ns[first - 1]) / 20e6) - 1
    assert missed >= 4
    way, point = sent[first - 1].points, sent[first].points[0]
    begin = way[min(missed, len(way) - 1)]
    mean_velocity = (point.positions[0] - begin.positions[0]) / 0.02
    assert mean_velocity == pytest.approx(begin.velocities[0], abs=RATES["acceleration_max"] * 0.02)


def test_a_silent_system1_makes_the_arm_hold_until_it_is_back(world):
    """Stale chunks: decelerate, hold, say why, go on when chunks return."""
    world.speed = 0.5
    world.engage()
    world.planning = False
    world.wait_for_mode("holding", "check System 1")
    world.wait_for(lambda: rests(world.sent("elbow")[-1]), "standstill")
    count = len(world.sent("elbow"))
    world.wait_for(lambda: len(world.sent("elbow")) > count + 5, "hold commands")
    held = {tuple(m.points[0].positions) for m in world.sent("elbow")[count:]}
    assert len(held) == 1
    world.planning = True
    world.wait_for_mode("engaged")


def test_nan_joint_states_hold_with_a_message(world):
    """A broken encoder is named on /diagnostics and the arm holds."""
    world.engage()
    world.measuring = False
    message = JointState(name=["shoulder", "their_elbow", "gripper"], position=[0.0, float("nan"), 0.0])
    message.header.stamp = world.get_clock().now().to_msg()
    world.create_timer(0.05, lambda: world.joint_publisher.publish(message))
    world.wait_for_mode("holding", "check the robot driver")
    world.wait_for(lambda: "NaN or infinite positions for elbow" in world.problems, "the diagnosis")


@pytest.mark.parametrize("fault", ["joints", "nan"])
def test_unusable_chunks_are_refused_with_a_message(world, fault):
    """A bundle for another robot, or a policy that diverges: told once clearly, never executed."""
    world.engage()
    world.planning = False
    if fault == "joints":
        world.chunk_names = ["shoulder", "elbow"]
        broken, words = world.chunk(world.state.epoch), "the robot profile has 3"
    else:
        broken, words = world.chunk(world.state.epoch), "NaN"
        broken.positions[5] = float("nan")
    world.create_timer(0.1, lambda: world.chunk_publisher.publish(broken))
    world.wait_for(lambda: words in world.problems, "the diagnosis")
    world.wait_for_mode("holding")


def test_chunks_of_an_older_epoch_are_ignored(world):
    """After a new episode nothing planned before it moves the arm."""
    world.engage()
    world.planning = False
    before = world.state
    response = world.call(NewEpisode, "new_episode")
    assert response.success
    assert response.epoch > before.epoch
    world.wait_for(lambda: world.state.epoch == response.epoch, "the new epoch")
    assert world.state.episode == before.episode + 1
    assert world.state.episode_stamp.sec > 0
    world.wait_for_mode("holding")
    world.wait_for(lambda: rests(world.sent("elbow")[-1]), "standstill")
    rest, count = world.positions["their_elbow"], len(world.commands)
    world.offset = 0.3
    world.chunk_publisher.publish(world.chunk(before.epoch))
    world.wait_for(lambda: len(world.commands) > count + 60, "further commands")
    assert world.positions["their_elbow"] == rest
    world.offset, world.planning = 0.0, True
    world.wait_for_mode("engaged")


def test_disengage_leaves_the_arm_standing_and_silent(world):
    """After disengage the arm brakes and no command follows."""
    world.speed = 0.5
    world.engage()
    assert world.call(Trigger, "disengage").success
    world.wait_for_mode("shadow")
    world.would_be = None
    world.wait_for(lambda: world.would_be is not None, "shadow commands")
    count = len(world.commands)
    assert rests(world.sent("elbow")[-1])
    world.would_be = None
    world.wait_for(lambda: world.would_be is not None, "shadow commands")
    assert len(world.commands) == count


def test_unknown_instructions_are_refused_with_the_known_ones(world):
    """The known instructions come from System 1; a known one begins a new epoch."""
    early = world.call(SetInstruction, "set_instruction", SetInstruction.Request(instruction="dance"))
    assert not early.success
    assert "System 1 is not up yet" in early.message
    world.known_publisher.publish(String(data="lift the cube\nhand it over"))
    request = SetInstruction.Request(instruction="lift the cube")
    epoch = world.state.epoch if world.state else 0
    for _ in range(100):
        if (response := world.call(SetInstruction, "set_instruction", request)).success:
            break
    assert response.success
    assert list(response.known_instructions) == ["lift the cube", "hand it over"]
    world.wait_for(lambda: world.state.instruction == "lift the cube", "the instruction")
    assert world.state.epoch > epoch
    refused = world.call(SetInstruction, "set_instruction", SetInstruction.Request(instruction="dance"))
    assert not refused.success
    assert "unknown instruction 'dance'; choose one of: lift the cube, hand it over" in refused.message


def test_figures_are_published(world):
    """The demonstration reads ticks, period errors and ages from here."""
    world.engage()
    world.wait_for(lambda: world.metrics.get("reaction_s", {}).get("p50") is not None, "the figures")
    figures = world.metrics
    assert figures["control_ticks"] > 0
    assert figures["missed_ticks"] >= 0
    assert figures["scheduling"] == "normal"
    assert figures["control_period_error_s"]["p99"] <= figures["control_period_error_s"]["max"]
    assert 0.0 < figures["observation_age_s"]["p50"] < 2.0
    assert 0.0 < figures["latent_age_s"]["p50"] < 2.0
    assert figures["seams"]["reaction_s"] == figures["reaction_s"]
    assert set(figures["seams"]) >= {"position_jump", "velocity_jump", "acceleration_jump", "actions_skipped"}


OUTPUTS = PROFILE["commands"]


@pytest.mark.parametrize(
    ("profile_path", "rate_hz"),
    [
        ({}, 50.0),
        ({"commands": [OUTPUTS[0], OUTPUTS[1] | {"rate_hz": 200.0}, OUTPUTS[2]]}, 200.0),
    ],
    indirect=["profile_path"],
)
def test_it_ticks_as_often_as_a_controller_of_single_set_points(world, rate_hz):
    """Deadlines are absolute: ticks and missed ones together are the rate. Without one in the profile it is named."""
    world.engage()
    first = world.state
    world.wait_for(lambda: world.state.control_ticks > first.control_ticks + 100, "a hundred ticks")
    last = world.state
    ticks = last.control_ticks + last.missed_ticks - first.control_ticks - first.missed_ticks
    seconds = (stamp_to_ns(last.header.stamp) - stamp_to_ns(first.header.stamp)) / 1e9
    assert ticks / seconds == pytest.approx(rate_hz, rel=0.1)
    if rate_hz == 50.0:
        world.wait_for(lambda: "as commands[1].rate_hz" in world.problems, "the warning")


def test_deactivation_brakes_first(world, command, capfd):
    """A node that is stopped leaves the arm at rest with a last hold command, and may be activated anew."""
    world.speed = 0.8
    world.engage()
    world.wait_for(lambda: world.sent("elbow")[-1].points[0].velocities[0] > 0.3, "motion")
    command.spinner.stop()
    command.trigger_deactivate()
    assert "still braking" not in capfd.readouterr().err
    world.wait_for_mode("idle")
    world.wait_for(lambda: rests(world.sent("elbow")[-1]), "standstill")
    positions = np.array([message.points[0].positions[0] for message in world.sent("elbow")])
    velocities = np.diff(positions) / 0.02
    assert np.max(np.abs(np.diff(velocities))) / 0.02 <= 4.0 + 1e-6
    assert velocities[-1] == 0.0
    epoch = world.state.epoch
    command.trigger_activate()
    world.wait_for(lambda: world.state.state == "shadow" and world.state.epoch > epoch, "a new start")
    command.spinner = Spinner(command.context, command)


def test_a_bad_camera_holds_by_name_until_it_is_back(world):
    """Input reports of the systems reach the watchdog."""
    world.engage()
    world.image_age = 1.5
    world.wait_for_mode("holding", "camera image of cam_high too old")
    world.image_age = 0.0
    world.wait_for_mode("engaged")


def test_a_clock_that_is_off_refuses_engage_and_holds_until_it_is_right(world):
    """One line with offset, limit and remedy; a running arm holds and goes on by itself."""
    world.clock_ahead, world.measuring, world.planning = 0.35, True, True
    world.wait_for(lambda: world.state is not None and world.state.chunk_age >= 0.0, "a chunk")
    words = "System 2's clock is 0.35 s ahead of this machine's (limit 0.05 s); synchronise the clocks"
    response = world.call(Trigger, "engage")
    assert not response.success
    assert words in response.message
    world.clock_ahead, world.would_be = 0.0, None
    world.wait_for(lambda: world.would_be is not None, "good inputs")
    world.engage()
    world.clock_ahead = 0.35
    world.wait_for_mode("holding", words)
    world.clock_ahead = 0.0
    world.wait_for_mode("engaged")


@pytest.mark.parametrize("way", ["service", "reliable", "best_effort"])
def test_an_emergency_stop_is_latched(world, way):
    """By service and by topic of any quality: fault at once, back only by disengage and then engage."""
    world.speed = 0.5
    world.engage()
    pressed = None
    if way == "service":
        assert world.call(Trigger, "emergency_stop").success
    else:
        profile = qos.DATA if way == "reliable" else qos.JOINT_STATES
        pressed = world.create_publisher(Bool, "emergency_stop", profile)
        world.create_timer(0.1, lambda: pressed.publish(Bool(data=way != "released")))
    world.wait_for_mode("fault", "emergency stop")
    assert world.state.emergency_stop
    world.wait_for(lambda: rests(world.sent("elbow")[-1]), "standstill")
    assert "disengage first" in world.call(Trigger, "engage").message
    assert world.call(Trigger, "disengage").success
    world.wait_for_mode("shadow")
    if pressed is not None:
        assert "release it" in world.call(Trigger, "engage").message
        way = "released"
        world.wait_for(lambda: not world.state.emergency_stop, "the release")
    world.engage()


def test_move_to_start_brings_the_arm_home(world):
    """Slowly, seen in run_state, ending in shadow; refused while engaged."""
    world.positions = {"shoulder": 0.05, "their_elbow": -0.05, "gripper": 0.0}
    world.measuring = True
    world.wait_for(lambda: world.state is not None and world.state.joint_state_age >= 0.0, "joint states")
    response = world.call(Trigger, "move_to_start")
    assert response.success, response.message
    world.wait_for_mode("holding", "moving to the start pose (")
    world.wait_for_mode("shadow", "at the start pose")
    assert abs(world.positions["shoulder"]) < 2e-3
    speeds = [point.velocities[0] for message in world.sent("elbow") for point in message.points]
    assert 0.0 < np.max(np.abs(speeds)) < 0.15 * 1.1  # after a missed tick the limiter catches up
    world.engage()
    refused = world.call(Trigger, "move_to_start")
    assert not refused.success
    assert "disengage first" in refused.message


def test_the_command_line_stops_at_once_and_tells_refusals(world, context, monkeypatch):
    """`video2act estop` and the others call the services and tell their answers."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(context.get_domain_id()))
    world.engage()
    assert operator.emergency_stop("")
    world.wait_for_mode("fault", "emergency stop")
    with pytest.raises(operator.CallFailed, match="disengage first"):
        operator.engage("")
    assert operator.disengage("")
    world.wait_for_mode("shadow")


@pytest.mark.parametrize("command", [{"splice": "rtc"}], indirect=True)
def test_plans_are_published_while_the_policy_drives(world):
    """Real-time chunking in System 1 gets what was sent and what will be, at every tenth of a second."""
    plans = []
    world.create_subscription(ActionChunk, "planned_actions", lambda m: world.keep(plan=plans.append(m)), 5)
    world.engage()
    world.wait_for(lambda: len(plans) >= 3 and plans[-1].committed >= 4, "plans")
    plan = plans[-1]
    assert list(plan.joint_names) == NAMES
    assert plan.epoch == world.state.epoch
    rows = np.reshape(plan.positions, (-1, 3))
    assert len(rows) > plan.committed
    np.testing.assert_array_equal(rows[: plan.committed].ravel(), plan.prefix)
    assert np.abs(np.diff(rows[:, 0])).max() <= 1.0 * plan.step  # within the velocity limit


def test_an_external_source_takes_over_and_hands_back(world):
    """Teleoperation drives while its messages come; run_state says who does; wrong messages are told."""
    world.engage()
    publisher = world.create_publisher(JointState, "external_command", qos.DATA)
    wanted = JointState(name=NAMES)
    start = [world.positions["shoulder"], world.positions["their_elbow"], 0.5]
    wanted.position = [start[0] + 0.2, start[1], 0.8]
    timer = world.create_timer(0.05, lambda: publisher.publish(wanted))
    world.wait_for(lambda: world.state.source == RunState.SOURCE_EXTERNAL, "the takeover")
    world.wait_for(lambda: abs(world.positions["shoulder"] - wanted.position[0]) < 1e-3, "the pose")
    world.destroy_timer(timer)
    world.wait_for(lambda: world.state.source == RunState.SOURCE_POLICY, "the way back")
    world.wait_for_mode("engaged")
    wrong = JointState(name=["wrist"], position=[0.0])
    world.create_timer(0.1, lambda: publisher.publish(wrong))
    world.wait_for(lambda: "one position for each of the 3 joints" in world.problems, "the diagnosis")


@pytest.mark.parametrize(
    ("namespace", "words"),
    [
        (
            "",
            "a second /command, so two stacks share this ROS domain and namespace; end one, or start it with another",
        ),
        ("left", "/left/command of another stack; name topics of its own, without a leading /"),
    ],
)
def test_another_stack_on_the_same_robot_is_named_with_the_remedy(world, namespace, words):
    """Of another machine, where its processes cannot be seen: engaging is refused, and says what to change."""
    world.engage()
    assert world.call(Trigger, "disengage").success
    other = Node("command", namespace=namespace, context=world.context)
    other.create_publisher(Float64MultiArray, "/shoulder/commands", 5)
    for _ in range(1000):
        refusal = world.call(Trigger, "engage")
        if "another publisher" in refusal.message:
            break
    assert not refusal.success
    assert words in refusal.message
    other.destroy_node()


def test_another_publisher_on_a_command_topic_is_a_fault(world):
    """Two masters on one arm: refused at engage, ended while driving."""
    world.engage()
    second = world.create_publisher(Float64MultiArray, "shoulder/commands", 5)
    world.wait_for_mode("fault", "another publisher on /shoulder/commands")
    assert world.call(Trigger, "disengage").success
    world.wait_for_mode("shadow")
    refusal = world.call(Trigger, "engage").message
    assert "another publisher on /shoulder/commands: /world; stop it" in refusal
    world.destroy_publisher(second)
    for _ in range(1000):
        if (response := world.call(Trigger, "engage")).success:
            break
    assert response.success, response.message


def test_an_unknown_robot_is_refused_at_configure(context):
    """The node stays up unconfigured; the message lists the profiles there are."""
    node = CommandNode(context=context, parameter_overrides=[Parameter("robot", value="nobody")])
    assert not node.bring_up()
    assert node.state_name == "unconfigured"
    assert "aloha_sim" in node.health.report().message
    node.destroy_node()


def test_the_process_loads_no_model_library():
    """What owns the arm imports no model library, no simulation and no OpenCV."""
    code = (
        "import sys, video2act_ros.nodes.command_node; "
        "print([m for m in ('torch', 'onnxruntime', 'diffusers', 'mujoco', 'cv2') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert result.stdout.strip() == "[]"
