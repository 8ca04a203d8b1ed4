"""The simulated robot as a driver node: joint states and cameras out, joint commands in."""

from __future__ import annotations

import json
import time
from typing import Any

from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String

from video2act_msgs.srv import NewEpisode, ResetSimulation
from video2act_ros.core.config import NodeConfig, SimRobotConfig
from video2act_ros.core.errors import ConfigurationError
from video2act_ros.core.robot_profile import CommandOutput, load_robot_profile
from video2act_ros.core.types import NS_PER_S, CameraFrame, ImageArray
from video2act_ros.ros import qos
from video2act_ros.ros.command_inputs import CommandReader
from video2act_ros.ros.command_outputs import MESSAGE_TYPES
from video2act_ros.ros.convert import ns_to_stamp
from video2act_ros.ros.convert_images import IMAGE_MESSAGES, message_from_frame
from video2act_ros.ros.driver_activity import DriverActivity
from video2act_ros.ros.environment import resolve_profile
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.process import run_node
from video2act_ros.sim.aloha import JOINT_NAMES
from video2act_ros.sim.driver import ArmDriver
from video2act_ros.sim.faults import FaultFilter
from video2act_ros.sim.live import Array, LiveEvents, LiveRobot, LiveSettings
from video2act_ros.sim.tasks import get_task

METRICS_PERIOD_S = 1.0
REQUEST_PERIOD_S = 2.0  # a request for a new episode that was not answered meanwhile is made again …
PATIENCE_S = 20.0  # … for so long


class SimRobotNode(ManagedNode):
    """Stands in for an arm's driver and its cameras; everything it does, a real driver does too."""

    CONFIG = SimRobotConfig
    config: SimRobotConfig

    def setup(self) -> None:
        """Build the robot; publishers exist before the threads start."""
        self.profile = load_robot_profile(resolve_profile(self.config.robot))
        if self.profile.joint_names != JOINT_NAMES:
            raise ConfigurationError(
                f"robot profile '{self.profile.name}' does not describe the simulated ALOHA robot; "
                "use robot:=aloha_sim, mock.launch.py for any robot without hardware, or real_robot.launch.py "
                "with the robot's own drivers"
            )
        self._seed = self.config.seed
        topics = [source.topic for source in self.profile.joint_states]
        self._joints = self.create_publisher(JointState, topics[0], qos.SOURCE)
        self._true_joints = self.create_publisher(JointState, "~/true_joint_states", qos.DATA)
        self._cameras = {
            camera.name: (
                camera.transport,
                self.create_publisher(IMAGE_MESSAGES[camera.transport], camera.topic, qos.DATA),
            )
            for camera in self.profile.cameras
        }
        self._success = self.create_publisher(Bool, "task_success", qos.LATCHED)
        self._metrics = self.create_publisher(String, "~/metrics", qos.DATA)
        self._sim_clock = (
            self.create_publisher(Clock, "/clock", qos.DATA) if self.config.publish_clock else None
        )
        self._faults = FaultFilter(self.config.image_noise)
        self._activity = DriverActivity(self)
        self._listening: list[Any] = []  # subscriptions to commands
        self._robot = LiveRobot(
            get_task(self.config.task),
            ArmDriver(self.profile.joints, self.config.command_timeout_s, self.profile.command_speed),
            LiveSettings(
                self.config.joint_rate_hz,
                self.config.camera_rate_hz,
                self.config.image_width,
                self.config.image_height,
                self.config.image_noise,
            ),
            LiveEvents(
                self._stamp, self._publish_joints, self._publish_images, self._publish_success, self._tick
            ),
        )

    def start(self) -> None:
        """Start the physics and the cameras, then listen."""
        self._robot.start(self._seed)
        self._follow_fault()
        self.create_service(ResetSimulation, "~/reset", self._reset)
        self._new_episode = self.create_client(NewEpisode, "new_episode")
        self.create_timer(METRICS_PERIOD_S, self._publish_metrics)
        self._request: Any = None  # the newest for a new episode
        self._ask_until_s = 0.0  # monotonic
        self.create_timer(REQUEST_PERIOD_S, self._ask_for_episode)

    def stop(self) -> None:
        """Stop to listen, and both threads."""
        self._stop_listening()
        if robot := getattr(self, "_robot", None):
            robot.stop()

    @property
    def may_end(self) -> bool:
        """Only once the command node has brought the arm to rest and let go of it, as a real arm would stay."""
        return self.state_name != "active" or self._robot.is_idle()

    def config_changed(self, previous: NodeConfig) -> None:
        """Follow the `fault` parameter."""
        if self.state_name == "active":
            self._follow_fault()

    def _follow_fault(self) -> None:
        """Do wrong what the parameter says, and nothing else any more."""
        fault = self.config.fault
        self._faults.set(fault)
        self._robot.set_power(fault != "servos_off")
        self._activity.tell(fault != "controller_inactive")
        if fault == "deaf":
            self._stop_listening()
        elif not self._listening:
            for output in self.profile.commands:
                self._listen(output)

    # -- out ----------------------------------------------------------------------------------------

    def _stamp(self, time_s: float) -> int:
        """Return the robot's own time: simulated or the machine's, and stepped by a fault of the clock."""
        if self._sim_clock is not None:
            return round(time_s * NS_PER_S) + self._faults.clock_offset_ns
        return int(self.get_clock().now().nanoseconds) + self._faults.clock_offset_ns

    def _publish_joints(self, stamp_ns: int, positions: Array, velocities: Array, torques: Array) -> None:
        with self.reporting("joints"):
            if self._true_joints.get_subscription_count():
                message = _joint_state(time.time_ns(), positions, velocities)
                message.header.frame_id = self._faults.fault  # from when on it is in force, for a judge
                message.effort = torques.tolist()
                self._true_joints.publish(message)
            spoilt = self._faults.joints(positions, velocities)
            if spoilt is not None:
                self._joints.publish(_joint_state(stamp_ns, *spoilt))

    def _publish_images(self, stamp_ns: int, images: dict[str, ImageArray]) -> None:
        with self.reporting("cameras"):
            for frame in self._faults.images(stamp_ns, images):
                transport, publisher = self._cameras[frame[0]]
                publisher.publish(message_from_frame(CameraFrame(*frame), transport))
            self.health.count("images")

    def _publish_success(self, success: bool) -> None:
        with self.reporting("success"):
            self._success.publish(Bool(data=success))

    def _tick(self, time_s: float) -> None:
        if self._sim_clock is None:
            return
        with self.reporting("clock"):
            self._sim_clock.publish(Clock(clock=ns_to_stamp(self._stamp(time_s))))

    def _publish_metrics(self) -> None:
        figures = {"realtime_factor": self._robot.realtime_factor, "frames": self._robot.frames}
        self._metrics.publish(String(data=json.dumps(figures)))

    def collect_diagnostics(self) -> None:
        """Tell how fast the simulation runs, and when the driver had to stop the arm by itself."""
        if self.state_name != "active":
            return
        self.health.value("realtime_factor", self._robot.realtime_factor)
        silent_s = self._robot.abandoned_s()
        if silent_s is None:
            self.health.resolve("commands")
        else:
            text = f"no joint command for {silent_s:.1f} s in mid-motion; the driver holds the arm; "
            self.health.problem("commands", text + "check the command node")

    # -- in -----------------------------------------------------------------------------------------

    def _stop_listening(self) -> None:
        for subscription in getattr(self, "_listening", ()):
            self.destroy_subscription(subscription)
        self._listening = []

    def _listen(self, output: CommandOutput) -> None:
        reader = CommandReader(output)

        def receive(message: Any) -> None:
            if self._faults.fault == "controller_inactive":
                return

            def apply(driver: ArmDriver, time_s: float) -> None:
                driver.command(*reader.read(message, time_s, self._stamp(time_s)), time_s)

            self._robot.command(apply)

        def guarded(message: Any) -> None:
            with self.reporting(output.topic):
                receive(message)

        kind = MESSAGE_TYPES[output.type]
        self._listening.append(self.create_subscription(kind, output.topic, guarded, qos.COMMAND))

    def _reset(
        self, request: ResetSimulation.Request, response: ResetSimulation.Response
    ) -> ResetSimulation.Response:
        self._seed = int(request.seed) if request.use_seed else self._seed + 1
        response.cube_position = self._robot.reset(self._seed)
        response.success, response.seed, response.message = True, self._seed, "reset"
        if not self._new_episode.service_is_ready():
            response.message = "reset; no command node was told to begin a new episode"
        self._ask_until_s = time.monotonic() + PATIENCE_S
        self._request = None
        self._ask_for_episode()
        return response

    def _ask_for_episode(self) -> None:
        """Ask for a new episode until it is answered: a command node may be dead, or its successor not known yet."""
        if time.monotonic() > self._ask_until_s or (self._request is not None and self._request.done()):
            return
        if self._request is not None:
            self._new_episode.remove_pending_request(self._request)
        ready = self._new_episode.service_is_ready()
        self._request = self._new_episode.call_async(NewEpisode.Request()) if ready else None


def _joint_state(stamp_ns: int, positions: Array, velocities: Array) -> JointState:
    message = JointState(name=list(JOINT_NAMES), position=positions.tolist(), velocity=velocities.tolist())
    message.header.stamp = ns_to_stamp(stamp_ns)
    return message


def main() -> None:
    """Run the node as a process."""
    raise SystemExit(run_node(SimRobotNode))


if __name__ == "__main__":
    main()
